//! What a cycle of the block prefetcher decided, and what became of it.

use crate::{Candidate, PrefetchError};
use std::time::Duration;

/// One cycle.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Cycle {
    /// When it began, in milliseconds of the prefetcher's clock.
    pub now_ms: u64,
    /// Whether it only said what it would do.
    pub dry_run: bool,
    /// What it decided.
    pub plan: CyclePlan,
    /// What became of that.
    pub outcome: CycleOutcome,
}

/// What a cycle decided to fetch.
#[derive(Debug, Clone, Default)]
pub struct CyclePlan {
    /// Rows of the ranking that were looked at.
    pub scored: usize,
    /// The blocks, in the order of loading, with their scores and the keys they lie under.
    pub selected: Vec<(Candidate, String)>,
    /// How long the decision took.
    pub elapsed: Duration,
}

/// What became of a cycle's plan.
///
/// Outside of dry runs, `selected = fetched + missing + failed + cancelled + expired`, plus blocks that were not begun
/// because the cycle ended early, plus blocks that turned out to be resident only when they were fetched.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CycleOutcome {
    /// Rows of the ranking that were looked at.
    pub scored: usize,
    /// Blocks chosen.
    pub selected: usize,
    /// Rows that were passed over, or not fetched, because they were there.
    pub resident: usize,
    /// Blocks that were moved.
    pub fetched: usize,
    /// Blocks that no lower tier has.
    pub missing: usize,
    /// Blocks that could not be moved.
    pub failed: usize,
    /// Blocks that a stop called off.
    pub cancelled: usize,
    /// Blocks that waited too long.
    pub expired: usize,
    /// Bytes moved.
    pub bytes: u64,
    /// How long all of it took.
    pub elapsed: Duration,
    /// Why it ended before its plan did.
    pub ended_by: Option<PrefetchError>,
}

impl Cycle {
    /// Tells those who listen; one event a cycle, of level debug when there was nothing to do.
    pub(crate) fn trace(&self) {
        let CycleOutcome { scored, selected, resident, fetched, missing, failed, bytes, .. } = self.outcome;
        let elapsed_us = self.outcome.elapsed.as_micros() as u64;
        let ended_by = self.outcome.ended_by.as_ref().map(ToString::to_string).unwrap_or_default();
        macro_rules! event {
            ($level:ident) => {
                tracing::$level!(
                    scored,
                    selected,
                    resident,
                    fetched,
                    missing,
                    failed,
                    bytes,
                    elapsed_us,
                    dry_run = self.dry_run,
                    ended_by,
                    "prefetch cycle"
                )
            };
        }
        if selected == 0 && ended_by.is_empty() {
            event!(debug);
        } else {
            event!(info);
        }
    }
}
