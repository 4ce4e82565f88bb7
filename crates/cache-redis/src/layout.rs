//! How entries are held by Redis.
//!
//! A value without metadata is a string under `prefix + key`, byte for byte: an engine can read it, and what an engine wrote is
//! read. A value with metadata is a hash: `v` is the value, `m:NAME` the metadata of that name. Both are one key, so that
//! Redis replaces, expires and evicts value and metadata together. The time to live is Redis's own.

use crate::connection::Transaction;
use bytes::Bytes;
use prefix_indexer_cache::{Entry, Metadata};
use redis::Value;
use std::time::Duration;

/// The largest string that Redis takes, unless configured otherwise.
pub(crate) const MAX_VALUE: u64 = 512 << 20;

/// The field of a hash that holds the value.
pub(crate) const VALUE_FIELD: &str = "v";
const METADATA_FIELD: &str = "m:";

/// A time to live of more milliseconds is for ever: some 30,000 years.
const MAX_TTL_MS: u128 = 1_000_000_000_000_000;

/// Adds the commands that make `key` hold `entry`, whose time to live is not zero.
pub(crate) fn set(commands: &mut Transaction, key: &str, entry: &Entry) {
    // Rounded up: a value that lives for less than a millisecond lives for one.
    let ttl_ms = entry.ttl.map(|ttl| ttl.as_nanos().div_ceil(1_000_000)).filter(|ms| *ms <= MAX_TTL_MS);
    let ttl_ms = ttl_ms.map(|ms| ms as u64);
    if entry.metadata.is_empty() {
        let set = commands.cmd("SET").arg(key).arg(&entry.value[..]);
        if let Some(ms) = ttl_ms {
            set.arg("PX").arg(ms);
        }
    } else {
        commands.cmd("UNLINK").arg(key);
        let set = commands.cmd("HSET").arg(key).arg(VALUE_FIELD).arg(&entry.value[..]);
        for (name, value) in entry.metadata.iter() {
            set.arg(format!("{METADATA_FIELD}{name}")).arg(value);
        }
        if let Some(ms) = ttl_ms {
            commands.cmd("PEXPIRE").arg(key).arg(ms);
        }
    }
}

/// The entry of a string, if `value` is one.
pub(crate) fn string_entry(value: Value, left: Option<Duration>) -> Option<Entry> {
    match value {
        Value::BulkString(value) => Some(Entry { value: value.into(), ttl: left, metadata: Metadata::default() }),
        _ => None,
    }
}

/// The entry of a hash; `None` for a hash that is not of ours, and for what is none.
pub(crate) fn hash_entry(value: Value, left: Option<Duration>) -> Option<Entry> {
    let (mut value_field, mut metadata) = (None, Vec::new());
    for (field, content) in value.into_map_iter().ok()? {
        let (Value::BulkString(field), Value::BulkString(content)) = (field, content) else { return None };
        if field == VALUE_FIELD.as_bytes() {
            value_field = Some(Bytes::from(content));
        } else {
            let field = String::from_utf8(field).ok()?;
            metadata.push((field.strip_prefix(METADATA_FIELD)?.to_owned(), String::from_utf8(content).ok()?));
        }
    }
    Some(Entry { value: value_field?, ttl: left, metadata: metadata.into_iter().collect() })
}

/// What `PTTL` says of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    Absent,
    ForEver,
    Time(Duration),
}

impl Left {
    pub(crate) fn of(answer: &Value) -> Left {
        match answer {
            Value::Int(-1) => Left::ForEver,
            Value::Int(ms) if *ms > 0 => Left::Time(Duration::from_millis(*ms as u64)),
            _ => Left::Absent,
        }
    }

    /// As an entry has it; `None` for an absent key.
    pub(crate) fn ttl(self) -> Option<Option<Duration>> {
        match self {
            Left::Absent => None,
            Left::ForEver => Some(None),
            Left::Time(left) => Some(Some(left)),
        }
    }
}

/// A pattern of Redis that matches whatever begins with `text`. What follows is ours to judge: its `?` is a byte, ours a character.
pub(crate) fn beginning_with(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern + "*"
}
