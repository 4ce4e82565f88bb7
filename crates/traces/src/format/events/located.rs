//! The path for lines whose fields come in any order: first where the values are, then what they are.
//!
//! In random order, whoever reads field by field guesses wrong at each what comes next, and cannot begin with the next one
//! before this one's end is known. Here a line is looked at twice. A colon behind a quote ends a key, since a quote inside a
//! string has a backslash, which is left to other paths: so the keys of a line are found sixteen bytes at a time, and with
//! them where the value of each field begins. Then the values are read in the order of the definition, whatever their order.
//!
//! That nothing else is in the line follows from its length: a brace, and from each key's quote to its value's end and the
//! comma or brace that is there; and a blank between two fields, if blanks are behind commas and colons.

use super::{
    MAX_DEPTH, MAX_LAYER, MAX_LONG, NAMES, REQUIRED, same,
    usual::{decimal_at, load, long_whole, text, whole},
};
use crate::rows::Rows;
use prefix_indexer_models::{EventColumns, Span};
use wide::u8x16;

/// Bytes whose kinds are found together, a bit each.
const BLOCK: usize = 64;

/// The longest line that is read here, in blocks.
const BLOCKS: usize = 16;

/// What the bytes of a block are.
struct Kinds {
    quotes: u64,
    colons: u64,
    ends: u64,
    /// Backslashes, and control characters other than line ends.
    others: u64,
}

impl Kinds {
    #[inline(always)] // into the loop over a line, as all of this file
    fn of(block: &[u8; BLOCK]) -> Kinds {
        let mut kinds = Kinds { quotes: 0, colons: 0, ends: 0, others: 0 };
        let (parts, _) = block.as_chunks::<16>();
        for (part, shift) in parts.iter().zip([0, 16, 32, 48]) {
            let part = u8x16::new(*part);
            let is = |byte| part.simd_eq(u8x16::splat(byte));
            let control = part.simd_eq(part.min(u8x16::splat(b' ' - 1)));
            let bits = |found: u8x16| u64::from(found.to_bitmask()) << shift;
            let ends = bits(is(b'\n'));
            kinds.quotes |= bits(is(b'"'));
            kinds.colons |= bits(is(b':'));
            kinds.ends |= ends;
            kinds.others |= bits(is(b'\\') | control) & !ends;
        }
        kinds
    }
}

/// A key as it ends: its quote and its name in the last of sixteen bytes.
#[derive(Clone, Copy)]
struct Key {
    text: u128,
    mask: u128,
    /// Bytes from its quote to the colon.
    length: u32,
}

const KEYS: [Key; NAMES.len()] = {
    let mut keys = [Key { text: 0, mask: 0, length: 0 }; NAMES.len()];
    let mut field = 0;
    while field < NAMES.len() {
        let name = NAMES[field].as_bytes();
        let mut byte = 0;
        while byte <= name.len() {
            let shift = 8 * (15 - name.len() + byte);
            keys[field].text |= (if byte == 0 { b'"' } else { name[byte - 1] } as u128) << shift;
            keys[field].mask |= 0xff << shift;
            byte += 1;
        }
        keys[field].length = name.len() as u32 + 2;
        field += 1;
    }
    keys
};

/// Sends the last four bytes of all names to different places, but for `parent_id` and `event_id`, which end alike.
const SPREAD: u32 = 0x9e77_69b1;

/// Names by the place that their end is sent to; 13 is none.
const PLACES: [u8; 16] = [3, 0, 8, 6, 13, 4, 13, 5, 10, 9, 2, 7, 13, 13, 11, 1];
const PARENT: usize = 9;
const EVENT: usize = 12;

/// The field whose key ends with the quote before `colon`.
#[inline(always)]
fn field(bytes: &[u8], colon: u32) -> Option<usize> {
    let text = u128::from_le_bytes(load(bytes, colon.checked_sub(17)?)?);
    let place = ((text >> 96) as u32).wrapping_mul(SPREAD) >> 28;
    let field = usize::from(PLACES[place as usize]);
    let is = |field: usize| KEYS.get(field).is_some_and(|key| (text ^ key.text) & key.mask == 0);
    if is(field) {
        return Some(field);
    }
    (field == PARENT && is(EVENT)).then_some(EVENT)
}

/// Where the keys of a line end.
struct Colons {
    at: [u32; COLONS + AT_ONCE],
    count: usize,
    /// Where the line ends.
    end: u32,
}

/// Keys of a block: the shortest name, its quotes, the colon, a digit and a comma are ten bytes.
const AT_ONCE: usize = 7;

/// Keys of a line: each once.
const COLONS: usize = NAMES.len();

impl Colons {
    /// Those of the line at `start`.
    #[inline(always)]
    fn of(bytes: &[u8], start: u32) -> Option<Colons> {
        let mut colons = Colons { at: [0; COLONS + AT_ONCE], count: 0, end: 0 };
        let mut quote_before = 0;
        for block in 0..BLOCKS as u32 {
            let base = start + block * BLOCK as u32;
            let Kinds { quotes, colons: all, ends, others } = Kinds::of(bytes.get(base as usize..)?.first_chunk()?);
            let inside = (ends & ends.wrapping_neg()).wrapping_sub(1);
            let mut found = all & (quotes << 1 | quote_before) & inside;
            quote_before = quotes >> 63;
            let count = found.count_ones() as usize;
            // As many are noted as there can be, and counted as there are: how many is not foreseen.
            let at = colons.at.get_mut(colons.count..)?.first_chunk_mut::<AT_ONCE>()?;
            for at in at {
                *at = base.wrapping_add(found.trailing_zeros());
                found &= found.wrapping_sub(1);
            }
            colons.count += count;
            if others & inside != 0 || found != 0 || colons.count > COLONS {
                return None;
            }
            if ends != 0 {
                colons.end = base + ends.trailing_zeros();
                return Some(colons);
            }
        }
        None
    }
}

