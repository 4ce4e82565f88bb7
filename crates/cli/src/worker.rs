//! The continuous worker: a prefetcher over the tiers of a configuration, beside an index.

use crate::{candidates, config::Config, tiers::Tiers};
use prefix_indexer::{
    IndexReader,
    cache::{CacheStats, SystemClock},
    prefetch::{BlockPrefetcher, BlockPrefetcherParts, Cycle, OnCycle, PrefetchConfig},
};
use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

/// How often tiers are asked how they are.
const TIERS_ASKED_EVERY: Duration = Duration::from_secs(5);

/// Hears what tiers say of themselves.
type OnStats = Box<dyn Fn(CacheStats) + Send + Sync>;

/// Ends with everything that it uses.
pub(crate) struct Worker {
    // Before the tiers, whose threads do its work.
    pub(crate) prefetcher: BlockPrefetcher,
    stats: Arc<OnceLock<OnStats>>,
    _tiers: Tiers,
}

impl Worker {
    /// A worker that does nothing yet. `tell` hears of each cycle.
    pub(crate) fn new(
        settings: &Config,
        config: PrefetchConfig,
        index: IndexReader,
        tell: impl Fn(&Cycle) + Send + Sync + 'static,
    ) -> anyhow::Result<Worker> {
        let tiers = Tiers::open(settings)?;
        let stats = Arc::new(OnceLock::new());
        let parts = BlockPrefetcherParts {
            source: Arc::new(candidates::of(index, &config.policy)?),
            attempts: Arc::new(tiers.attempts(config.fetch)),
            destination: Arc::clone(&tiers.fetcher) as _,
            keys: tiers.keys.clone(),
            clock: Arc::new(SystemClock),
            on_cycle: Some(on_cycle(tell, tiers.ask(), Arc::clone(&stats))),
        };
        Ok(Worker { prefetcher: BlockPrefetcher::new(config, parts), stats, _tiers: tiers })
    }

    /// Whoever is to hear what the tiers say of themselves, every few seconds; the first one counts.
    pub(crate) fn on_stats(&self, hear: impl Fn(CacheStats) + Send + Sync + 'static) {
        drop(self.stats.set(Box::new(hear)));
    }
}

/// Tells of the cycle, and of the tiers if somebody listens.
fn on_cycle(
    tell: impl Fn(&Cycle) + Send + Sync + 'static,
    ask: impl Fn() -> CacheStats + Send + Sync + 'static,
    listener: Arc<OnceLock<OnStats>>,
) -> OnCycle {
    let asked: Mutex<Option<Instant>> = Mutex::default();
    Box::new(move |cycle| {
        tell(cycle);
        let Some(hear) = listener.get() else { return };
        let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.is_none_or(|at| at.elapsed() >= TIERS_ASKED_EVERY) {
            hear(ask());
            *asked = Some(Instant::now());
        }
    })
}
