//! The times of use of one key, in bounded memory.

use crate::period::{self, MAX_PERIOD_POINTS, MIN_PERIOD_POINTS, Period};
use prefix_indexer_models::Tally;
use serde::{Deserialize, Serialize};

/// Times kept when a full list is thinned out. Well under the limit, so that thinning is rare.
const KEPT: usize = MAX_PERIOD_POINTS * 3 / 4;

/// A burst of more uses than this is no burst but a new habit: what came before it is forgotten.
const LONGEST_BURST: u16 = 256;

/// The newest times of use of one key, at most [`MAX_PERIOD_POINTS`], where a burst of uses counts as one.
///
/// Amortised constant time a use. When the list is full, bursts are recognised and only their first use is kept, and then
/// the oldest times go: so the list covers up to 64 bursts, however many uses each has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UseTimes {
    /// Ascending and distinct.
    times_ms: Vec<u64>,
    /// The newest use, also if it is part of a burst.
    last_ms: u64,
    /// A use at most this long after another belongs to the same burst; 0 until bursts have been seen.
    burst_ms: u64,
    /// Uses in the burst going on that were not kept.
    burst_uses: u16,
}

impl UseTimes {
    /// The times of a key that has just been used at its fourth distinct time; none before. For a longer history the list
    /// begins with the last use.
    pub fn begin(tally: &Tally) -> Option<UseTimes> {
        let gaps = tally.gaps.count();
        if (gaps as usize) < MIN_PERIOD_POINTS - 1 {
            return None;
        }
        if gaps as usize == MIN_PERIOD_POINTS - 1 {
            return Some(UseTimes::few(tally));
        }
        let mut times = UseTimes::default();
        times.record(tally.last_seen_ms);
        Some(times)
    }

    /// All times of a key with at most four, from what the tally has: first and last use, first and last gap.
    pub(crate) fn few(tally: &Tally) -> UseTimes {
        if tally.hit_count == 0 {
            return UseTimes::default();
        }
        let (first, last) = (tally.first_seen_ms, tally.last_seen_ms);
        let second = first.saturating_add(u64::from(tally.gaps.first_ms)).min(last);
        let third = last.saturating_sub(u64::from(tally.gaps.last_ms)).max(second);
        let mut times = UseTimes::default();
        [first, second, third, last].into_iter().for_each(|time_ms| times.record(time_ms));
        times
    }

    /// Adds a use. One older than all that are kept is ignored when the list is three quarters full or bursts are known.
    pub fn record(&mut self, time_ms: u64) {
        if self.times_ms.is_empty() || time_ms > self.last_ms {
            self.append(time_ms);
        } else if let Err(place) = self.times_ms.binary_search(&time_ms)
            && (place > 0 || self.times_ms.len() < KEPT)
            && self.burst_ms == 0
        {
            self.times_ms.insert(place, time_ms);
        }
        if self.times_ms.len() > MAX_PERIOD_POINTS {
            self.thin_out();
        }
    }

    fn append(&mut self, time_ms: u64) {
        let gap_ms = time_ms - self.last_ms;
        self.last_ms = time_ms;
        if gap_ms <= self.burst_ms && !self.times_ms.is_empty() {
            self.burst_uses = self.burst_uses.saturating_add(1);
            if self.burst_uses <= LONGEST_BURST {
                return;
            }
            self.burst_ms = 0;
            self.times_ms.clear();
        }
        self.burst_uses = 0;
        self.times_ms.push(time_ms);
    }

    fn thin_out(&mut self) {
        self.burst_ms = self.burst_ms.max(period::longest_gap_inside(&self.times_ms));
        self.times_ms = period::starts(&self.times_ms, self.burst_ms);
        let extra = self.times_ms.len().saturating_sub(KEPT);
        self.times_ms.drain(..extra);
    }

    /// Adds the times of another part of the same key's history.
    ///
    /// Exact, that is as if all uses had been recorded here in order of time, as long as both together are at most
    /// [`MAX_PERIOD_POINTS`] and neither has left out uses of bursts. Otherwise the newest times of both are kept, and a gap
    /// that either takes for part of a burst is one.
    pub fn merge(&mut self, other: &UseTimes) {
        if other.last_ms >= self.last_ms {
            self.burst_uses = other.burst_uses;
        }
        self.last_ms = self.last_ms.max(other.last_ms);
        self.burst_ms = self.burst_ms.max(other.burst_ms);
        self.times_ms.extend_from_slice(&other.times_ms);
        self.times_ms.sort_unstable();
        self.times_ms.dedup();
        if self.times_ms.len() > MAX_PERIOD_POINTS {
            self.thin_out();
        }
    }

    /// The times kept, ascending.
    pub fn as_slice(&self) -> &[u64] {
        &self.times_ms
    }

    pub(crate) fn is_enough(&self) -> bool {
        self.times_ms.len() >= MIN_PERIOD_POINTS
    }

    /// Start of the newest burst, or the newest use where there are no bursts.
    pub(crate) fn newest_start_ms(&self) -> Option<u64> {
        let inside_ms = self.burst_ms.max(period::longest_gap_inside(&self.times_ms));
        period::starts(&self.times_ms, inside_ms).last().copied()
    }

    /// The dominant period; see [`dominant_period`](crate::dominant_period).
    pub fn period(&self) -> Option<Period> {
        period::of_times(&self.times_ms, self.burst_ms)
    }
}
