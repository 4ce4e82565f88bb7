//! The fastest path: a line as a serializer of the struct writes it, all required fields in the order of their definition and
//! then those of the optional ones that there are, with a blank behind commas and colons or without.
//!
//! Nothing is looked up: what comes next is known, so a line is one straight run of comparisons with constants. Whatever is
//! different, and the last lines of a piece, is left to the other paths.

use super::{
    MAX_DEPTH, MAX_LAYER, MAX_LONG, SHORT, same,
    scan::{decimal, integer, long_integer, special},
};
use crate::rows::Rows;
use prefix_indexer_models::{EventColumns, Span};
use wide::u8x16;

/// Bytes compared at a time.
const STEP: usize = 16;

/// The sixteen bytes at `at`, unless the text ends before.
#[inline(always)] // into the run, where constants and registers are known
pub(super) fn load(bytes: &[u8], at: u32) -> Option<[u8; STEP]> {
    let at = at as usize;
    bytes.get(at..at + STEP)?.first_chunk().copied()
}

/// A bit for each byte that is the same in both.
#[inline(always)]
fn alike(one: [u8; STEP], other: [u8; STEP]) -> u32 {
    u8x16::new(one).simd_eq(u8x16::new(other)).to_bitmask()
}

/// What stands between two values: up to 32 bytes.
struct Between {
    text: [[u8; STEP]; 2],
    length: u32,
}

impl Between {
    /// A key with its colon, what is `before` it and how the value begins.
    const fn key(spaced: bool, before: &str, name: &str, value: &str) -> Between {
        let (first, blank) = (before.as_bytes()[0] == b'{', if spaced { " " } else { "" });
        Between { text: [[0; STEP]; 2], length: 0 }
            .and(before)
            .and(if first { "" } else { blank })
            .and("\"")
            .and(name)
            .and("\":")
            .and(blank)
            .and(value)
    }

    const fn and(mut self, more: &str) -> Between {
        let mut index = 0;
        while index < more.len() {
            self.text[self.length as usize / STEP][self.length as usize % STEP] = more.as_bytes()[index];
            self.length += 1;
            index += 1;
        }
        self
    }

    /// Where it ends, if it is at `at`.
    #[inline(always)]
    fn end(&self, bytes: &[u8], at: u32) -> Option<u32> {
        let first = (1u32 << self.length.min(STEP as u32)) - 1;
        let mut differs = !alike(load(bytes, at)?, self.text[0]) & first;
        if self.length > STEP as u32 {
            let second = (1u32 << (self.length - STEP as u32)) - 1;
            differs |= !alike(load(bytes, at + STEP as u32)?, self.text[1]) & second;
        }
        (differs == 0).then_some(at + self.length)
    }
}

/// Tenant and model as the last line named them: the blocks of a request follow each other.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Names {
    /// From the first byte of the tenant to the quote behind the model.
    text: [[u8; STEP]; 3],
    /// Bits of the bytes that count.
    masks: [u32; 3],
    tenant_length: u32,
    model_at: u32,
    /// Bytes without the quote; 0 if there are none to compare with.
    length: u32,
    scope: u32,
}

impl Names {
    /// Tenant and model, if they are at `at` again.
    #[inline(always)]
    fn again(&self, bytes: &[u8], at: u32) -> Option<(Span, Span)> {
        let mut differs = !alike(load(bytes, at)?, self.text[0]) & self.masks[0];
        differs |= !alike(load(bytes, at + STEP as u32)?, self.text[1]) & self.masks[1];
        differs |= !alike(load(bytes, at + 2 * STEP as u32)?, self.text[2]) & self.masks[2];
        let tenant = Span { start: at, end: at + self.tenant_length };
        let model_id = Span { start: at + self.model_at, end: at + self.length };
        (differs == 0 && self.length > 0).then_some((tenant, model_id))
    }

    /// The names of a line, and the number of both together.
    fn of(bytes: &[u8], tenant: Span, model_id: Span, scope: u32) -> Names {
        let mut names = Names::default();
        let (start, end) = (tenant.start as usize, model_id.end as usize + 1);
        let Some(text) = bytes.get(start..end).filter(|text| text.len() <= 3 * STEP) else { return names };
        for (index, part) in text.chunks(STEP).enumerate() {
            names.masks[index] = (1 << part.len()) - 1;
            names.text[index][..part.len()].copy_from_slice(part);
        }
        names.tenant_length = tenant.end - tenant.start;
        names.model_at = model_id.start - tenant.start;
        names.length = model_id.end - tenant.start;
        names.scope = scope;
        names
    }
}

/// Appends the line that comes next in `bytes`, the text of `rows`, if it is written as usual, with or without blanks.
#[inline]
pub(super) fn push_line(bytes: &[u8], rows: &mut Rows<'_>, names: &mut Names) -> bool {
    written::<false>(bytes, rows, names).or_else(|| written::<true>(bytes, rows, names)).is_some()
}

/// The macros of a run name a key by what stands before it, its name and how its value begins.
macro_rules! between {
    ($bytes:ident, $at:expr, $before:literal $name:literal $value:literal) => {
        const { Between::key(SPACED, $before, $name, $value) }.end($bytes, $at)
    };
}

