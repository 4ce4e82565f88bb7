//! Qwen-Bailian's request traces: `{"chat_id", "parent_chat_id", "timestamp": seconds, "hash_ids": [...], ...}`.
//!
//! A hash id names the content of a block alone, so the reader chains them: the prefix id of a block is the first 128 bits
//! of BLAKE3 over the parent's 16 bytes (zeros for a root) and the decimal digits of the hash id, as 32 hex digits. The
//! session of a request is the chat that its chain of parents begins with.

use super::blocks;
use crate::{
    TraceError,
    error::Fault,
    format::{Format, LineDecoder, LineFormat, Reader},
    json,
    rows::Rows,
};
use prefix_indexer_models::Span;
use std::collections::HashMap;

pub(super) const FORMAT: Format = Format {
    name: "bailian",
    help: "Qwen-Bailian JSON Lines: one request a line, with chat_id, parent_chat_id, timestamp and hash_ids",
    sniff,
    reader: Reader::Lines(|| Box::new(Bailian::default())),
};

const NAMES: [&str; 4] = ["chat_id", "parent_chat_id", "timestamp", "hash_ids"];
const SECOND_MS: u32 = 1000;

fn sniff(head: &[u8]) -> bool {
    let found = std::str::from_utf8(head).ok().and_then(|line| json::object(line, &NAMES).ok());
    found.is_some_and(|[chat, _, _, ids]| chat.is_some() && ids.is_some())
}

/// The root of each chat that is not one itself.
#[derive(Default)]
struct Bailian {
    roots: HashMap<Box<str>, Box<str>>,
}

impl Bailian {
    /// The root of a line's chat, unless it is the chat itself.
    fn observe(&mut self, line: &[u8]) -> Option<Box<str>> {
        let [chat, parent, ..] = json::object(std::str::from_utf8(line).ok()?, &NAMES).ok()?;
        let chat = blocks::name(chat?, NAMES[0]).ok()?;
        let parent = parent.filter(|token| !matches!(*token, "null" | "-1"))?;
        let parent = blocks::name(parent, NAMES[1]).ok().filter(|parent| parent != "-1")?;
        let root = self.roots.get(parent.as_ref()).cloned().unwrap_or_else(|| parent.into());
        self.roots.insert(chat.into(), root.clone());
        Some(root)
    }
}

impl LineFormat for Bailian {
    fn next(&mut self, lines: &[u8]) -> Box<dyn LineDecoder> {
        let mut roots = Vec::new();
        let mut start = 0;
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            roots.extend(self.observe(line).map(|root| (start, root)));
            start += line.len() as u32;
        }
        Box::new(Decoder { roots })
    }

    fn needs_history(&self) -> bool {
        true
    }
}

/// Roots of the lines whose chat is not its own root, by the offset of the line.
struct Decoder {
    roots: Vec<(u32, Box<str>)>,
}

impl Decoder {
    fn row<'a>(
        &self,
        rows: &mut Rows<'a>,
        line: Span,
        ids: &mut Vec<&'a str>,
        prefixes: &mut Vec<Span>,
    ) -> Result<(), Fault> {
        let [chat, parent, time, hash_ids] = json::object(rows.line(line), &NAMES)?;
        let chat = blocks::name(chat.ok_or_else(|| Fault::missing(NAMES[0]))?, NAMES[0])?;
        if let Some(parent) = parent.filter(|token| *token != "null") {
            blocks::name(parent, NAMES[1])?;
        }
        let time = time.ok_or_else(|| Fault::missing(NAMES[2]))?;
        let timestamp_ms = blocks::milliseconds(time, SECOND_MS, NAMES[2])?;
        blocks::ids(hash_ids.ok_or_else(|| Fault::missing(NAMES[3]))?, ids)?;
        let root = self.roots.binary_search_by_key(&line.start, |(start, _)| *start).ok();
        let session_id = rows.own(root.and_then(|index| self.roots.get(index)).map_or(chat.as_ref(), |(_, root)| root));
        prefixes.clear();
        let mut parent = [0; 16];
        for id in ids.iter() {
            let mut hasher = blake3::Hasher::new();
            hasher.update(&parent).update(id.as_bytes());
            hasher.finalize_xof().fill(&mut parent);
            prefixes.push(rows.own(hex(parent, &mut [0; 32])));
        }
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

fn hex(bytes: [u8; 16], text: &mut [u8; 32]) -> &str {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    std::str::from_utf8(text).unwrap_or("")
}
