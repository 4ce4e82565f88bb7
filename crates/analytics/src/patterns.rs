//! How a prefix comes back: how often, when next, at what period.
//!
//! How often and when next follow from the [`Tally`] that an index keeps of every prefix anyway. A period needs times of
//! use, and those are kept ([`UseTimes`]) only from the fourth on, at most 64 of them whatever the history: the tally knows the
//! first three. [`AccessPattern`] is both together, for whoever has no index.

mod hot;
mod steady;
mod times;

pub(crate) use hot::heat;
pub use hot::{HotKey, top_hot};
pub use steady::known_period;
pub use times::UseTimes;

use crate::Period;
use prefix_indexer_models::Tally;
use serde::{Deserialize, Serialize};

const HOUR_MS: f64 = 3_600_000.0;

/// Uses an hour over the recorded span, from the first use to the last; 0 under two uses or when all are at one time.
pub fn uses_per_hour(tally: &Tally) -> f64 {
    per_hour(tally, 1)
}

/// As [`uses_per_hour`], a span shorter than `least_span_ms` counted as that long.
pub(crate) fn per_hour(tally: &Tally, least_span_ms: u64) -> f64 {
    let span_ms = tally.last_seen_ms.saturating_sub(tally.first_seen_ms);
    if tally.hit_count < 2 || span_ms == 0 {
        return 0.0;
    }
    tally.hit_count as f64 * HOUR_MS / span_ms.max(least_span_ms) as f64
}

/// When the next use is to be expected: one smoothed gap ([`GAP_SMOOTHING`](prefix_indexer_models::GAP_SMOOTHING)) after the
/// last use. None before the second distinct time of use.
pub fn next_use_ms(tally: &Tally) -> Option<u64> {
    let gap_ms = tally.gaps.expected_ms()?;
    Some(tally.last_seen_ms.saturating_add(gap_ms.round() as u64))
}

/// What the uses of one key say about its future ones.
///
/// Fed use by use, or begun from the tally of an index. Memory: 200 bytes, and up to 0.5 KiB more from the fourth use on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccessPattern {
    tally: Tally,
    times: Option<UseTimes>,
}

impl Default for AccessPattern {
    fn default() -> AccessPattern {
        AccessPattern { tally: Tally::EMPTY, times: None }
    }
}

impl AccessPattern {
    /// A pattern that goes on from what an index knows.
    pub fn of(tally: &Tally, times: Option<UseTimes>) -> AccessPattern {
        AccessPattern { tally: *tally, times }
    }

    /// Counts a use of `bytes` bytes. One that is older than the newest is counted but adds no gap.
    pub fn record(&mut self, time_ms: u64, bytes: u64) {
        let one = Tally {
            hit_count: 1,
            total_bytes: bytes,
            footprint_bytes: bytes,
            first_seen_ms: time_ms,
            last_seen_ms: time_ms,
            ..Tally::EMPTY
        };
        self.tally.merge(&one);
        match &mut self.times {
            Some(times) => times.record(time_ms),
            None => self.times = UseTimes::begin(&self.tally),
        }
    }

    /// Adds what another part of the same key's history recorded, as [`Tally::merge`] and [`UseTimes::merge`] do.
    pub fn merge(&mut self, other: &AccessPattern) {
        let mut times = self.times.take().unwrap_or_else(|| UseTimes::few(&self.tally));
        match &other.times {
            Some(other) => times.merge(other),
            None => times.merge(&UseTimes::few(&other.tally)),
        }
        self.times = times.is_enough().then_some(times);
        self.tally.merge(&other.tally);
    }

    /// Counts, first and last use, gaps.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The times of use that are kept; none under four.
    pub fn times(&self) -> Option<&UseTimes> {
        self.times.as_ref()
    }

    /// See [`uses_per_hour`].
    pub fn uses_per_hour(&self) -> f64 {
        uses_per_hour(&self.tally)
    }

    /// See [`next_use_ms`].
    pub fn next_use_ms(&self) -> Option<u64> {
        next_use_ms(&self.tally)
    }

    /// The dominant period, where there is one; see [`dominant_period`](crate::dominant_period). Computed anew at each call,
    /// 0.1 to 0.2 ms for 64 times.
    pub fn period(&self) -> Option<Period> {
        self.times.as_ref()?.period()
    }

    /// When the next use (or burst of uses) is due at or after `now_ms`: by the period where there is one, else by the smoothed
    /// gap, in which case a use that is overdue is due now. None before the second distinct time of use.
    pub fn due_ms(&self, now_ms: u64) -> Option<u64> {
        if let Some(times) = &self.times
            && let (Some(period), Some(start_ms)) = (times.period(), times.newest_start_ms())
        {
            let missed = now_ms.saturating_sub(start_ms).div_ceil(period.period_ms).max(1);
            return Some(start_ms.saturating_add(missed.saturating_mul(period.period_ms)));
        }
        Some(self.next_use_ms()?.max(now_ms))
    }
}