#[inline(always)]
fn written<const SPACED: bool>(bytes: &[u8], rows: &mut Rows<'_>, names: &mut Names) -> Option<()> {
    let start = u32::try_from(rows.next_start()).ok()?;
    let at = between!(bytes, start, "{" "prefix_id" "\"")?;
    let prefix_id = text(bytes, at)?;
    let at = between!(bytes, prefix_id.end, "\"," "tenant" "\"")?;
    let again = names.again(bytes, at);
    let (tenant, model_id) = match again {
        Some(names) => names,
        None => {
            let tenant = text(bytes, at)?;
            (tenant, text(bytes, between!(bytes, tenant.end, "\"," "model_id" "\"")?)?)
        }
    };
    let (layer, at) = whole(bytes, between!(bytes, model_id.end, "\"," "layer" "")?, MAX_LAYER)?;
    let (page_start, at) = whole(bytes, between!(bytes, at, "," "page_start" "")?, MAX_LAYER)?;
    let (page_end, at) = whole(bytes, between!(bytes, at, "," "page_end" "")?, MAX_LAYER)?;
    let (traffic, at) = whole(bytes, between!(bytes, at, "," "bytes" "")?, MAX_LONG)?;
    let (latency_ms, at) = decimal_at(bytes, between!(bytes, at, "," "latency_ms" "")?)?;
    let (timestamp_ms, at) = long_whole(bytes, between!(bytes, at, "," "timestamp_ms" "")?)?;
    let more = match bytes.get(at as usize) {
        Some(b',') => optional::<SPACED>(bytes, at)?,
        _ => Optional { end: at, ..Optional::default() },
    };
    let end = more.end as usize + 1;
    let valid = end - (start as usize) < SHORT
        && page_start <= page_end
        && latency_ms < f64::MAX
        && (more.parent_id.is_none() || !same(bytes, more.parent_id, prefix_id));
    if !valid || bytes.get(more.end as usize..end + 1)? != b"}\n" {
        return None;
    }
    let scope = match again {
        Some(_) => names.scope,
        None => {
            let scope = rows.scope(tenant, model_id);
            *names = Names::of(bytes, tenant, model_id, scope);
            scope
        }
    };
    rows.skip_line(end);
    rows.push(EventColumns {
        prefix_id,
        parent_id: more.parent_id,
        session_id: more.session_id,
        event_id: more.event_id,
        scope,
        layer: layer as u32,
        page_start: page_start as u32,
        page_end: page_end as u32,
        depth: more.depth,
        bytes: traffic,
        timestamp_ms,
        latency_ms,
    });
    Some(())
}

/// The fields that may be left out.
#[derive(Default)]
struct Optional {
    parent_id: Span,
    depth: Option<u32>,
    session_id: Span,
    event_id: Span,
    /// Where the last one ends.
    end: u32,
}

/// The fields that may be left out or be null, in the order of their definition.
fn optional<const SPACED: bool>(bytes: &[u8], mut at: u32) -> Option<Optional> {
    let mut fields = Optional::default();
    macro_rules! string {
        ($field:ident, $name:literal) => {
            if let Some(start) = between!(bytes, at, "," $name "\"") {
                fields.$field = text(bytes, start)?;
                at = fields.$field.end + 1;
            } else if let Some(end) = between!(bytes, at, "," $name "null") {
                at = end;
            }
        };
    }
    string!(parent_id, "parent_id");
    if let Some(end) = between!(bytes, at, "," "depth" "null") {
        at = end;
    } else if let Some(start) = between!(bytes, at, "," "depth" "") {
        let (depth, end) = whole(bytes, start, MAX_DEPTH)?;
        (fields.depth, at) = (Some(depth as u32), end);
    }
    string!(session_id, "session_id");
    string!(event_id, "event_id");
    Some(Optional { end: at, ..fields })
}

/// The string at `at`, behind its quote, if it is not empty and has no escape and no control character.
#[inline(always)]
pub(super) fn text(bytes: &[u8], at: u32) -> Option<Span> {
    let mut end = at;
    let found = loop {
        let found = special(u128::from_le_bytes(load(bytes, end)?));
        if found != 0 {
            break found;
        }
        end += STEP as u32;
    };
    end += found.trailing_zeros();
    (end > at && *bytes.get(end as usize)? == b'"').then_some(Span { start: at, end })
}

/// A number of many digits, as the milliseconds of our time have, or of few.
#[inline(always)]
pub(super) fn long_whole(bytes: &[u8], at: u32) -> Option<(u64, u32)> {
    match long_integer(load(bytes, at)?) {
        Some((value, length)) => Some((value, at + length as u32)),
        None => whole(bytes, at, MAX_LONG),
    }
}

#[inline(always)]
pub(super) fn whole(bytes: &[u8], at: u32, max: u64) -> Option<(u64, u32)> {
    let (value, end) = integer(bytes, at as usize, max)?;
    Some((value, end as u32))
}

#[inline(always)]
pub(super) fn decimal_at(bytes: &[u8], at: u32) -> Option<(f64, u32)> {
    let (value, end) = decimal(bytes, at as usize)?;
    Some((value, end as u32))
}
