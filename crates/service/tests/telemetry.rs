//! The sinks that come with the library.
#![expect(clippy::unwrap_used, reason = "tests")]

use prefix_indexer_analytics::{Freshness, Metrics, PlanPrecision};
use prefix_indexer_service::{JsonLinesSink, TelemetrySink, TracingSink};
use std::sync::{Arc, Mutex};
use tracing::{Event, Metadata, Subscriber, field::Visit, span};

const METRICS: Metrics = Metrics {
    events: 12,
    bytes: 4096,
    prefixes: 3,
    ingest_lag_ms: Some(5),
    freshness: Freshness { age_ms: Some(70), active_share: 0.5 },
    plans: PlanPrecision { used: 3, unused: 1 },
};

/// Keeps the fields of events as text.
#[derive(Clone, Default)]
struct Fields(Arc<Mutex<Vec<String>>>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0.lock().unwrap().push(format!("{field}={value:?}"));
    }
}

impl Subscriber for Fields {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "prefix_indexer::telemetry"
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[test]
fn a_line_a_record_and_an_event_a_record() {
    let mut lines = Vec::new();
    let mut sink = JsonLinesSink::new(&mut lines);
    sink.record(&METRICS);
    sink.record(&METRICS);
    let text = String::from_utf8(lines).unwrap();
    assert_eq!(text.lines().count(), 2);
    let read: Metrics = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(read, METRICS);

    let fields = Fields::default();
    tracing::subscriber::with_default(fields.clone(), || TracingSink.record(&METRICS));
    let fields = fields.0.lock().unwrap();
    for expected in ["events=12", "prefixes=3", "ingest_lag_ms=5", "active_share=0.5", "plan_precision=0.75"] {
        assert!(fields.iter().any(|field| field == expected), "{expected} in {fields:?}");
    }
}
