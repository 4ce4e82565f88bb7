//! The path for lines whose fields come in any order, with any spacing, without escapes and nested values.

use super::{
    Fields, NAMES, REQUIRED,
    layout::Layout,
    scan::{OTHER_NUMBER, OTHER_STRING, Values, string, value},
};
use crate::words::load;
use prefix_indexer_models::Span;

/// The fields of the line in `span`, and how they are laid out if `layout` asks for it.
pub(super) fn fields(bytes: &[u8], line: Span, mut layout: Option<&mut Layout>) -> Option<Fields> {
    let bytes = bytes.get(..line.end as usize)?;
    let mut values = Values::default();
    let mut at = blanks(bytes, line.start as usize);
    at = blanks(bytes, expect(bytes, at, b'{')?);
    loop {
        let field = match written(bytes, expect(bytes, at, b'"')?) {
            Some((field, behind)) => {
                at = blanks(bytes, behind);
                Some(field)
            }
            None => {
                let key = string(bytes, at)?;
                at = if key.is_none() { at + 2 } else { key.end as usize + 1 };
                at = blanks(bytes, expect(bytes, blanks(bytes, at), b':')?);
                place(bytes, key)
            }
        };
        let start = at;
        match (field, bytes.get(at)?) {
            (Some(field), b'n') if usize::from(field) >= REQUIRED => {
                at = literal(bytes, at, b"null")?;
                if values.seen & 1 << field != 0 {
                    layout = None;
                    values.forget(field);
                }
            }
            (Some(field), _) => {
                at = values.read(bytes, at, field)?;
                if values.seen & 1 << field != 0 {
                    layout = None;
                }
                values.seen |= 1 << field;
                note(&mut layout, bytes, start, at, field);
            }
            (None, b'"') => {
                at = value(bytes, at, OTHER_STRING, &mut Fields::default())?;
                note(&mut layout, bytes, start, at, OTHER_STRING);
            }
            (None, b'-' | b'0'..=b'9') => {
                at = value(bytes, at, OTHER_NUMBER, &mut Fields::default())?;
                note(&mut layout, bytes, start, at, OTHER_NUMBER);
            }
            (None, b't') => at = literal(bytes, at, b"true")?,
            (None, b'f') => at = literal(bytes, at, b"false")?,
            (None, b'n') => at = literal(bytes, at, b"null")?,
            _ => return None,
        }
        at = blanks(bytes, at);
        match bytes.get(at)? {
            b',' => at = blanks(bytes, at + 1),
            b'}' => break,
            _ => return None,
        }
    }
    let end = blanks(bytes, at + 1);
    if let Some(layout) = layout {
        layout.finish(bytes, line.end as usize, values.seen);
    }
    (end == bytes.len()).then(|| values.fields())
}

fn note(layout: &mut Option<&mut Layout>, bytes: &[u8], start: usize, end: usize, field: u8) {
    if let Some(layout) = layout {
        layout.slot(bytes, start, end, field);
    }
}

#[inline]
fn blanks(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

#[inline]
fn expect(bytes: &[u8], at: usize, byte: u8) -> Option<usize> {
    (*bytes.get(at)? == byte).then_some(at + 1)
}

fn literal(bytes: &[u8], at: usize, literal: &[u8]) -> Option<usize> {
    bytes.get(at..)?.starts_with(literal).then_some(at + literal.len())
}

/// The place of a key in [`NAMES`].
///
/// In random order every branch on the key would be a wrong guess, so there is none: the first eight bytes of a name lead
/// to the only name that it can be.
#[inline]
fn place(bytes: &[u8], key: Span) -> Option<u8> {
    let length = (key.end.wrapping_sub(key.start) as usize).min(8);
    let word = load(bytes, key.start as usize) & u64::MAX.checked_shr(64 - 8 * length as u32).unwrap_or(0);
    let place = PLACES[(word.wrapping_mul(SPREAD) >> 60) as usize];
    let name = NAMES.get(usize::from(place))?;
    (bytes.get(key.start as usize..key.end as usize)? == name.as_bytes()).then_some(place)
}

/// The place of the key whose name begins at `at`, and what is behind its colon, if the colon follows at once.
///
/// As [`place`], but it need not know first where the name ends.
#[inline]
fn written(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (word, next) = (load(bytes, at), load(bytes, at + 8));
    let quotes = word ^ (ONES * b'"' as u64);
    let found = quotes.wrapping_sub(ONES) & !quotes & (ONES << 7);
    // All that is before the first quote; everything if there is none.
    let before = ((found & found.wrapping_neg()) >> 7).wrapping_sub(1);
    let place = PLACES[((word & before).wrapping_mul(SPREAD) >> 60) as usize];
    let name = WRITTEN.get(usize::from(place))?;
    let differs = (word ^ name.words[0]) & name.masks[0] | (next ^ name.words[1]) & name.masks[1];
    (differs == 0).then_some((place, at + name.length))
}

/// A name with the quote and the colon behind it, in two words.
#[derive(Clone, Copy)]
struct Written {
    words: [u64; 2],
    masks: [u64; 2],
    length: usize,
}

const WRITTEN: [Written; NAMES.len()] = {
    let mut all = [Written { words: [0; 2], masks: [0; 2], length: 0 }; NAMES.len()];
    let mut index = 0;
    while index < NAMES.len() {
        let name = NAMES[index].as_bytes();
        let length = name.len() + 2;
        let mut at = 0;
        while at < length {
            let byte = if at < name.len() { name[at] } else { b"\":"[at - name.len()] };
            all[index].words[at / 8] |= (byte as u64) << (8 * (at % 8));
            all[index].masks[at / 8] |= 0xff << (8 * (at % 8));
            at += 1;
        }
        all[index].length = length;
        index += 1;
    }
    all
};

/// Sends the first words of all names to different places.
const SPREAD: u64 = 0x430b_91ed_2954_ba5d;

/// Names by the place that their first word is sent to; 13 is none.
const PLACES: [u8; 16] = [11, 4, 5, 12, 13, 13, 6, 7, 0, 3, 1, 9, 2, 10, 13, 8];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_place() {
        let check = |key: &str, expected: Option<u8>| {
            assert_eq!(place(key.as_bytes(), Span { start: 0, end: key.len() as u32 }), expected);
            let behind = expected.map(|place| (place, key.len() + 2));
            assert_eq!(written(format!("{key}\":1").as_bytes(), 0), behind);
            assert_eq!(written(format!("{key}\" :1").as_bytes(), 0), None);
            assert_eq!(written(key.as_bytes(), 0), None);
        };
        for (index, name) in NAMES.into_iter().enumerate() {
            check(name, Some(index as u8));
            check(&format!("{name}x"), None);
            check(&name[1..], None);
        }
        check("", None);
    }
}
