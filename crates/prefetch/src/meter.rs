//! What a block prefetcher adds up to, for whoever shows it while it runs.

use crate::{AdaptiveStats, PrefetchStats, ShadowReport, block_prefetcher::Core};
use serde::Serialize;
use std::sync::Arc;

/// What a block prefetcher adds up to at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct PrefetchTotals {
    /// Its fetches.
    pub fetches: PrefetchStats,
    /// Blocks that were to be fetched and turned out to be there.
    pub resident: u64,
    /// What became of the blocks that it fetched, or would have fetched.
    pub blocks: ShadowReport,
    /// Blocks of the cycle that runs whose fetch has not begun.
    pub queued: u64,
    /// What adaptive control chose, where it is on.
    pub adaptive: Option<AdaptiveStats>,
}

/// Reads the totals of a [`BlockPrefetcher`](crate::BlockPrefetcher), from any thread; costs some microseconds.
#[derive(Clone)]
pub struct PrefetchMeter {
    pub(crate) core: Arc<Core>,
}

impl PrefetchMeter {
    /// The totals now.
    pub fn totals(&self) -> PrefetchTotals {
        self.core.totals()
    }
}

impl std::fmt::Debug for PrefetchMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PrefetchMeter").field(&self.totals()).finish()
    }
}
