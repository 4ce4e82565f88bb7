//! The block prefetcher: each cycle takes the next blocks down the ranking that are not there, and fetches them.
//!
//! A cycle asks its source for candidates, asks the destination which of them are there after all, fetches the rest in parallel,
//! ancestors first, and reports. It may be run by hand, or by a thread of its own at an interval.

mod engine;

pub(crate) use engine::Core;

use crate::{
    AdaptiveStats, Attempts, BlockKeys, CandidateSource, Destination, PrefetchConfig, PrefetchError, PrefetchStats,
    ShadowReport, cycle::Cycle, meter::PrefetchMeter,
};
use prefix_indexer_cache::Clock;
use std::{sync::Arc, thread::JoinHandle};

/// Hears of each cycle, on the thread that ran it.
pub type OnCycle = Box<dyn Fn(&Cycle) + Send + Sync>;

/// Loads the blocks that matter now. Dropping it stops it and waits for its thread.
pub struct BlockPrefetcher {
    core: Arc<Core>,
    thread: Option<JoinHandle<()>>,
}

/// What a block prefetcher works with.
pub struct BlockPrefetcherParts {
    /// Where candidates come from.
    pub source: Arc<dyn CandidateSource>,
    /// How they are fetched.
    pub attempts: Arc<Attempts>,
    /// Where they are wanted.
    pub destination: Arc<dyn Destination>,
    /// Their keys.
    pub keys: BlockKeys,
    /// The time of events; the wall clock for live traffic.
    pub clock: Arc<dyn Clock>,
    /// Hears of each cycle.
    pub on_cycle: Option<OnCycle>,
}

impl BlockPrefetcher {
    /// A prefetcher that does nothing yet.
    pub fn new(config: PrefetchConfig, parts: BlockPrefetcherParts) -> BlockPrefetcher {
        BlockPrefetcher { core: Arc::new(Core::new(config, parts)), thread: None }
    }

    /// Runs one cycle here and now.
    pub fn run_cycle(&self) -> Cycle {
        self.core.cycle()
    }

    /// Runs cycles on a thread of its own, one an interval, until it is stopped. One that runs goes on.
    ///
    /// # Errors
    /// [`PrefetchError::Thread`].
    pub fn start(&mut self) -> Result<(), PrefetchError> {
        if self.is_running() {
            return Ok(());
        }
        let core = Arc::clone(&self.core);
        let run = move || {
            while !core.cancel.is_cancelled() {
                core.cycle();
                // Woken at once by a stop.
                core.cancel.sleep(core.config.interval);
            }
        };
        let thread = std::thread::Builder::new().name("prefetch-cycle".into()).spawn(run);
        self.thread = Some(thread.map_err(|error| PrefetchError::Thread(Arc::new(error)))?);
        Ok(())
    }

    /// Whether it only says what it would do.
    pub fn is_dry_run(&self) -> bool {
        self.core.config.dry_run
    }

    /// Whether its thread runs.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Tells it to stop, for good, and does not wait: no fetch begins any more, and those under way are called off.
    pub fn signal_stop(&self) {
        self.core.cancel.cancel();
    }

    /// Stops it and waits for its thread.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.signal_stop();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }

    /// Leaves out blocks of a lower score from the next cycle on.
    pub fn set_min_score(&self, min_score: f64) {
        self.core.set_min_score(min_score);
    }

    /// What its fetches add up to.
    pub fn stats(&self) -> PrefetchStats {
        self.core.parts.attempts.stats()
    }

    /// What adaptive control chose so far, where it is on.
    pub fn adaptive(&self) -> Option<AdaptiveStats> {
        self.core.adaptive()
    }

    /// What was gained so far; in a dry run, what would have been.
    pub fn shadow(&self) -> ShadowReport {
        self.core.totals().blocks
    }

    /// Shows all of that to others, on whatever thread they ask.
    pub fn meter(&self) -> PrefetchMeter {
        PrefetchMeter { core: Arc::clone(&self.core) }
    }
}

impl Drop for BlockPrefetcher {
    fn drop(&mut self) {
        self.end();
    }
}

impl std::fmt::Debug for BlockPrefetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockPrefetcher").field("config", &self.core.config).finish_non_exhaustive()
    }
}
