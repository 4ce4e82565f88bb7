//! How a prefix comes back: the times between its uses.

use serde::{Deserialize, Serialize};

/// Weight of the newest gap in the smoothed gap.
pub const GAP_SMOOTHING: f64 = 0.3;

/// Upper bounds (exclusive, in milliseconds) of the bins of the gap histogram; the last bin has none.
pub const GAP_BOUNDS_MS: [u64; 7] = [1_000, 10_000, 60_000, 300_000, 1_200_000, 3_600_000, 21_600_000];

/// The gaps between the distinct times of use of one prefix.
///
/// Uses in the same millisecond (the layers and pages of one request) are one time. A use older than the newest adds no
/// gap.
///
/// Merging is exact for parts that do not overlap in time: the smoothed gap is a linear recurrence, so the state after
/// "older, then newer" follows from both, with the gap between them. For parts that overlap, the true order of uses is
/// gone: histograms add, and the smoothed gap is the mean weighted by the number of gaps: an approximation.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Gaps {
    /// Exponentially smoothed gap in milliseconds ([`GAP_SMOOTHING`]); 0 when there is no gap yet.
    pub smoothed_ms: f64,
    /// The oldest gap in milliseconds, at most 49.7 days; needed to continue an older part exactly.
    pub first_ms: u32,
    /// The newest gap in milliseconds, at most 49.7 days.
    pub last_ms: u32,
    /// Gaps by length, see [`GAP_BOUNDS_MS`]; bins stop at 65,535.
    pub histogram: [u16; 8],
}

impl Gaps {
    /// Number of gaps, exact while no bin is full.
    pub fn count(&self) -> u32 {
        self.histogram.iter().map(|&bin| u32::from(bin)).sum()
    }

    /// The gap to expect next in milliseconds; none before the second use.
    pub fn expected_ms(&self) -> Option<f64> {
        (self.count() > 0).then_some(self.smoothed_ms)
    }

    /// Appends a gap of at least 1 ms.
    #[inline]
    pub(crate) fn push(&mut self, gap_ms: u64) {
        let gap = gap_ms as f64;
        let short = u32::try_from(gap_ms).unwrap_or(u32::MAX);
        if self.last_ms == 0 {
            self.smoothed_ms = gap;
            self.first_ms = short;
        } else {
            self.smoothed_ms += GAP_SMOOTHING * (gap - self.smoothed_ms);
        }
        self.last_ms = short;
        let bin = &mut self.histogram[bin(gap_ms)];
        *bin = bin.saturating_add(1);
    }

    /// The gaps of `older` followed, after a gap of `between_ms` (0: none, the times touch), by those of `newer`.
    pub(crate) fn concat(older: &Gaps, between_ms: u64, newer: &Gaps) -> Gaps {
        let mut joined = *older;
        if between_ms > 0 {
            joined.push(between_ms);
        }
        let count = newer.count();
        if count == 0 {
            return joined;
        }
        if joined.last_ms == 0 {
            return *newer;
        }
        // After n gaps the smoothed gap is keep^n times what it began with, plus what the gaps themselves bring. `newer`
        // began with its own first gap; here it begins with the state of `joined`.
        let keep = (1.0 - GAP_SMOOTHING).powi(count.min(10_000) as i32);
        joined.smoothed_ms = newer.smoothed_ms + keep * (joined.smoothed_ms - f64::from(newer.first_ms));
        joined.last_ms = newer.last_ms;
        joined.add_histogram(newer);
        joined
    }

    /// The gaps of two parts that overlap in time; `later` has the newer last use. Approximate.
    pub(crate) fn interleave(earlier: &Gaps, later: &Gaps) -> Gaps {
        let (a, b) = (f64::from(earlier.count()), f64::from(later.count()));
        let mut merged = if later.last_ms == 0 { *earlier } else { *later };
        merged.histogram = earlier.histogram;
        merged.add_histogram(later);
        if a + b > 0.0 {
            merged.smoothed_ms = (earlier.smoothed_ms * a + later.smoothed_ms * b) / (a + b);
        }
        merged
    }

    fn add_histogram(&mut self, other: &Gaps) {
        for (bin, more) in self.histogram.iter_mut().zip(other.histogram) {
            *bin = bin.saturating_add(more);
        }
    }
}

#[inline]
fn bin(gap_ms: u64) -> usize {
    GAP_BOUNDS_MS.iter().map(|&bound| usize::from(gap_ms >= bound)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(gaps: &[u64]) -> Gaps {
        let mut state = Gaps::default();
        gaps.iter().for_each(|&gap| state.push(gap));
        state
    }

    #[test]
    fn smoothing_and_bins() {
        let gaps = of(&[1000, 2000]);
        assert!((gaps.smoothed_ms - 1300.0).abs() < 1e-9);
        assert_eq!(gaps.histogram, [0, 2, 0, 0, 0, 0, 0, 0]);
        assert_eq!((gaps.first_ms, gaps.last_ms), (1000, 2000));
        assert_eq!(of(&[999, u64::MAX]).histogram, [1, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(Gaps::default().expected_ms(), None);
    }

    #[test]
    fn concatenation_is_exact() {
        let all = [500, 70_000, 30, 9_000, 4_000_000, 20, 61_000];
        for cut in 0..all.len() {
            let joined = Gaps::concat(&of(&all[..cut]), all[cut], &of(&all[cut + 1..]));
            let whole = of(&all);
            assert!((joined.smoothed_ms - whole.smoothed_ms).abs() < 1e-6 * whole.smoothed_ms, "cut {cut}");
            assert_eq!(Gaps { smoothed_ms: 0.0, ..joined }, Gaps { smoothed_ms: 0.0, ..whole }, "cut {cut}");
        }
    }
}
