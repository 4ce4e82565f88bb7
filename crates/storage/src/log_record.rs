//! The body of a log record: one batch, column by column.
//!
//! Each distinct string is stored once and referred to by number; a column whose values are all equal is stored as one value;
//! times are stored as differences; latencies that are whole microseconds, as producers round them, as integers. Some 30
//! bytes an event where JSON takes 185.

use crate::{
    BatchId, Commit,
    codec::{self, Decode, Encode},
};
use prefix_indexer_models::{EventBatch, EventColumns, SourceId, SourcePosition, Span};
use xxhash_rust::xxh3::xxh3_64;

/// One batch as the log keeps it.
#[derive(Debug, Clone, Default, PartialEq, Encode, Decode)]
struct Body {
    batch_id: Option<[u8; 16]>,
    sources: Vec<Source>,
    /// Events that were left out as duplicates.
    duplicates: u64,
    events: u32,
    text: String,
    /// Lengths of the strings in `text`.
    lengths: Vec<u32>,
    /// Numbers of the strings of tenant and model.
    scopes: Vec<(u32, u32)>,
    scope: Vec<u32>,
    /// Number of a string; in the optional columns plus one, and 0 for none.
    prefix_id: Vec<u32>,
    parent_id: Vec<u32>,
    session_id: Vec<u32>,
    event_id: Vec<u32>,
    layer: Vec<u32>,
    page_start: Vec<u32>,
    /// Pages after the first.
    pages: Vec<u32>,
    /// Plus one; 0 for none.
    depth: Vec<u32>,
    bytes: Vec<u64>,
    /// Milliseconds since the event before.
    time: Vec<i64>,
    /// In microseconds where that is exact for all, ...
    latency_us: Vec<u64>,
    /// ... else in milliseconds.
    latency_ms: Vec<f64>,
}

/// How far a source has been read.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(crate) struct Source {
    path: String,
    head: [u8; 32],
    offset: u64,
    lines: u64,
    tail: [u8; 32],
}

impl From<&SourcePosition> for Source {
    fn from(position: &SourcePosition) -> Source {
        let SourcePosition { source: SourceId { path, head }, offset, lines, tail } = position;
        Source { path: path.clone(), head: *head, offset: *offset, lines: *lines, tail: *tail }
    }
}

impl From<Source> for SourcePosition {
    fn from(Source { path, head, offset, lines, tail }: Source) -> SourcePosition {
        SourcePosition { source: SourceId { path, head }, offset, lines, tail }
    }
}

/// One batch, read back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LogRecord {
    pub(crate) commit: Commit,
    pub(crate) duplicates: u64,
}

/// Encodes batches, keeping its memory between them.
#[derive(Debug, Default)]
pub(crate) struct RecordEncoder {
    body: Body,
    strings: Interner,
}

impl RecordEncoder {
    /// Appends the body of a record to `out`.
    ///
    /// # Errors
    /// What the codec says of a batch over its limit of 1 GiB.
    pub(crate) fn encode(
        &mut self,
        events: &EventBatch,
        commit: &Commit,
        duplicates: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        self.clear();
        let body = &mut self.body;
        body.batch_id = commit.batch_id.map(|id| id.0);
        body.sources.extend(commit.sources.iter().map(Source::from));
        body.duplicates = duplicates;
        body.events = events.len() as u32;
        let mut last_ms = 0_i64;
        let mut whole_us = true;
        let mut last_scope = None;
        for event in events.iter() {
            let names = (event.tenant, event.model_id);
            if last_scope != Some(names) {
                last_scope = Some(names);
                let scope = (self.strings.number(names.0, body), self.strings.number(names.1, body));
                let number = body.scopes.iter().position(|known| *known == scope).unwrap_or(body.scopes.len());
                if number == body.scopes.len() {
                    body.scopes.push(scope);
                }
                self.strings.scope = number as u32;
            }
            body.scope.push(self.strings.scope);
            let number = self.strings.number(event.prefix_id, body);
            body.prefix_id.push(number);
            let number = event.parent_id.map_or(0, |id| self.strings.number(id, body) + 1);
            body.parent_id.push(number);
            let number = event.session_id.map_or(0, |id| self.strings.number(id, body) + 1);
            body.session_id.push(number);
            // Event ids hardly ever repeat: looking for them would only cost.
            let number = event.event_id.map_or(0, |id| push_string(id, body) + 1);
            body.event_id.push(number);
            body.layer.push(event.layer);
            body.page_start.push(event.page_start);
            body.pages.push(event.page_end.saturating_sub(event.page_start));
            body.depth.push(event.depth.map_or(0, |depth| depth.saturating_add(1)));
            body.bytes.push(event.bytes);
            let time_ms = event.timestamp_ms as i64;
            body.time.push(time_ms.wrapping_sub(last_ms));
            last_ms = time_ms;
            let us = (event.latency_ms * 1000.0).round();
            whole_us &= us < 1e15 && us / 1000.0 == event.latency_ms;
            body.latency_us.push(us as u64);
            body.latency_ms.push(event.latency_ms);
        }
        if whole_us {
            body.latency_ms.clear();
        } else {
            body.latency_us.clear();
        }
        body.fold_constants();
        codec::encode_compact(body, out).map(|_| ()).map_err(|error| error.to_string())
    }

