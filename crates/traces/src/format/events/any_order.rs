//! The path for lines whose fields come in any order, with any spacing, without escapes and nested values.

use super::{
    Fields, REQUIRED,
    layout::Layout,
    scan::{OTHER_NUMBER, OTHER_STRING, string, value},
};
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
        let field = place(bytes.get(key.start as usize..key.end as usize)?);
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

/// The place of a key in [`NAMES`](super::NAMES).
#[inline]
fn place(key: &[u8]) -> Option<u8> {
    Some(match key {
        b"prefix_id" => 0,
        b"tenant" => 1,
        b"model_id" => 2,
        b"layer" => 3,
        b"page_start" => 4,
        b"page_end" => 5,
        b"bytes" => 6,
        b"latency_ms" => 7,
        b"timestamp_ms" => 8,
        b"parent_id" => 9,
        b"depth" => 10,
        b"session_id" => 11,
        b"event_id" => 12,
        _ => return None,
    })
}
