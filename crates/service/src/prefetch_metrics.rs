//! What prefetching comes to, as Prometheus has it: by the worker, and by the plans of planners.

use crate::{FeedbackLedger, Outcome};
use prefix_indexer_prefetch::{PrefetchMeter, PrefetchTotals};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The prefetcher of this process, if it has one, and what feedback has said of planned prefixes.
#[derive(Debug, Clone, Default)]
pub(crate) struct PrefetchMetrics {
    sources: Arc<Mutex<Sources>>,
}

#[derive(Debug, Default)]
struct Sources {
    meter: Option<PrefetchMeter>,
    /// Planned prefixes by outcome: the most there have been, for a counter does not fall when a report is corrected.
    planned: BTreeMap<Outcome, u64>,
}

impl PrefetchMetrics {
    pub(crate) fn follow(&self, meter: PrefetchMeter) {
        self.lock().meter = Some(meter);
    }

    pub(crate) fn observe(&self, ledger: &FeedbackLedger) {
        let mut sources = self.lock();
        for (outcome, count) in ledger.totals() {
            let most = sources.planned.entry(outcome).or_default();
            *most = count.prefixes.max(*most);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sources {
    /// Blocks by outcome; the first five are there only with a prefetcher.
    fn blocks(&self, totals: Option<&PrefetchTotals>) -> Vec<(&'static str, u64)> {
        let blocks = totals.map(|totals| totals.blocks).unwrap_or_default();
        let mut counts = Vec::new();
        if let Some(PrefetchTotals { fetches, resident, .. }) = totals {
            counts.extend([
                ("fetched", fetches.succeeded),
                ("resident", *resident),
                ("missing", fetches.missing),
                ("failed", fetches.failed),
                ("expired", fetches.expired),
            ]);
        }
        let own = [
            (Outcome::Used, blocks.used),
            (Outcome::Wasted, blocks.wasted),
            (Outcome::Late, blocks.late),
            (Outcome::Evicted, blocks.evicted),
        ];
        let with_planned = |(outcome, own): (Outcome, u64)| {
            let planned = self.planned.get(&outcome).copied().unwrap_or(0);
            (outcome.name(), planned + own)
        };
        counts.extend(own.map(with_planned));
        counts
    }
}

impl Collector for PrefetchMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let sources = self.lock();
        let totals = sources.meter.as_ref().map(PrefetchMeter::totals);
        if totals.is_none() && sources.planned.is_empty() {
            return Ok(());
        }
        let help = "Prefetched blocks and planned prefixes by what became of them";
        let mut blocks = encoder.encode_descriptor("prefetch_blocks", help, None, MetricType::Counter)?;
        for (outcome, count) in sources.blocks(totals.as_ref()) {
            ConstCounter::new(count).encode(blocks.encode_family(&[("outcome", outcome)])?)?;
        }
        let Some(totals) = totals else { return Ok(()) };
        let bytes = ConstCounter::new(totals.fetches.bytes);
        bytes.encode(encoder.encode_descriptor("prefetch_bytes", "Bytes prefetched", None, MetricType::Counter)?)?;
        let mut gauge = |name: &str, help: &str, value: f64| {
            ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
        };
        gauge("prefetch_queue_depth", "Chosen blocks whose fetch has not begun", totals.queued as f64)?;
        let Some(adaptive) = totals.adaptive else { return Ok(()) };
        let least = adaptive.setting.min_probability;
        gauge("prefetch_min_probability", "Least score of a block, chosen by adaptive control", least)?;
        let rate = adaptive.setting.bytes_per_second;
        gauge("prefetch_bytes_per_second", "Limit chosen by adaptive control", rate)?;
        gauge("prefetch_window_value_ms", "What its newest window of evidence was worth", adaptive.value_ms)?;
        let mut counter = |name: &str, help: &str, count: u64| {
            ConstCounter::new(count).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
        };
        counter("prefetch_windows", "Windows of evidence that adaptive control has seen", adaptive.windows)?;
        counter("prefetch_explored", "Those in which it tried another setting than the best known", adaptive.explored)?;
        counter("prefetch_changes", "Times that it found the workload changed", adaptive.changes)
    }
}