    fn clear(&mut self) {
        let Body {
            batch_id: _,
            sources,
            duplicates: _,
            events: _,
            text,
            lengths,
            scopes,
            scope,
            prefix_id,
            parent_id,
            session_id,
            event_id,
            layer,
            page_start,
            pages,
            depth,
            bytes,
            time,
            latency_us,
            latency_ms,
        } = &mut self.body;
        sources.clear();
        text.clear();
        scopes.clear();
        for column in [lengths, scope, prefix_id, parent_id, session_id, event_id, layer, page_start, pages, depth] {
            column.clear();
        }
        bytes.clear();
        time.clear();
        latency_us.clear();
        latency_ms.clear();
        self.strings.clear();
    }
}

impl Body {
    fn fold_constants(&mut self) {
        fold_constant(&mut self.scope);
        fold_constant(&mut self.prefix_id);
        fold_constant(&mut self.parent_id);
        fold_constant(&mut self.session_id);
        fold_constant(&mut self.event_id);
        fold_constant(&mut self.layer);
        fold_constant(&mut self.page_start);
        fold_constant(&mut self.pages);
        fold_constant(&mut self.depth);
        fold_constant(&mut self.bytes);
        fold_constant(&mut self.latency_us);
        fold_constant(&mut self.latency_ms);
    }
}

fn fold_constant<T: PartialEq + Copy>(column: &mut Vec<T>) {
    if let Some(&first) = column.first()
        && column.iter().all(|&value| value == first)
    {
        column.truncate(1);
    }
}

fn push_string(string: &str, body: &mut Body) -> u32 {
    body.text.push_str(string);
    body.lengths.push(string.len() as u32);
    (body.lengths.len() - 1) as u32
}

/// Numbers of the strings of one batch.
#[derive(Debug, Default)]
struct Interner {
    /// Open addressing: upper half of the hash, then number plus one; 0 is free.
    slots: Vec<u64>,
    used: usize,
    /// Where each numbered string begins in the text; event ids have places, too.
    starts: Vec<u32>,
    /// The scope of the event before.
    scope: u32,
}

impl Interner {
    fn clear(&mut self) {
        self.slots.fill(0);
        self.starts.clear();
        self.used = 0;
    }

    fn number(&mut self, string: &str, body: &mut Body) -> u32 {
        if (self.used + 1) * 2 > self.slots.len() {
            self.grow(body);
        }
        let hash = xxh3_64(string.as_bytes());
        let mask = self.slots.len() - 1;
        let mut place = hash as usize & mask;
        loop {
            let slot = self.slots[place];
            if slot == 0 {
                break;
            }
            let number = slot as u32 - 1;
            if slot >> 32 == hash >> 32 && self.str(number, body) == string.as_bytes() {
                return number;
            }
            place = (place + 1) & mask;
        }
        self.catch_up(body);
        let number = push_string(string, body);
        self.starts.push((body.text.len() - string.len()) as u32);
        self.slots[place] = (hash >> 32) << 32 | (u64::from(number) + 1);
        self.used += 1;
        number
    }

    /// Places of strings that were pushed without being looked up.
    fn catch_up(&mut self, body: &Body) {
        while let Some(&length) = body.lengths.get(self.starts.len()) {
            let start = match self.starts.last() {
                Some(&start) => start + body.lengths[self.starts.len() - 1],
                None => 0,
            };
            debug_assert!((start + length) as usize <= body.text.len());
            self.starts.push(start);
        }
    }

    fn str<'a>(&self, number: u32, body: &'a Body) -> &'a [u8] {
        let start = self.starts[number as usize] as usize;
        &body.text.as_bytes()[start..start + body.lengths[number as usize] as usize]
    }

    fn grow(&mut self, body: &Body) {
        let size = (self.slots.len() * 2).max(1024);
        let old = std::mem::replace(&mut self.slots, vec![0; size]);
        for slot in old.into_iter().filter(|&slot| slot != 0) {
            let hash = xxh3_64(self.str(slot as u32 - 1, body));
            let mut place = hash as usize & (size - 1);
            while self.slots[place] != 0 {
                place = (place + 1) & (size - 1);
            }
            self.slots[place] = slot;
        }
    }
}

