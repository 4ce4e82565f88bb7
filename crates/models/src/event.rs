//! One use of a prefix.

use crate::EventError;
use serde::{Deserialize, Serialize};

/// The largest `bytes` and `timestamp_ms`: what a signed 64-bit column of any other system can hold.
pub const MAX_INTEGER: u64 = i64::MAX as u64;

/// The longest accepted string in bytes.
pub(crate) const MAX_TEXT: usize = (1 << 24) - 1;

/// One use of a prefix, owned. The native JSON Lines format is this struct, a line each.
///
/// Readers and the index work on [`EventRef`], which borrows; this one is for programs that make events.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PrefixEvent {
    /// Names the prefix (a block *and all that precedes it*) within tenant and model.
    pub prefix_id: String,
    /// Whose request it was.
    pub tenant: String,
    /// Model, with whatever else keeps KV blocks apart (version, adapter, dtype).
    pub model_id: String,
    /// Layer the event is about.
    pub layer: u32,
    /// First KV page.
    pub page_start: u32,
    /// Last KV page, at least `page_start`.
    pub page_end: u32,
    /// Bytes touched, at most [`MAX_INTEGER`].
    pub bytes: u64,
    /// What the use cost in milliseconds, finite and at least 0.
    pub latency_ms: f64,
    /// When, in milliseconds of any one epoch, at most [`MAX_INTEGER`].
    pub timestamp_ms: u64,
    /// The prefix that this one extends by a block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// Blocks before this one in its chain; 0 for a chain head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<u32>,
    /// Conversation or agent session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Identity of the event: a second one of the same prefix with the same id is a duplicate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
}

impl PrefixEvent {
    /// The same event, borrowed.
    pub fn as_ref(&self) -> EventRef<'_> {
        EventRef {
            prefix_id: &self.prefix_id,
            tenant: &self.tenant,
            model_id: &self.model_id,
            layer: self.layer,
            page_start: self.page_start,
            page_end: self.page_end,
            bytes: self.bytes,
            latency_ms: self.latency_ms,
            timestamp_ms: self.timestamp_ms,
            parent_id: self.parent_id.as_deref(),
            depth: self.depth,
            session_id: self.session_id.as_deref(),
            event_id: self.event_id.as_deref(),
        }
    }
}

/// One use of a prefix, borrowed from a batch or a line. Fields as in [`PrefixEvent`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[expect(missing_docs, reason = "documented on PrefixEvent")]
pub struct EventRef<'a> {
    pub prefix_id: &'a str,
    pub tenant: &'a str,
    pub model_id: &'a str,
    pub layer: u32,
    pub page_start: u32,
    pub page_end: u32,
    pub bytes: u64,
    pub latency_ms: f64,
    pub timestamp_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<&'a str>,
}

impl EventRef<'_> {
    /// Whether an index may count this event.
    ///
    /// # Errors
    /// [`EventError`] names the first field, in the order of the native format, that breaks its bound.
    pub fn validate(&self) -> Result<(), EventError> {
        let required = [("prefix_id", self.prefix_id), ("tenant", self.tenant), ("model_id", self.model_id)];
        for (field, text) in required {
            if text.is_empty() {
                return Err(EventError::Empty { field });
            }
        }
        let optional = [("parent_id", self.parent_id), ("session_id", self.session_id), ("event_id", self.event_id)];
        let given = optional.into_iter().filter_map(|(field, text)| Some((field, text?)));
        for (field, text) in required.into_iter().chain(given) {
            if text.len() > MAX_TEXT {
                return Err(EventError::TooLong { field, bytes: text.len(), max: MAX_TEXT });
            }
        }
        for (field, value) in [("bytes", self.bytes), ("timestamp_ms", self.timestamp_ms)] {
            if value > MAX_INTEGER {
                return Err(EventError::TooLarge { field, value, max: MAX_INTEGER });
            }
        }
        if self.page_end < self.page_start {
            return Err(EventError::PageRange { start: self.page_start, end: self.page_end });
        }
        if !(self.latency_ms.is_finite() && self.latency_ms >= 0.0) {
            return Err(EventError::Latency { value: self.latency_ms });
        }
        if self.parent_id == Some(self.prefix_id) {
            return Err(EventError::SelfParent);
        }
        Ok(())
    }

    /// An owned copy.
    pub fn to_event(&self) -> PrefixEvent {
        PrefixEvent {
            prefix_id: self.prefix_id.to_owned(),
            tenant: self.tenant.to_owned(),
            model_id: self.model_id.to_owned(),
            layer: self.layer,
            page_start: self.page_start,
            page_end: self.page_end,
            bytes: self.bytes,
            latency_ms: self.latency_ms,
            timestamp_ms: self.timestamp_ms,
            parent_id: self.parent_id.map(str::to_owned),
            depth: self.depth,
            session_id: self.session_id.map(str::to_owned),
            event_id: self.event_id.map(str::to_owned),
        }
    }
}
