//! What operators watch of a process that moves blocks and runs no index of its own.

use crate::{cache_metrics::CacheMetrics, metrics::exposition, prefetch_metrics::PrefetchMetrics};
use prefix_indexer_cache::CacheStats;
use prefix_indexer_prefetch::PrefetchMeter;
use prometheus_client::registry::Registry;

/// The numbers of a prefetcher and of the tiers that it moves blocks between. Names as in [`Metrics`](crate::Metrics).
#[derive(Debug)]
pub struct MoverMetrics {
    registry: Registry,
    cache: CacheMetrics,
}

impl MoverMetrics {
    /// Of a prefetcher; of its tiers once [`observe_cache`](Self::observe_cache) was told of them.
    pub fn new(meter: PrefetchMeter) -> MoverMetrics {
        let (mut registry, cache, prefetch) =
            (Registry::with_prefix("prefix_indexer"), CacheMetrics::default(), PrefetchMetrics::default());
        prefetch.follow(meter);
        registry.register_collector(Box::new(cache.clone()));
        registry.register_collector(Box::new(prefetch));
        MoverMetrics { registry, cache }
    }

    /// The Prometheus (OpenMetrics) text exposition.
    pub fn exposition(&self) -> String {
        exposition(&self.registry)
    }

    /// What a cache says of its tiers, to be exported from now on.
    pub fn observe_cache(&self, stats: CacheStats) {
        self.cache.observe(stats);
    }
}