/// Decodes the body of a record into an empty batch.
///
/// # Errors
/// What is wrong with it; every event is validated, so that a forged log cannot bring in what no reader would.
pub(crate) fn decode(bytes: &[u8], events: &mut EventBatch) -> Result<LogRecord, String> {
    let body: Body = codec::decode_compact(bytes).map_err(|error| error.to_string())?;
    let mut spans = Vec::with_capacity(body.lengths.len());
    let mut start = 0_u32;
    for &length in &body.lengths {
        let end = start.checked_add(length).filter(|&end| body.text.is_char_boundary(end as usize));
        let end = end.ok_or("a string outside the text")?;
        spans.push(Span { start, end });
        start = end;
    }
    let string = |number: u32| spans.get(number as usize).copied().ok_or("a string that is not there");
    let optional = |number: u32| number.checked_sub(1).map_or(Ok(Span::NONE), string);
    events.set_text(body.text);
    let scopes = body
        .scopes
        .iter()
        .map(|&(tenant, model_id)| Ok(events.scope(string(tenant)?, string(model_id)?)))
        .collect::<Result<Vec<u32>, &str>>()?;
    let count = body.events as usize;
    let exact = body.latency_us.is_empty();
    let mut time_ms = 0_i64;
    for index in 0..count {
        time_ms = time_ms.wrapping_add(*body.time.get(index).ok_or("too few times")?);
        let page_start = at(&body.page_start, index)?;
        let latency_ms =
            if exact { at(&body.latency_ms, index)? } else { at(&body.latency_us, index)? as f64 / 1000.0 };
        let scope = at(&body.scope, index)?;
        events.push_columns(EventColumns {
            prefix_id: string(at(&body.prefix_id, index)?)?,
            parent_id: optional(at(&body.parent_id, index)?)?,
            session_id: optional(at(&body.session_id, index)?)?,
            event_id: optional(at(&body.event_id, index)?)?,
            scope: *scopes.get(scope as usize).ok_or("a scope that is not there")?,
            layer: at(&body.layer, index)?,
            page_start,
            page_end: page_start.checked_add(at(&body.pages, index)?).ok_or("a page over 2^32")?,
            depth: at(&body.depth, index)?.checked_sub(1),
            bytes: at(&body.bytes, index)?,
            timestamp_ms: time_ms as u64,
            latency_ms,
        });
    }
    events.iter().try_for_each(|event| event.validate()).map_err(|error| error.to_string())?;
    let sources = body.sources.into_iter().map(SourcePosition::from).collect();
    Ok(LogRecord { commit: Commit { batch_id: body.batch_id.map(BatchId), sources }, duplicates: body.duplicates })
}

/// The value of an event; a column of one value holds it for all.
fn at<T: Copy>(column: &[T], index: usize) -> Result<T, &'static str> {
    let index = if column.len() == 1 { 0 } else { index };
    column.get(index).copied().ok_or("a column that is too short")
}

#[cfg(test)]
mod tests {
    use super::*;
    use prefix_indexer_models::PrefixEvent;

    fn event(number: u64) -> PrefixEvent {
        PrefixEvent {
            prefix_id: format!("prefix-{}", number % 37),
            tenant: format!("tenant-{}", number % 3),
            model_id: "m".into(),
            layer: 3,
            page_start: number as u32 % 5,
            page_end: number as u32 % 5 + 7,
            bytes: number * 1000,
            latency_ms: number as f64 / 8.0,
            timestamp_ms: 1_700_000_000_000 - number * 17,
            parent_id: (!number.is_multiple_of(2)).then(|| format!("prefix-{}", number % 5 + 100)),
            depth: (!number.is_multiple_of(3)).then_some(number as u32),
            session_id: (number % 5 == 1).then(|| "s".into()),
            event_id: (number % 4 == 1).then(|| format!("e{number}")),
        }
    }

    fn round_trip(events: &EventBatch, commit: Commit, duplicates: u64) {
        let mut encoder = RecordEncoder::default();
        for _ in 0..2 {
            let mut out = Vec::new();
            encoder.encode(events, &commit, duplicates, &mut out).unwrap();
            let mut decoded = EventBatch::new();
            let record = decode(&out, &mut decoded).unwrap();
            assert_eq!(record, LogRecord { commit: commit.clone(), duplicates });
            assert!(events.iter().eq(decoded.iter()));
        }
    }

    #[test]
    fn batches_come_back() {
        let source = SourcePosition {
            source: SourceId { path: "/a".into(), head: [1; 32] },
            offset: 5,
            lines: 2,
            tail: [3; 32],
        };
        let commit = Commit { batch_id: Some(BatchId([9; 16])), sources: vec![source] };
        round_trip(&EventBatch::new(), commit.clone(), 3);
        round_trip(&(0..1500).map(event).collect(), commit, 0);
        let extreme = PrefixEvent { latency_ms: 1.0 / 3.0, timestamp_ms: i64::MAX as u64, depth: Some(0), ..event(4) };
        let early = PrefixEvent { timestamp_ms: 0, latency_ms: f64::MAX, bytes: i64::MAX as u64, ..event(5) };
        round_trip(&[extreme, early].into_iter().collect(), Commit::default(), 0);
    }

    #[test]
    fn hostile_bodies_are_errors() {
        let mut encoder = RecordEncoder::default();
        let mut whole = Vec::new();
        encoder.encode(&(0..20).map(event).collect(), &Commit::default(), 0, &mut whole).unwrap();
        for cut in 0..whole.len() {
            assert!(decode(&whole[..cut], &mut EventBatch::new()).is_err(), "cut {cut}");
        }
        // A flipped byte is caught by the checksum before; here it only must not panic or allocate without bounds.
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            let _ = decode(&bytes, &mut EventBatch::new());
        }
    }
}
