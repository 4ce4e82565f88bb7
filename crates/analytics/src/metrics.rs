//! What the telemetry of a planner reads: plain numbers, put into words and formats elsewhere.

use crate::Freshness;
use serde::{Deserialize, Serialize};

/// State of an index in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Metrics {
    /// Events counted since the index was made.
    pub events: u64,
    /// Traffic of these events in bytes.
    pub bytes: u64,
    /// Distinct prefixes in the index.
    pub prefixes: u64,
    /// How old the newest event was when it was counted, in milliseconds; none before the first.
    pub ingest_lag_ms: Option<u64>,
    /// Age of the newest event, share of prefixes in use.
    pub freshness: Freshness,
    /// What became of what was planned.
    pub plans: PlanPrecision,
}

/// How many planned prefixes were used, as far as feedback told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PlanPrecision {
    /// Planned and used.
    pub used: u64,
    /// Planned and not used.
    pub unused: u64,
}

impl PlanPrecision {
    /// Counts feedback on one planned prefix.
    pub fn count(&mut self, used: bool) {
        let counter = if used { &mut self.used } else { &mut self.unused };
        *counter = counter.saturating_add(1);
    }

    /// Adds the feedback of another time or machine.
    pub fn merge(&mut self, other: PlanPrecision) {
        self.used = self.used.saturating_add(other.used);
        self.unused = self.unused.saturating_add(other.unused);
    }

    /// Share of the planned prefixes that were used, 0 to 1; none without feedback.
    ///
    /// ```
    /// let plans = prefix_indexer_analytics::PlanPrecision { used: 3, unused: 1 };
    /// assert_eq!(plans.precision(), Some(0.75));
    /// ```
    pub fn precision(self) -> Option<f64> {
        let reported = self.used as f64 + self.unused as f64;
        (reported > 0.0).then(|| self.used as f64 / reported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feedback_adds_up() {
        let mut plans = PlanPrecision::default();
        assert_eq!(plans.precision(), None);
        [true, false, true, true].into_iter().for_each(|used| plans.count(used));
        plans.merge(PlanPrecision { used: u64::MAX, unused: 1 });
        assert_eq!(plans, PlanPrecision { used: u64::MAX, unused: 2 });
        assert!(plans.precision().is_some_and(|precision| precision <= 1.0));
    }
}
