//! The slowest and strictest path: any line that JSON allows. The other three must agree with it.

use super::{Fields, MAX_DEPTH, MAX_LAYER, MAX_LONG, NAMES, REQUIRED};
use crate::{error::Fault, json, rows::Rows};
use prefix_indexer_models::Span;
use std::borrow::Cow;

/// The fields of a line.
pub(super) fn fields(rows: &mut Rows<'_>, line: Span) -> Result<Fields, Fault> {
    let tokens = json::object(rows.line(line), &NAMES)?;
    let mut fields = Fields::default();
    for (index, (token, name)) in tokens.into_iter().zip(NAMES).enumerate() {
        let Some(token) = token else { continue };
        // What a producer's optional field writes when it is empty.
        if index >= REQUIRED && token == "null" {
            continue;
        }
        fields.seen |= 1 << index;
        set(&mut fields, index, token, rows).map_err(|reason| Fault::new(name, reason))?;
    }
    Ok(fields)
}

fn set(fields: &mut Fields, index: usize, token: &str, rows: &mut Rows<'_>) -> Result<(), Cow<'static, str>> {
    let short = |max| json::integer(token, max).map(|value| value as u32);
    match index {
        0 => fields.prefix_id = string(token, rows)?,
        1 => fields.tenant = string(token, rows)?,
        2 => fields.model_id = string(token, rows)?,
        3 => fields.layer = short(MAX_LAYER)?,
        4 => fields.page_start = short(MAX_LAYER)?,
        5 => fields.page_end = short(MAX_LAYER)?,
        6 => fields.bytes = json::integer(token, MAX_LONG)?,
        7 => fields.latency_ms = json::float(token)?,
        8 => fields.timestamp_ms = json::integer(token, MAX_LONG)?,
        9 => fields.parent_id = string(token, rows)?,
        10 => fields.depth = Some(short(MAX_DEPTH)?),
        11 => fields.session_id = string(token, rows)?,
        _ => fields.event_id = string(token, rows)?,
    }
    Ok(())
}

fn string(token: &str, rows: &mut Rows<'_>) -> Result<Span, Cow<'static, str>> {
    Ok(match json::string(token)? {
        Cow::Borrowed(text) => rows.span_of(text),
        Cow::Owned(text) => rows.own(&text),
    })
}
