//! The path for lines whose fields come in any order, with any spacing, without escapes and nested values.

use super::{
    Fields, NAMES, REQUIRED,
    layout::Layout,
    scan::{OTHER_NUMBER, OTHER_STRING, string, value},
};
use crate::words::load;
use prefix_indexer_models::Span;

/// The fields of the line in `span`, and how they are laid out if `layout` asks for it.
pub(super) fn fields(bytes: &[u8], line: Span, mut layout: Option<&mut Layout>) -> Option<Fields> {
    let bytes = bytes.get(..line.end as usize)?;
    let mut fields = Fields::default();
    let mut at = blanks(bytes, line.start as usize);
    at = blanks(bytes, expect(bytes, at, b'{')?);
    loop {
        let key = string(bytes, at)?;
        at = if key.is_none() { at + 2 } else { key.end as usize + 1 };
        at = blanks(bytes, expect(bytes, blanks(bytes, at), b':')?);
        let field = place(bytes, key);
        let start = at;
        match (field, bytes.get(at)?) {
            (Some(field), b'n') if usize::from(field) >= REQUIRED => {
                at = literal(bytes, at, b"null")?;
                if fields.seen & 1 << field != 0 {
                    layout = None;
                    forget(&mut fields, field);
                }
            }
            (Some(field), _) => {
                at = value(bytes, at, field, &mut fields)?;
                if fields.seen & 1 << field != 0 {
                    layout = None;
                }
                fields.seen |= 1 << field;
                note(&mut layout, bytes, start, at, field);
            }
            (None, b'"') => {
                at = value(bytes, at, OTHER_STRING, &mut fields)?;
                note(&mut layout, bytes, start, at, OTHER_STRING);
            }
            (None, b'-' | b'0'..=b'9') => {
                at = value(bytes, at, OTHER_NUMBER, &mut fields)?;
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
        layout.finish(bytes, line.end as usize, fields.seen);
    }
    (end == bytes.len()).then_some(fields)
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

/// An optional field that is `null` after all, though an earlier value of the same key was not.
fn forget(fields: &mut Fields, field: u8) {
    fields.seen &= !(1 << field);
    match field {
        9 => fields.parent_id = Span::NONE,
        10 => fields.depth = None,
        11 => fields.session_id = Span::NONE,
        _ => fields.event_id = Span::NONE,
    }
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

/// Sends the first words of all names to different places.
const SPREAD: u64 = 0x430b_91ed_2954_ba5d;

/// Names by the place that their first word is sent to; 13 is none.
const PLACES: [u8; 16] = [11, 4, 5, 12, 13, 13, 6, 7, 0, 3, 1, 9, 2, 10, 13, 8];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_place() {
        let check =
            |key: &str, expected| assert_eq!(place(key.as_bytes(), Span { start: 0, end: key.len() as u32 }), expected);
        for (index, name) in NAMES.into_iter().enumerate() {
            check(name, Some(index as u8));
            check(&format!("{name}x"), None);
            check(&name[1..], None);
        }
        check("", None);
    }
}
