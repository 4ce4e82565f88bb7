//! Events in columns: what readers yield, the log stores and tables fold.

mod access;
mod slices;

pub(crate) use access::Use;
pub use slices::{EventSlices, NO_DEPTH};

use crate::{EventRef, PrefixEvent};
use std::ops::Range;

/// A range of bytes in the text of an [`EventBatch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// No string: an absent parent, session or event id. (The empty span; required strings are never empty.)
    pub const NONE: Span = Span { start: 0, end: 0 };

    /// Whether this is the empty span.
    #[inline]
    pub fn is_none(self) -> bool {
        self.start >= self.end
    }

    #[inline]
    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Tenant and model of some events of a batch. Few distinct ones occur, so events refer to them by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScopeSpans {
    /// Tenant.
    pub tenant: Span,
    /// Model id.
    pub model_id: Span,
}

/// One event of a batch whose strings are already in the batch's text.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "documented on PrefixEvent")]
pub struct EventColumns {
    pub prefix_id: Span,
    pub parent_id: Span,
    pub session_id: Span,
    pub event_id: Span,
    /// Number that [`EventBatch::scope`] gave.
    pub scope: u32,
    pub layer: u32,
    pub page_start: u32,
    pub page_end: u32,
    pub depth: Option<u32>,
    pub bytes: u64,
    pub timestamp_ms: u64,
    pub latency_ms: f64,
}

const ABSENT: u32 = u32::MAX;

/// Valid events, column by column, over one shared text.
///
/// A reader may hand over its input buffer as the text and only push spans into it, so that an event costs no
/// allocation and no copy. A batch is cleared and used again. Whoever pushes has validated the event
/// ([`EventRef::validate`]). The text holds at most 4 GiB.
#[derive(Debug, Clone, Default)]
pub struct EventBatch {
    text: String,
    scopes: Vec<ScopeSpans>,
    prefix_id: Vec<Span>,
    parent_id: Vec<Span>,
    session_id: Vec<Span>,
    event_id: Vec<Span>,
    scope: Vec<u32>,
    layer: Vec<u32>,
    page_start: Vec<u32>,
    page_end: Vec<u32>,
    depth: Vec<u32>,
    bytes: Vec<u64>,
    timestamp_ms: Vec<u64>,
    latency_ms: Vec<f64>,
}

impl EventBatch {
    /// An empty batch.
    pub fn new() -> EventBatch {
        EventBatch::default()
    }

    /// Number of events.
    #[inline]
    pub fn len(&self) -> usize {
        self.timestamp_ms.len()
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.timestamp_ms.is_empty()
    }

