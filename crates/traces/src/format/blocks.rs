//! What the formats share in which a line is a request and lists the blocks of its prompt, root first.

use crate::{error::Fault, json, rows::Rows};
use prefix_indexer_models::{EventColumns, EventRef, MAX_INTEGER, Span};
use std::borrow::Cow;

/// More blocks than any model's context holds: a line with more is refused before it fills the memory.
const MAX_BLOCKS: usize = 1 << 20;

/// More digits than any hash has.
const MAX_DIGITS: usize = 1024;

/// The block ids of a `hash_ids` token, as they are written: whole numbers of any size, also as strings.
pub(super) fn ids<'a>(token: &'a str, ids: &mut Vec<&'a str>) -> Result<(), Fault> {
    const FIELD: &str = "hash_ids";
    ids.clear();
    let inner = token.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let inner = inner.ok_or_else(|| Fault::new(FIELD, "not an array of block ids"))?;
    if inner.trim_ascii().is_empty() {
        return Ok(());
    }
    for item in inner.split(',') {
        let item = item.trim_ascii();
        let number = item.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(item);
        let number = number.split_once('.').map_or(number, |(whole, zeros)| {
            if !zeros.is_empty() && zeros.bytes().all(|digit| digit == b'0') { whole } else { number }
        });
        let digits = number.strip_prefix('-').unwrap_or(number);
        let canonical = digits == "0" && digits.len() == number.len() || !digits.starts_with('0');
        if digits.is_empty()
            || digits.len() > MAX_DIGITS
            || !canonical
            || !digits.bytes().all(|digit| digit.is_ascii_digit())
        {
            return Err(Fault::new(FIELD, format!("block {}: not a whole number", ids.len())));
        }
        if ids.len() == MAX_BLOCKS {
            return Err(Fault::new(FIELD, format!("more than {MAX_BLOCKS} blocks")));
        }
        ids.push(number);
    }
    Ok(())
}

/// The text of a token that names something: a string or a whole number.
pub(super) fn name<'a>(token: &'a str, field: &'static str) -> Result<Cow<'a, str>, Fault> {
    if token.starts_with('"') {
        return json::string(token).map_err(|reason| Fault::new(field, reason));
    }
    let digits = token.strip_prefix('-').unwrap_or(token);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(Fault::new(field, "neither a string nor a whole number"));
    }
    Ok(Cow::Borrowed(token))
}

/// A time of `token` units of `unit_ms` in whole milliseconds, the nearest where it is a fraction.
pub(super) fn milliseconds(token: &str, unit_ms: u32, field: &'static str) -> Result<u64, Fault> {
    if unit_ms == 1
        && let Ok(whole) = json::integer(token, MAX_INTEGER)
    {
        return Ok(whole);
    }
    let value = json::float(token).map_err(|reason| Fault::new(field, reason))?;
    let rounded = (value * f64::from(unit_ms)).round();
    if value < 0.0 {
        return Err(Fault::new(field, format!("{} is negative", json::short(token))));
    }
    if rounded.is_nan() || rounded >= MAX_INTEGER as f64 {
        return Err(Fault::new(field, format!("{} is too large", json::short(token))));
    }
    Ok(rounded as u64)
}

/// Appends the events of one request: each block a prefix, the block before it its parent.
pub(super) fn push(rows: &mut Rows<'_>, prefixes: &[Span], timestamp_ms: u64, session_id: Span) -> Result<(), Fault> {
    let (tenant, model_id) = (rows.default_tenant(), rows.default_model());
    let bytes = rows.options.block_bytes;
    // Block ids are short and chained by the caller; what else an event must be is the same for all of a line.
    EventRef {
        prefix_id: "0",
        tenant: rows.str(tenant),
        model_id: rows.str(model_id),
        layer: 0,
        page_start: 0,
        page_end: 0,
        bytes,
        latency_ms: 0.0,
        timestamp_ms,
        parent_id: None,
        depth: None,
        session_id: Some(rows.str(session_id)),
        event_id: None,
    }
    .validate()?;
    let scope = rows.scope(tenant, model_id);
    let mut parent_id = Span::NONE;
    for (depth, prefix_id) in prefixes.iter().enumerate() {
        rows.push(EventColumns {
            prefix_id: *prefix_id,
            parent_id,
            session_id,
            event_id: Span::NONE,
            scope,
            layer: 0,
            page_start: 0,
            page_end: 0,
            depth: Some(depth as u32),
            bytes,
            timestamp_ms,
            latency_ms: 0.0,
        });
        parent_id = *prefix_id;
    }
    Ok(())
}
