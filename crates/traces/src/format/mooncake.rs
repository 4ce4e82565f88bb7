//! Mooncake's request traces (FAST'25): `{"timestamp": ms, "input_length": n, "output_length": n, "hash_ids": [...]}`.
//!
//! A hash id names a block and all that precedes it, so an id is a prefix id as it stands. Dialects say `created_time` for
//! `timestamp`, or `delay` (`delay_ms`) after the previous line of the same `session_id`; lines without a session
//! form one together.

use super::blocks;
use crate::{
    TraceError,
    error::Fault,
    format::{Format, LineDecoder, LineFormat, Reader},
    json,
    rows::Rows,
};
use memchr::{memmem, memrchr};
use prefix_indexer_models::{MAX_INTEGER, Span};
use std::{borrow::Cow, collections::HashMap};

pub(super) const FORMAT: Format = Format {
    name: "mooncake",
    help: "Mooncake JSON Lines: one request a line, with timestamp (or created_time, delay) and hash_ids",
    sniff,
    reader: Reader::Lines(|| Box::new(Mooncake::default())),
};

const NAMES: [&str; 6] = ["timestamp", "created_time", "delay", "delay_ms", "session_id", "hash_ids"];
const SESSION: usize = 4;
const HASH_IDS: usize = 5;

type Tokens<'a> = [Option<&'a str>; NAMES.len()];

fn sniff(head: &[u8]) -> bool {
    let names = &["hash_ids", "chat_id", "timestamp", "created_time", "delay", "delay_ms"];
    let found = std::str::from_utf8(head).ok().and_then(|line| json::object(line, names).ok());
    found.is_some_and(|[ids, chat, times @ ..]| ids.is_some() && chat.is_none() && times.iter().any(Option::is_some))
}

/// When the previous line of each session was, in milliseconds.
#[derive(Default)]
struct Mooncake {
    clocks: HashMap<String, u64>,
}

/// What a line says about its time.
enum Time {
    At(u64),
    After(u64, &'static str),
}

fn time(tokens: &Tokens<'_>) -> Result<Time, Fault> {
    let given = |index: usize| tokens[index].map(|token| (token, NAMES[index]));
    if let Some((token, field)) = given(0).or(given(1)) {
        return blocks::milliseconds(token, 1, field).map(Time::At);
    }
    match given(2).or(given(3)) {
        Some((token, field)) => blocks::milliseconds(token, 1, field).map(|delay| Time::After(delay, field)),
        None => Err(Fault::missing(NAMES[0])),
    }
}

fn session<'a>(tokens: &Tokens<'a>) -> Result<Cow<'a, str>, Fault> {
    match tokens[SESSION] {
        Some("null") | None => Ok(Cow::Borrowed("")),
        Some(token) => blocks::name(token, NAMES[SESSION]),
    }
}

impl Mooncake {
    /// Moves the clock of a line's session. Returns the time that a delay leads to, if the line has no other.
    fn observe(&mut self, line: &[u8]) -> Option<u64> {
        let tokens = json::object(std::str::from_utf8(line).ok()?, &NAMES).ok()?;
        let session = session(&tokens).ok()?;
        let before = self.clocks.get(session.as_ref()).copied();
        let (now, delayed) = match time(&tokens).ok()? {
            Time::At(now) => (now, None),
            Time::After(delay, _) => {
                let now = before?.checked_add(delay).filter(|now| *now <= MAX_INTEGER)?;
                (now, Some(now))
            }
        };
        match self.clocks.get_mut(session.as_ref()) {
            Some(clock) => *clock = now,
            None => drop(self.clocks.insert(session.into_owned(), now)),
        }
        delayed
    }
}

impl LineFormat for Mooncake {
    fn next(&mut self, lines: &[u8]) -> Box<dyn LineDecoder> {
        let mut delayed = Vec::new();
        let has = |name: &[u8]| memmem::find(lines, name).is_some();
        if has(b"delay") || has(b"session_id") {
            let mut start = 0;
            for line in lines.split_inclusive(|byte| *byte == b'\n') {
                delayed.extend(self.observe(line).map(|time| (start, time)));
                start += line.len() as u32;
            }
        } else {
            // All lines have a time of their own and no session: only the last one can matter to a later piece.
            let text = lines.trim_ascii_end();
            let last = memrchr(b'\n', text).map_or(text, |end| &text[end + 1..]);
            self.observe(last);
        }
        Box::new(Decoder { delayed })
    }

    fn needs_history(&self) -> bool {
        true
    }
}

/// Times of the lines that have none of their own, by the offset of the line.
struct Decoder {
    delayed: Vec<(u32, u64)>,
}

impl Decoder {
    fn row<'a>(
        &self,
        rows: &mut Rows<'a>,
        line: Span,
        ids: &mut Vec<&'a str>,
        prefixes: &mut Vec<Span>,
    ) -> Result<(), Fault> {
        let tokens = json::object(rows.line(line), &NAMES)?;
        let timestamp_ms = match time(&tokens)? {
            Time::At(time) => time,
            Time::After(_, field) => {
                let found = self.delayed.binary_search_by_key(&line.start, |(start, _)| *start);
                found
                    .ok()
                    .and_then(|index| self.delayed.get(index))
                    .map(|(_, time)| *time)
                    .ok_or_else(|| Fault::new(field, "no earlier line of this session that it could count from"))?
            }
        };
        let session_id = match session(&tokens)? {
            Cow::Borrowed(text) => rows.span_of(text),
            Cow::Owned(text) => rows.own(&text),
        };
        let token = tokens[HASH_IDS].ok_or_else(|| Fault::missing(NAMES[HASH_IDS]))?;
        blocks::ids(token, ids)?;
        if let Some(index) = ids.windows(2).position(|pair| pair[0] == pair[1]) {
            return Err(Fault::new(NAMES[HASH_IDS], format!("block {} is its own parent", index + 1)));
        }
        prefixes.clear();
        prefixes.extend(ids.iter().map(|id| rows.span_of(id)));
        blocks::push(rows, prefixes, timestamp_ms, session_id)
    }
}

impl LineDecoder for Decoder {
    fn decode(self: Box<Self>, rows: &mut Rows<'_>) -> Result<(), TraceError> {
        let (mut ids, mut prefixes) = (Vec::new(), Vec::new());
        while let Some(line) = rows.next_line()? {
            if let Err(fault) = self.row(rows, line, &mut ids, &mut prefixes) {
                rows.bad(fault)?;
            }
        }
        Ok(())
    }
}