    /// Removes all events and the text, keeping the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.scopes.clear();
        self.truncate(0);
    }

    fn truncate(&mut self, len: usize) {
        self.prefix_id.truncate(len);
        self.parent_id.truncate(len);
        self.session_id.truncate(len);
        self.event_id.truncate(len);
        self.scope.truncate(len);
        self.layer.truncate(len);
        self.page_start.truncate(len);
        self.page_end.truncate(len);
        self.depth.truncate(len);
        self.bytes.truncate(len);
        self.timestamp_ms.truncate(len);
        self.latency_ms.truncate(len);
    }

    /// The text that all spans refer to.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Replaces the text of an empty batch, for readers that push spans into their own input.
    /// Returns the old one, so that its memory can be used again.
    ///
    /// Events pushed before would lose their strings, so the batch is cleared.
    pub fn set_text(&mut self, text: String) -> String {
        self.clear();
        std::mem::replace(&mut self.text, text)
    }

    /// Puts a text under the events that are there already, and returns the one before.
    ///
    /// A scanner holds the text while it pushes spans of it, and hands it over when it is done; until then the batch
    /// cannot resolve them, so it must number scopes with [`push_scope`](Self::push_scope).
    pub fn replace_text(&mut self, text: String) -> String {
        std::mem::replace(&mut self.text, text)
    }

    /// Appends a string to the text. The empty string gives [`Span::NONE`].
    pub fn push_text(&mut self, text: &str) -> Span {
        if text.is_empty() {
            return Span::NONE;
        }
        let start = self.text.len() as u32;
        self.text.push_str(text);
        Span { start, end: self.text.len() as u32 }
    }

    /// The string of a span. Spans of another batch give another string or, outside the text, the empty one.
    #[inline]
    pub fn str(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or("")
    }

    #[inline]
    fn optional(&self, span: Span) -> Option<&str> {
        (!span.is_none()).then(|| self.str(span))
    }

    /// The number of a tenant and model whose strings are in the text already. Equal names get equal numbers as long as
    /// few distinct ones alternate; at worst a name has several numbers, which costs time and changes nothing.
    pub fn scope(&mut self, tenant: Span, model_id: Span) -> u32 {
        const REMEMBERED: usize = 8;
        let same = |scope: &ScopeSpans| {
            self.str(scope.tenant) == self.str(tenant) && self.str(scope.model_id) == self.str(model_id)
        };
        let recent = self.scopes.len().saturating_sub(REMEMBERED);
        if let Some(found) = self.scopes.get(recent..).and_then(|scopes| scopes.iter().rposition(same)) {
            return (recent + found) as u32;
        }
        self.scopes.push(ScopeSpans { tenant, model_id });
        (self.scopes.len() - 1) as u32
    }

    /// A new number for a tenant and model, whether or not equal ones have one.
    #[inline]
    pub fn push_scope(&mut self, scope: ScopeSpans) -> u32 {
        self.scopes.push(scope);
        (self.scopes.len() - 1) as u32
    }

    /// Tenants and models, by number.
    pub fn scopes(&self) -> &[ScopeSpans] {
        &self.scopes
    }

    /// Appends a valid event whose strings are in the text.
    #[inline(always)] // the columns of a reader's event are in registers
    pub fn push_columns(&mut self, event: EventColumns) {
        self.prefix_id.push(event.prefix_id);
        self.parent_id.push(event.parent_id);
        self.session_id.push(event.session_id);
        self.event_id.push(event.event_id);
        self.scope.push(event.scope);
        self.layer.push(event.layer);
        self.page_start.push(event.page_start);
        self.page_end.push(event.page_end);
        self.depth.push(event.depth.unwrap_or(ABSENT));
        self.bytes.push(event.bytes);
        self.timestamp_ms.push(event.timestamp_ms);
        self.latency_ms.push(event.latency_ms);
    }

    /// Appends a valid event, copying its strings. An empty optional string counts as absent.
    pub fn push(&mut self, event: &EventRef<'_>) {
        let prefix_id = self.push_text(event.prefix_id);
        let parent_id = self.push_text(event.parent_id.unwrap_or(""));
        let session_id = self.push_text(event.session_id.unwrap_or(""));
        let event_id = self.push_text(event.event_id.unwrap_or(""));
        let known = self
            .scopes
            .last()
            .is_some_and(|last| self.str(last.tenant) == event.tenant && self.str(last.model_id) == event.model_id);
        let scope = if known {
            (self.scopes.len() - 1) as u32
        } else {
            let (tenant, model_id) = (self.push_text(event.tenant), self.push_text(event.model_id));
            self.scope(tenant, model_id)
        };
        self.push_columns(EventColumns {
            prefix_id,
            parent_id,
            session_id,
            event_id,
            scope,
            layer: event.layer,
            page_start: event.page_start,
            page_end: event.page_end,
            depth: event.depth,
            bytes: event.bytes,
            timestamp_ms: event.timestamp_ms,
            latency_ms: event.latency_ms,
        });
    }

    /// The event at a position.
    pub fn get(&self, index: usize) -> Option<EventRef<'_>> {
        (index < self.len()).then(|| self.at(index))
    }

    pub(crate) fn at(&self, index: usize) -> EventRef<'_> {
        let scope = self.scopes[self.scope[index] as usize];
        EventRef {
            prefix_id: self.str(self.prefix_id[index]),
            tenant: self.str(scope.tenant),
            model_id: self.str(scope.model_id),
            layer: self.layer[index],
            page_start: self.page_start[index],
            page_end: self.page_end[index],
            bytes: self.bytes[index],
            latency_ms: self.latency_ms[index],
            timestamp_ms: self.timestamp_ms[index],
            parent_id: self.optional(self.parent_id[index]),
            depth: self.depth_at(index),
            session_id: self.optional(self.session_id[index]),
            event_id: self.optional(self.event_id[index]),
        }
    }

    /// The events in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = EventRef<'_>> + Clone {
        (0..self.len()).map(|index| self.at(index))
    }

    /// Keeps the events for which `keep` says so, in order.
    pub fn retain(&mut self, mut keep: impl FnMut(&EventRef<'_>) -> bool) {
        let mut kept = 0;
        for index in 0..self.len() {
            if keep(&self.at(index)) {
                self.copy_event(index, kept);
                kept += 1;
            }
        }
        self.truncate(kept);
    }

    fn copy_event(&mut self, from: usize, to: usize) {
        self.prefix_id[to] = self.prefix_id[from];
        self.parent_id[to] = self.parent_id[from];
        self.session_id[to] = self.session_id[from];
        self.event_id[to] = self.event_id[from];
        self.scope[to] = self.scope[from];
        self.layer[to] = self.layer[from];
        self.page_start[to] = self.page_start[from];
        self.page_end[to] = self.page_end[from];
        self.depth[to] = self.depth[from];
        self.bytes[to] = self.bytes[from];
        self.timestamp_ms[to] = self.timestamp_ms[from];
        self.latency_ms[to] = self.latency_ms[from];
    }

    /// Whether any event carries an event id, that is, whether duplicates can be told.
    pub fn has_event_ids(&self) -> bool {
        self.event_id.iter().any(|span| !span.is_none())
    }

    /// Timestamps in milliseconds, by event.
    pub fn timestamps_ms(&self) -> &[u64] {
        &self.timestamp_ms
    }

    /// Bytes touched, by event.
    pub fn bytes(&self) -> &[u64] {
        &self.bytes
    }

    /// Bytes of memory that the batch holds on to.
    pub fn memory_bytes(&self) -> usize {
        const EVENT: usize = 4 * size_of::<Span>() + 5 * size_of::<u32>() + 3 * size_of::<u64>();
        self.text.capacity() + self.timestamp_ms.capacity() * EVENT
    }
}

impl FromIterator<PrefixEvent> for EventBatch {
    fn from_iter<I: IntoIterator<Item = PrefixEvent>>(events: I) -> EventBatch {
        let mut batch = EventBatch::new();
        events.into_iter().for_each(|event| batch.push(&event.as_ref()));
        batch
    }
}

impl<'a> FromIterator<EventRef<'a>> for EventBatch {
    fn from_iter<I: IntoIterator<Item = EventRef<'a>>>(events: I) -> EventBatch {
        let mut batch = EventBatch::new();
        events.into_iter().for_each(|event| batch.push(&event));
        batch
    }
}
