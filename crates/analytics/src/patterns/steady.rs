//! A period from what an index keeps of every prefix, which is no list of times.

use super::UseTimes;
use crate::{Period, period::MIN_PERIOD_MS};
use prefix_indexer_models::{GAP_BOUNDS_MS, Tally};

/// Gaps that differ by more than this share of the smoothed one are no period.
const DEVIATION: f64 = 0.1;

/// The dominant period of a prefix, where its tally tells.
///
/// Of four distinct times of use it tells all of them, so the period is that of [`dominant_period`](crate::dominant_period). Of more
/// it tells the first gap, the newest, the smoothed one, and how many were about as long: when the first three are within 10 % of
/// each other and all others lie in the bins around them, the smoothed gap is the period, and 1 less the largest
/// deviation its strength. In all other cases the period is unknown, not absent: a [`UseTimes`] would know.
pub fn known_period(tally: &Tally) -> Option<Period> {
    let gaps = &tally.gaps;
    if gaps.count() <= 3 {
        return UseTimes::begin(tally)?.period();
    }
    let period_ms = gaps.smoothed_ms;
    let deviation = |gap_ms: u32| (f64::from(gap_ms) - period_ms).abs() / period_ms;
    let most = f64::max(deviation(gaps.first_ms), deviation(gaps.last_ms));
    let is_near = |gap_ms: f64| (gap_ms - period_ms).abs() <= DEVIATION * period_ms;
    let others = gaps.histogram.iter().enumerate().filter(|(_, count)| **count > 0);
    let mut bounds = others.map(|(bin, _)| {
        let from = bin.checked_sub(1).and_then(|bin| GAP_BOUNDS_MS.get(bin)).map_or(0.0, |&bound| bound as f64);
        let to = GAP_BOUNDS_MS.get(bin).map_or(f64::INFINITY, |&bound| bound as f64);
        // A bin that the period lies in, or that begins or ends next to it.
        (from..to).contains(&period_ms) || is_near(from) || is_near(to)
    });
    let is_steady = period_ms >= MIN_PERIOD_MS as f64 && most <= DEVIATION && bounds.all(|near| near);
    is_steady.then(|| Period { period_ms: period_ms.round() as u64, strength: 1.0 - most })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::used_at::used_at;

    fn check(times_ms: &[u64], expect: Option<(u64, f64)>) {
        let found = known_period(&used_at(times_ms));
        assert_eq!(found.map(|period| (period.period_ms, period.strength)), expect, "{times_ms:?}");
    }

    #[test]
    fn periods_that_a_tally_tells() {
        let every = |gap_ms: u64, count: u64| (0..count).map(|number| 7 + number * gap_ms).collect::<Vec<_>>();
        check(&[], None);
        check(&every(60_000, 3), None);
        check(&every(60_000, 4), Some((60_000, 1.0)));
        check(&every(60_000, 50), Some((60_000, 1.0)));
        check(&every(600_000, 9), Some((600_000, 1.0)));
        // A gap of another length in between.
        let mut broken = every(60_000, 9);
        broken.extend([8 * 60_000 + 1_000_000, 8 * 60_000 + 1_060_000]);
        check(&broken, None);
        // Bursts, and what is too quick.
        check(&[0, 5, 60_000, 60_005, 120_000, 120_005], None);
        check(&every(2, 60), None);
    }
}
