//! Many events at once, from files that hold them in columns.

use super::{ABSENT, EventBatch, Span};

/// Stands for no depth in [`EventSlices`].
pub const NO_DEPTH: u64 = ABSENT as u64;

/// Events of a batch whose strings are already in the batch's text, column by column, as wide as files have them. All columns
/// are of one length, but those of optional fields may be empty: then no event has the field.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "documented on PrefixEvent")]
pub struct EventSlices<'a> {
    pub prefix_id: &'a [Span],
    pub parent_id: &'a [Span],
    pub session_id: &'a [Span],
    pub event_id: &'a [Span],
    /// Numbers that [`EventBatch::scope`] gave.
    pub scope: &'a [u32],
    pub layer: &'a [u64],
    pub page_start: &'a [u64],
    pub page_end: &'a [u64],
    /// [`NO_DEPTH`] for none.
    pub depth: &'a [u64],
    pub bytes: &'a [u64],
    pub timestamp_ms: &'a [u64],
    pub latency_ms: &'a [f64],
}

impl EventBatch {
    /// Appends valid events whose strings are in the text: what [`push_columns`](Self::push_columns) does for each of them.
    /// Of columns of different lengths, as many as the shortest required one has.
    pub fn extend_columns(&mut self, events: &EventSlices<'_>) {
        let required = [
            events.prefix_id.len(),
            events.scope.len(),
            events.layer.len(),
            events.page_start.len(),
            events.page_end.len(),
            events.bytes.len(),
            events.timestamp_ms.len(),
            events.latency_ms.len(),
        ];
        let count = required.into_iter().min().unwrap_or(0);
        let len = self.len() + count;
        let narrow = |column: &mut Vec<u32>, values: &[u64], absent: u32| {
            column.extend(values.iter().take(count).map(|value| *value as u32));
            column.resize(len, absent);
        };
        narrow(&mut self.layer, events.layer, 0);
        narrow(&mut self.page_start, events.page_start, 0);
        narrow(&mut self.page_end, events.page_end, 0);
        narrow(&mut self.depth, events.depth, ABSENT);
        let copy = |column: &mut Vec<Span>, spans: &[Span]| {
            column.extend_from_slice(&spans[..spans.len().min(count)]);
            column.resize(len, Span::NONE);
        };
        copy(&mut self.prefix_id, events.prefix_id);
        copy(&mut self.parent_id, events.parent_id);
        copy(&mut self.session_id, events.session_id);
        copy(&mut self.event_id, events.event_id);
        self.scope.extend_from_slice(&events.scope[..count]);
        self.bytes.extend_from_slice(&events.bytes[..count]);
        self.timestamp_ms.extend_from_slice(&events.timestamp_ms[..count]);
        self.latency_ms.extend_from_slice(&events.latency_ms[..count]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventColumns, ScopeSpans};

    #[test]
    fn all_at_once_is_as_one_by_one() {
        let check = |depth: &[u64], session_id: &[Span]| {
            let mut one_by_one = EventBatch::new();
            let [a, b] = ["a", "b"].map(|text| one_by_one.push_text(text));
            let scope = one_by_one.push_scope(ScopeSpans { tenant: a, model_id: b });
            let mut at_once = one_by_one.clone();
            let (prefix_id, wholes, latency_ms) = ([a, b, a], [3, 5, 7], [0.5, 1.5, 2.5]);
            for index in 0..3 {
                one_by_one.push_columns(EventColumns {
                    prefix_id: prefix_id[index],
                    parent_id: Span::NONE,
                    session_id: session_id.get(index).copied().unwrap_or(Span::NONE),
                    event_id: Span::NONE,
                    scope,
                    layer: wholes[index] as u32,
                    page_start: wholes[index] as u32,
                    page_end: wholes[index] as u32,
                    depth: depth.get(index).map(|depth| *depth as u32),
                    bytes: wholes[index],
                    timestamp_ms: wholes[index],
                    latency_ms: latency_ms[index],
                });
            }
            at_once.extend_columns(&EventSlices {
                prefix_id: &prefix_id,
                parent_id: &[],
                session_id,
                event_id: &[],
                scope: &[scope; 3],
                layer: &wholes,
                page_start: &wholes,
                page_end: &wholes,
                depth,
                bytes: &wholes,
                timestamp_ms: &wholes,
                latency_ms: &latency_ms,
            });
            assert_eq!(at_once.len(), 3);
            assert!(at_once.iter().eq(one_by_one.iter()), "{depth:?} {session_id:?}");
        };
        let span = Span { start: 0, end: 1 };
        check(&[], &[]);
        check(&[1, 2, 3], &[]);
        check(&[], &[span, Span::NONE, span]);
    }
}
