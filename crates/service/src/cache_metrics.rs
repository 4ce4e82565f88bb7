//! The counts of a cache, as Prometheus has them.
//!
//! A cache is asked asynchronously and a scrape is answered at once, so whoever serves the scrape hands over what the cache said
//! last; what was never handed over is not exported.

use prefix_indexer_cache::{CacheStats, TierStats};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// What a cache said last.
#[derive(Debug, Clone, Default)]
pub(crate) struct CacheMetrics {
    tiers: Arc<Mutex<Vec<TierStats>>>,
}

impl CacheMetrics {
    pub(crate) fn observe(&self, stats: CacheStats) {
        *self.tiers.lock().unwrap_or_else(PoisonError::into_inner) = stats.tiers;
    }
}

/// Each read that came to a tier is in exactly one of these.
fn results(tier: &TierStats) -> [(&'static str, u64); 6] {
    [
        ("hit", tier.hits),
        ("miss", tier.misses),
        ("error", tier.errors),
        ("timeout", tier.timeouts),
        ("open", tier.open),
        ("behind", tier.behind),
    ]
}

impl Collector for CacheMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let tiers = self.tiers.lock().unwrap_or_else(PoisonError::into_inner);
        if tiers.is_empty() {
            return Ok(());
        }
        let mut requests = encoder.encode_descriptor(
            "cache_requests",
            "Reads by tier and what came of them",
            None,
            MetricType::Counter,
        )?;
        for tier in tiers.iter() {
            for (result, count) in results(tier) {
                let labels = [("tier", &*tier.tier), ("result", result)];
                ConstCounter::new(count).encode(requests.encode_family(&labels)?)?;
            }
        }
        let mut fills = encoder.encode_descriptor(
            "cache_fills",
            "Copies that a tier got from those after it",
            None,
            MetricType::Counter,
        )?;
        for tier in tiers.iter() {
            ConstCounter::new(tier.fills).encode(fills.encode_family(&[("tier", &*tier.tier)])?)?;
        }
        let mut bytes =
            encoder.encode_descriptor("cache_bytes", "Bytes a tier holds, where it knows", None, MetricType::Gauge)?;
        for tier in tiers.iter() {
            if let Some(held) = tier.backend.and_then(|backend| backend.bytes) {
                let labels = [("tier", &*tier.tier)];
                ConstGauge::new(i64::try_from(held).unwrap_or(i64::MAX)).encode(bytes.encode_family(&labels)?)?;
            }
        }
        let mut up = encoder.encode_descriptor(
            "tier_up",
            "1 unless a tier is left alone after failures",
            None,
            MetricType::Gauge,
        )?;
        for tier in tiers.iter() {
            let labels = [("tier", &*tier.tier)];
            ConstGauge::new(i64::from(tier.up)).encode(up.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
