//! The tiers of a configuration at work, and the way to move blocks between them.

use crate::config::Config;
use anyhow::bail;
use prefix_indexer::{
    cache::{CacheManager, CacheStats, SystemClock},
    prefetch::{Attempts, BlockKeys, Dress, FetchPolicy, TierFetcher, quiet_runtime},
};
use std::sync::Arc;
use tokio::runtime::Runtime;

pub(crate) struct Tiers {
    pub(crate) keys: BlockKeys,
    pub(crate) fetcher: Arc<TierFetcher>,
    dress: Dress,
    cache: CacheManager,
    runtime: Runtime,
}

impl Tiers {
    pub(crate) fn open(config: &Config) -> anyhow::Result<Tiers> {
        let keys = config.blocks.keys()?;
        if config.cache.tiers.len() < 2 {
            bail!(
                "[[cache.tiers]]: blocks move from the second tier (or those after it) to the first; there is no second"
            );
        }
        let runtime = quiet_runtime()?;
        let cache = runtime.block_on(config.open_cache_of_blocks())?;
        let dress = Dress { base_ttl: config.cache.default_ttl.0, clock: Arc::new(SystemClock) };
        let fetcher = TierFetcher::new(cache.clone(), runtime.handle().clone(), config.blocks.value, dress.clone());
        Ok(Tiers { keys, fetcher: Arc::new(fetcher), dress, cache, runtime })
    }

    /// Moves within a policy.
    pub(crate) fn attempts(&self, policy: FetchPolicy) -> Attempts {
        Attempts::new(Arc::clone(&self.fetcher) as _, None, self.dress.clone(), policy)
    }

    /// Asks the tiers how they are, each time it is called.
    pub(crate) fn ask(&self) -> impl Fn() -> CacheStats + Send + Sync + 'static {
        let (cache, runtime) = (self.cache.clone(), self.runtime.handle().clone());
        move || runtime.block_on(cache.stats())
    }
}
