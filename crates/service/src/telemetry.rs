//! Numbers for a planner's telemetry, and where they go.

use prefix_indexer_analytics::{Freshness, Metrics as IndexMetrics, PlanPrecision};
use prefix_indexer_storage::{StorageError, StoreStatus, View};
use std::io::Write;

/// Prefixes that are looked at: a share of them is right to about 2 %, and exact where there are no more.
const SAMPLE: u64 = 4_096;

/// Takes the index's numbers at every flush interval. An implementation must not wait: it runs on the writer thread.
pub trait TelemetrySink: Send {
    /// Takes one set of numbers.
    fn record(&mut self, metrics: &IndexMetrics);
}

/// Writes one JSON object a line.
#[derive(Debug)]
pub struct JsonLinesSink<W> {
    out: W,
}

impl<W: Write + Send> JsonLinesSink<W> {
    /// Lines go to `out`, each flushed.
    pub fn new(out: W) -> JsonLinesSink<W> {
        JsonLinesSink { out }
    }
}

impl<W: Write + Send> TelemetrySink for JsonLinesSink<W> {
    fn record(&mut self, metrics: &IndexMetrics) {
        let written = serde_json::to_string(metrics)
            .map_err(std::io::Error::from)
            .and_then(|line| writeln!(self.out, "{line}"))
            .and_then(|()| self.out.flush());
        if let Err(error) = written {
            tracing::warn!(%error, "telemetry was not written");
        }
    }
}

/// Emits one `tracing` event, target `prefix_indexer::telemetry`, level info.
#[derive(Debug, Default)]
pub struct TracingSink;

impl TelemetrySink for TracingSink {
    fn record(&mut self, metrics: &IndexMetrics) {
        tracing::info!(
            target: "prefix_indexer::telemetry",
            events = metrics.events,
            bytes = metrics.bytes,
            prefixes = metrics.prefixes,
            ingest_lag_ms = metrics.ingest_lag_ms,
            age_ms = metrics.freshness.age_ms,
            active_share = metrics.freshness.active_share,
            plan_precision = metrics.plans.precision(),
            "index"
        );
    }
}

/// The numbers of an index as of `now_ms`. The share of prefixes used within one half-life (the ladder's longest) before it is that of
/// some 4,096 prefixes, so that it costs the writer thread as little in a large index as in a small one.
///
/// # Errors
/// A page of the index that fails its checksum.
pub fn measure(
    status: &StoreStatus,
    view: &View,
    now_ms: u64,
    ingest_lag_ms: Option<u64>,
    plans: PlanPrecision,
) -> Result<IndexMetrics, StorageError> {
    let newest_ms = (status.prefixes > 0).then(|| view.newest_ms());
    let half_life_ms = view.spec().ladder.half_lives_ms().last().unwrap_or(0);
    let since = Freshness::active_since(newest_ms, now_ms, half_life_ms);
    let sample = view.sample(SAMPLE)?;
    let active = sample.iter().filter(|row| row.last_seen_ms() >= since).count() as u64;
    Ok(IndexMetrics {
        events: status.counters.events,
        bytes: status.counters.bytes,
        prefixes: status.prefixes,
        ingest_lag_ms,
        freshness: Freshness::new(newest_ms, now_ms, active, sample.len() as u64),
        plans,
    })
}
