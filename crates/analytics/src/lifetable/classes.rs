//! Classes of prefixes that come back alike: by uses so far and by the last gap.

use prefix_indexer_models::Tally;
use serde::{Deserialize, Serialize};

/// Bounds (inclusive) of the classes by uses so far; a last class has more.
const USES: [u64; 5] = [1, 2, 4, 8, 16];
/// Bounds (exclusive, in milliseconds) of the classes by last gap; a last class has longer ones.
const GAPS_MS: [u64; 4] = [5_000, 30_000, 120_000, 600_000];

pub(super) const USE_CLASSES: usize = USES.len() + 1;
/// With a class for those that have no gap yet.
pub(super) const GAP_CLASSES: usize = GAPS_MS.len() + 2;
pub(super) const CLASSES: usize = USE_CLASSES * GAP_CLASSES;

/// A prefix between two uses: what the life table wants to know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Distinct times of use so far.
    pub uses: u64,
    /// Time between the last two, in milliseconds; none after the first.
    pub last_gap_ms: Option<u64>,
    /// When it was last used, in milliseconds.
    pub last_use_ms: u64,
}

impl Waiting {
    /// After a first use.
    pub fn first(time_ms: u64) -> Waiting {
        Waiting { uses: 1, last_gap_ms: None, last_use_ms: time_ms }
    }

    /// From an index's tally.
    pub fn of(tally: &Tally) -> Waiting {
        let last_gap_ms = (tally.gaps.last_ms > 0).then_some(u64::from(tally.gaps.last_ms));
        Waiting { uses: u64::from(tally.gaps.count()) + 1, last_gap_ms, last_use_ms: tally.last_seen_ms }
    }

    /// After another use. One that is not later than the last is no new use.
    #[inline]
    #[must_use]
    pub fn used(&self, time_ms: u64) -> Waiting {
        if time_ms <= self.last_use_ms {
            return *self;
        }
        Waiting {
            uses: self.uses.saturating_add(1),
            last_gap_ms: Some(time_ms - self.last_use_ms),
            last_use_ms: time_ms,
        }
    }

    #[inline]
    pub(super) fn class(&self) -> usize {
        class(use_class(self.uses), gap_class(self.last_gap_ms))
    }
}

#[inline]
pub(super) fn class(use_class: usize, gap_class: usize) -> usize {
    use_class * GAP_CLASSES + gap_class
}

#[inline]
pub(super) fn use_class(uses: u64) -> usize {
    USES.iter().map(|&bound| usize::from(uses > bound)).sum()
}

#[inline]
pub(super) fn gap_class(gap_ms: Option<u64>) -> usize {
    gap_ms.map_or(0, |gap_ms| 1 + GAPS_MS.iter().map(|&bound| usize::from(gap_ms >= bound)).sum::<usize>())
}

/// The coarser class of each class: by last gap alone. It says more than the count does.
pub(super) fn groups() -> [usize; CLASSES] {
    std::array::from_fn(|class| class % GAP_CLASSES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        let check = |uses, gap_ms, expect: (usize, usize)| {
            assert_eq!((use_class(uses), gap_class(gap_ms)), expect, "{uses} uses, gap {gap_ms:?}");
        };
        check(1, None, (0, 0));
        check(2, Some(1), (1, 1));
        check(3, Some(4_999), (2, 1));
        check(4, Some(5_000), (2, 2));
        check(5, Some(30_000), (3, 3));
        check(16, Some(120_000), (4, 4));
        check(17, Some(600_000), (5, 5));
        check(u64::MAX, Some(u64::MAX), (5, 5));
        let thrice = Waiting::first(1_000).used(3_000).used(3_000).used(2_000).used(10_000);
        assert_eq!(thrice, Waiting { uses: 3, last_gap_ms: Some(7_000), last_use_ms: 10_000 });
    }
}
