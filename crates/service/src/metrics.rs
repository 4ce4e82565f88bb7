//! What operators watch: counters, gauges and timings in the Prometheus text format.

use crate::{FeedbackLedger, cache_metrics::CacheMetrics, prefetch_metrics::PrefetchMetrics};
use prefix_indexer_cache::CacheStats;
use prefix_indexer_prefetch::PrefetchMeter;
use prefix_indexer_storage::{Appended, StoreStatus};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Why events were not taken.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Rejection {
    reason: &'static str,
}

const FULL: Rejection = Rejection { reason: "full" };
const FUTURE: Rejection = Rejection { reason: "future" };
const FAILED: Rejection = Rejection { reason: "failed" };
const DUPLICATE: Rejection = Rejection { reason: "duplicate" };

/// What became of an event on its way to the predictor.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Lesson {
    result: &'static str,
}

const LEARNED: Lesson = Lesson { result: "learned" };
const SKIPPED: Lesson = Lesson { result: "skipped" };

/// Upper bounds of timing histograms in seconds: 1 us to 16 s.
fn timings() -> Histogram {
    Histogram::new((0..13).map(|step| 1e-6 * 4f64.powi(step)))
}

pub(crate) fn exposition(registry: &Registry) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    encode(&mut text, registry).map_or_else(|_| String::new(), |()| text)
}

/// The numbers of one running index. Names as documented in docs/metrics.md, all beginning with `prefix_indexer_`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    events: Counter,
    rejected: Family<Rejection, Counter>,
    queue_depth: Gauge,
    sync_seconds: Histogram,
    suggest_seconds: Histogram,
    predict_events: Family<Lesson, Counter>,
    predict_seconds: Histogram,
    prefixes: Gauge,
    bytes: Gauge,
    generation: Gauge,
    cache: CacheMetrics,
    prefetch: PrefetchMetrics,
    status: Mutex<StoreStatus>,
}

impl Metrics {
    pub(crate) fn new() -> Metrics {
        let mut registry = Registry::with_prefix("prefix_indexer");
        let metrics = Metrics {
            events: Counter::default(),
            rejected: Family::default(),
            queue_depth: Gauge::default(),
            sync_seconds: timings(),
            suggest_seconds: timings(),
            predict_events: Family::default(),
            predict_seconds: timings(),
            prefixes: Gauge::default(),
            bytes: Gauge::default(),
            generation: Gauge::default(),
            cache: CacheMetrics::default(),
            prefetch: PrefetchMetrics::default(),
            status: Mutex::default(),
            registry: Registry::default(),
        };
        registry.register("ingest_events", "Events counted", metrics.events.clone());
        registry.register(
            "ingest_rejected",
            "Events not counted, by reason; whole batches where the queue was full",
            metrics.rejected.clone(),
        );
        registry.register("ingest_queue_depth", "Batches waiting for the writer", metrics.queue_depth.clone());
        registry.register("wal_sync_seconds", "Time to make a group of batches durable", metrics.sync_seconds.clone());
        registry.register("suggest_seconds", "Time to answer a query", metrics.suggest_seconds.clone());
        registry.register(
            "predict_events",
            "Events that the prediction of next requests was learned from, or that came too fast for it",
            metrics.predict_events.clone(),
        );
        registry.register("predict_seconds", "Time to predict a next request", metrics.predict_seconds.clone());
        registry.register("index_prefixes", "Distinct prefixes", metrics.prefixes.clone());
        registry.register("index_bytes", "Bytes on disk", metrics.bytes.clone());
        registry.register("index_generation", "Changes of the set of segments", metrics.generation.clone());
        registry.register_collector(Box::new(metrics.cache.clone()));
        registry.register_collector(Box::new(metrics.prefetch.clone()));
        Metrics { registry, ..metrics }
    }

    /// The Prometheus (OpenMetrics) text exposition.
    pub fn exposition(&self) -> String {
        exposition(&self.registry)
    }

    /// Exports what a prefetcher adds up to, from now on.
    pub fn follow_prefetch(&self, meter: PrefetchMeter) {
        self.prefetch.follow(meter);
    }

    /// What feedback adds up to, to be exported from now on.
    pub fn observe_feedback(&self, ledger: &FeedbackLedger) {
        self.prefetch.observe(ledger);
    }

    /// What a cache says of its tiers, to be exported from now on.
    pub fn observe_cache(&self, stats: CacheStats) {
        self.cache.observe(stats);
    }

    /// Events counted since the start.
    pub fn events(&self) -> u64 {
        self.events.get()
    }

    /// The store as the writer left it: after its last group of batches.
    pub fn status(&self) -> StoreStatus {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Batches waiting for the writer when it last looked.
    pub fn queued_batches(&self) -> u64 {
        self.queue_depth.get().unsigned_abs()
    }

    pub(crate) fn appended(&self, took: Duration, outcomes: &[Appended]) {
        self.sync_seconds.observe(took.as_secs_f64());
        self.events.inc_by(outcomes.iter().map(|outcome| outcome.events).sum());
        self.reject(&DUPLICATE, outcomes.iter().map(|outcome| outcome.duplicates).sum());
    }

    pub(crate) fn rejected_full(&self) {
        self.reject(&FULL, 1);
    }

    pub(crate) fn rejected_future(&self, events: u64) {
        self.reject(&FUTURE, events);
    }

    pub(crate) fn rejected_failed(&self, events: u64) {
        self.reject(&FAILED, events);
    }

    fn reject(&self, why: &Rejection, count: u64) {
        if count > 0 {
            self.rejected.get_or_create(why).inc_by(count);
        }
    }

    pub(crate) fn suggested(&self, took: Duration) {
        self.suggest_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn predicted(&self, took: Duration) {
        self.predict_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn learned_from(&self, events: u64) {
        self.predict_events.get_or_create(&LEARNED).inc_by(events);
    }

    pub(crate) fn not_learned_from(&self, events: u64) {
        self.predict_events.get_or_create(&SKIPPED).inc_by(events);
    }

    pub(crate) fn queue_depth(&self, batches: usize) {
        self.queue_depth.set(batches as i64);
    }

    pub(crate) fn observe(&self, status: &StoreStatus) {
        self.prefixes.set(status.prefixes as i64);
        self.bytes.set(status.bytes as i64);
        self.generation.set(status.generation as i64);
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = *status;
    }
}
