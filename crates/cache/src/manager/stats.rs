//! Counts that do not lie, and do not slow a hit down.

use crate::BackendStats;
use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

/// A counter that threads do not fight over: each adds to a cell of its own cache line.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    cells: [Cell; CELLS],
}

const CELLS: usize = 16;

#[derive(Debug, Default)]
#[repr(align(128))]
struct Cell(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local!(static CELL: usize = NEXT.fetch_add(1, Relaxed) % CELLS);
        self.cells[CELL.with(|&cell| cell)].0.fetch_add(count, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.cells.iter().map(|cell| cell.0.load(Relaxed)).sum()
    }
}

/// The live counts of a tier. What is not on the path of a hit is a plain number.
#[derive(Debug, Default)]
pub(super) struct TierCounts {
    pub(super) hits: Counter,
    pub(super) misses: Counter,
    pub(super) errors: AtomicU64,
    pub(super) timeouts: AtomicU64,
    pub(super) open: AtomicU64,
    pub(super) behind: AtomicU64,
    pub(super) writes: Counter,
    pub(super) write_errors: AtomicU64,
    pub(super) fills: AtomicU64,
    pub(super) fills_refused: AtomicU64,
    pub(super) replayed: AtomicU64,
}

/// What became of the requests to one tier, each counted once, since the manager was made.
///
/// `hits + misses + errors + timeouts + open + behind` is the number of times a read came to this tier.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TierStats {
    /// The tier's name.
    pub tier: Arc<str>,
    /// Whether its circuit breaker is closed.
    pub up: bool,
    /// Reads that found the key.
    pub hits: u64,
    /// Reads that found it absent.
    pub misses: u64,
    /// Reads that failed.
    pub errors: u64,
    /// Reads that were given up on.
    pub timeouts: u64,
    /// Reads that passed it by while its breaker was open.
    pub open: u64,
    /// Reads that passed it by because it has yet to catch up on the key.
    pub behind: u64,
    /// Sets, deletes and clears that it took, fills and replays apart.
    pub writes: u64,
    /// Sets, deletes and clears that it failed, refused, or that were put off.
    pub write_errors: u64,
    /// Copies it got because a lower tier had the key.
    pub fills: u64,
    /// Copies it did not get: newer writes, too many at once, or a failure.
    pub fills_refused: u64,
    /// Missed changes that were replayed.
    pub replayed: u64,
    /// Missed changes that wait to be replayed.
    pub pending: u64,
    /// What the backend says of itself, where it answered.
    pub backend: Option<BackendStats>,
}

/// What became of the requests to a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Keys asked for and found in some tier: the sum of the tiers' hits.
    pub hits: u64,
    /// Keys asked for and found in none.
    pub misses: u64,
    /// Loads that ran.
    pub loads: u64,
    /// Loads that failed or panicked.
    pub load_errors: u64,
    /// Callers that joined a load that was under way.
    pub loads_shared: u64,
    /// Each tier, in the order in which they are asked.
    pub tiers: Vec<TierStats>,
}

impl CacheStats {
    /// Hits over requests; 0 before the first.
    pub fn hit_ratio(&self) -> f64 {
        let requests = self.hits + self.misses;
        if requests == 0 { 0.0 } else { self.hits as f64 / requests as f64 }
    }
}