/// Where the values of a line are.
struct Values {
    /// Where each begins, by field.
    starts: [u32; 16],
    /// A bit a field: whether it is there.
    seen: u16,
    /// The sum of where the keys begin.
    keys: u32,
}

impl Values {
    /// Those behind the colons of the line at `start`; none is there twice.
    #[inline(always)]
    fn locate<const SPACED: bool>(bytes: &[u8], start: u32, colons: &Colons) -> Option<Values> {
        let mut values = Values { starts: [0; 16], seen: 0, keys: 0 };
        for &colon in colons.at.get(..colons.count)? {
            let field = field(bytes, colon)?;
            let key = colon - KEYS[field].length;
            if SPACED {
                let blank_before = key == start + 1 || *bytes.get(key as usize - 1)? == b' ';
                if !blank_before || *bytes.get(colon as usize + 1)? != b' ' {
                    return None;
                }
            }
            values.starts[field] = colon + 1 + u32::from(SPACED);
            values.seen |= 1 << field;
            values.keys = values.keys.wrapping_add(key);
        }
        (values.seen.count_ones() as usize == colons.count).then_some(values)
    }
}

/// Appends the line that comes next in `bytes`, the text of `rows`, if it can be read so, with or without blanks.
#[inline(never)]
pub(super) fn push_line(bytes: &[u8], rows: &mut Rows<'_>) -> bool {
    let Ok(start) = u32::try_from(rows.next_start()) else { return false };
    if bytes.get(start as usize) != Some(&b'{') {
        return false;
    }
    let Some(colons) = Colons::of(bytes, start) else { return false };
    read::<false>(bytes, start, &colons, rows).or_else(|| read::<true>(bytes, start, &colons, rows)).is_some()
}

#[inline(always)]
fn read<const SPACED: bool>(bytes: &[u8], start: u32, colons: &Colons, rows: &mut Rows<'_>) -> Option<()> {
    const ALL: u16 = (1 << REQUIRED) - 1;
    let &Colons { count, end, .. } = colons;
    let Values { starts, seen, keys } = Values::locate::<SPACED>(bytes, start, colons)?;
    if seen & ALL != ALL || *bytes.get(end as usize - 1)? != b'}' {
        return None;
    }
    let (mut ends, mut closed) = (0u32, true);
    macro_rules! close {
        ($at:expr) => {
            let at: u32 = $at;
            let byte = *bytes.get(at as usize)?;
            ends = ends.wrapping_add(at);
            closed &= (byte == b',') | (byte == b'}') & (at + 1 == end);
        };
    }
    macro_rules! string {
        ($field:literal) => {{
            let start = starts[$field];
            let span = text(bytes, start + 1).filter(|_| bytes.get(start as usize) == Some(&b'"'))?;
            close!(span.end + 1);
            span
        }};
    }
    macro_rules! number {
        ($field:literal, $read:expr) => {{
            let (value, behind) = $read(bytes, starts[$field])?;
            close!(behind);
            value
        }};
    }
    let short = |bytes, at| whole(bytes, at, MAX_LAYER);
    let prefix_id = string!(0);
    let tenant = string!(1);
    let model_id = string!(2);
    let layer = number!(3, short) as u32;
    let page_start = number!(4, short) as u32;
    let page_end = number!(5, short) as u32;
    let traffic = number!(6, |bytes, at| whole(bytes, at, MAX_LONG));
    let latency_ms = number!(7, decimal_at);
    let timestamp_ms = number!(8, long_whole);
    let (mut parent_id, mut depth, mut session_id, mut event_id) = (Span::NONE, None, Span::NONE, Span::NONE);
    if seen & !ALL != 0 {
        macro_rules! optional {
            ($field:literal, $read:expr) => {
                if seen >> $field & 1 != 0 {
                    $read
                }
            };
        }
        optional!(9, parent_id = string!(9));
        optional!(10, depth = Some(number!(10, |bytes, at| whole(bytes, at, MAX_DEPTH)) as u32));
        optional!(11, session_id = string!(11));
        optional!(12, event_id = string!(12));
    }
    let braces_and_commas = 1 + count as u32;
    let blanks = if SPACED { count as u32 - 1 } else { 0 };
    let complete = ends.wrapping_sub(keys).wrapping_add(braces_and_commas + blanks) == end - start;
    let valid =
        page_start <= page_end && latency_ms < f64::MAX && (parent_id.is_none() || !same(bytes, parent_id, prefix_id));
    if !(closed && complete && valid) {
        return None;
    }
    let scope = rows.scope(tenant, model_id);
    rows.skip_line(end as usize);
    rows.push(EventColumns {
        prefix_id,
        parent_id,
        session_id,
        event_id,
        scope,
        layer,
        page_start,
        page_end,
        depth,
        bytes: traffic,
        timestamp_ms,
        latency_ms,
    });
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_by_its_end() {
        let check = |key: &str, expected: Option<usize>| {
            let text = format!("{{\"before\": 1, \"{key}\":");
            assert_eq!(field(text.as_bytes(), text.len() as u32 - 1), expected, "{key}");
        };
        for (index, name) in NAMES.into_iter().enumerate() {
            check(name, Some(index));
            check(&format!("x{name}"), None);
            check(&format!("{name}x"), None);
            check(&name[1..], None);
        }
        check("", None);
    }
}
