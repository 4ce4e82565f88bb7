//! The period at which something comes back, from nothing but the times of its uses.
//!
//! Uses of a job that runs every ten minutes are not ten minutes apart: runs start late, some are missed, each makes a
//! burst of uses. So the gaps are not looked at one by one. The uses are the points of a train; its autocorrelation at
//! a lag is the number of pairs of uses that far apart, compared with what uses at random would give. For each lag of a
//! grid ("bins") the pairs around its first four multiples are counted with a smooth bump that is 1 at the multiple and
//! 0 half-way to the next ("correlate"); the best lag counts only if so good a one is rare among random uses
//! ("confirm").
//!
//! Random means Poisson: arrivals without memory. Both limits below were set by simulating them, at each number of points,
//! and since a Poisson process looks the same at any scale, they hold for any rate; `tests/period.rs` measures that
//! fewer than 1 % of random trains are given a period. The estimator is the classical correlogram of a point process (Cox
//! and Lewis, "The Statistical Analysis of Series of Events", 1966, chapter 5) with a lag window.

mod bursts;

pub(crate) use bursts::{longest_gap_inside, starts};

use serde::{Deserialize, Serialize};

/// Fewest distinct times of use that can have a period.
pub const MIN_PERIOD_POINTS: usize = 4;

/// Most times of use that are looked at: the newest ones.
pub const MAX_PERIOD_POINTS: usize = 64;

/// Shortest period, in milliseconds, that is looked for. Times are whole milliseconds, so random uses a few milliseconds
/// apart have equal gaps by chance; and nobody prefetches for a use that comes this soon.
pub const MIN_PERIOD_MS: u64 = 50;

/// Multiples of a lag that are looked at. More would find a strict clock among more noise, but drift adds up: after
/// four gaps of +-20 % a third of the signal is left.
const MULTIPLES: f64 = 4.0;

/// Lags of the grid in an octave; neighbours differ by 4.4 %.
const LAGS_PER_OCTAVE: f64 = 16.0;

/// Periods that the times must span.
const LEAST_PERIODS: f64 = 3.0;

/// Most uses (or bursts) a period, on average. With more, slow ups and downs of random uses look periodic.
const USES_A_PERIOD: f64 = 3.0;

/// By how much the strength of a multiple must exceed that of a lag to be taken for the period instead.
const CLEARLY_STRONGER: f64 = 0.2;

/// Variance of the bump (scaled to -1..1) at a random place.
const BUMP_VARIANCE: f64 = 17.0 / 35.0;

/// A period and how well the uses keep to it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Period {
    /// Time from one use (or burst of uses) to the next, in milliseconds.
    pub period_ms: u64,
    /// Normalised autocorrelation of the uses at the period, 0 to 1: 1 for a clock, 0.3 to 0.4 for +-20 % jitter with
    /// 30 % of the runs missing.
    pub strength: f64,
}

/// The dominant period of some times of use; `None` under four distinct times and where there is no evidence of one.
///
/// The times may come in any order; of many, the newest [`MAX_PERIOD_POINTS`] (after bursts have been made one point each) are used.
/// Equal gaps of at least [`MIN_PERIOD_MS`] have that gap as their period, with strength 1. Takes 0.1 to 0.2 ms for 64 times.
///
/// ```
/// use prefix_indexer_analytics::dominant_period;
/// let period = dominant_period(&[0, 600_000, 1_200_000, 1_800_000]).unwrap();
/// assert_eq!((period.period_ms, period.strength), (600_000, 1.0));
/// assert_eq!(dominant_period(&[0, 600_000, 1_200_000]), None);
/// ```
pub fn dominant_period(times_ms: &[u64]) -> Option<Period> {
    let mut times = times_ms.to_vec();
    times.sort_unstable();
    times.dedup();
    of_times(&times, 0)
}

/// The dominant period of ascending distinct times, where gaps of up to `burst_ms` are known to lie inside bursts.
pub(crate) fn of_times(times: &[u64], burst_ms: u64) -> Option<Period> {
    if let Some(period_ms) = equal_gap(times) {
        return Some(Period { period_ms, strength: 1.0 });
    }
    let times = starts(times, burst_ms.max(longest_gap_inside(times)));
    let times = &times[times.len().saturating_sub(MAX_PERIOD_POINTS)..];
    if let Some(period_ms) = equal_gap(times) {
        return Some(Period { period_ms, strength: 1.0 });
    }
    let train = Train::new(times)?;
    let lag = train.best_lag().map(|lag| train.fundamental(lag)).or_else(|| train.even_gap())?;
    (lag.round() >= MIN_PERIOD_MS as f64)
        .then(|| Period { period_ms: lag.round() as u64, strength: train.strength(lag) })
}

/// The gap between any two neighbours, where it is always the same.
fn equal_gap(times: &[u64]) -> Option<u64> {
    let gap = times.get(1)?.checked_sub(times[0])?;
    let equal = times.len() >= MIN_PERIOD_POINTS && times.windows(2).all(|pair| pair[1] - pair[0] == gap);
    (equal && gap >= MIN_PERIOD_MS).then_some(gap)
}

/// At least four distinct times, as milliseconds since the first.
struct Train {
    points: Vec<f64>,
    span: f64,
}

impl Train {
    fn new(times: &[u64]) -> Option<Train> {
        let first = *times.first()?;
        let points: Vec<f64> = times.iter().map(|time| (time - first) as f64).collect();
        let span = *points.last()?;
        (points.len() >= MIN_PERIOD_POINTS).then_some(Train { points, span })
    }

    /// Few gaps have little to correlate, but that they are nearly equal says enough.
    fn even_gap(&self) -> Option<f64> {
        let gaps = self.points.windows(2).map(|pair| pair[1] - pair[0]);
        let (shortest, longest) = gaps.fold((f64::INFINITY, 0.0_f64), |(a, b), gap| (a.min(gap), b.max(gap)));
        let count = self.points.len() - 1;
        (longest <= shortest * evenness_limit(count)).then(|| self.span / count as f64)
    }

    /// The lag of the grid with the most significant correlation, moved to where its pairs are.
    fn best_lag(&self) -> Option<f64> {
        let count = self.points.len() as f64;
        let shortest = (self.span / count * 0.4).max(MIN_PERIOD_MS as f64 / 2.0);
        let octaves = (self.longest_lag() / shortest).max(1.0).log2();
        let steps = (octaves * LAGS_PER_OCTAVE).floor() as u32;
        let mut best = (significance_limit(self.points.len()), None);
        for step in 0..=steps {
            let lag = shortest * (f64::from(step) / LAGS_PER_OCTAVE).exp2();
            let significance = self.significance(lag);
            if significance > best.0 {
                best = (significance, Some(lag));
            }
        }
        Some(self.centre(self.centre(best.1?)))
    }

    /// A pattern with several uses a period correlates at fractions of the period too; it does best at the whole.
    fn fundamental(&self, lag: f64) -> f64 {
        let longest = self.longest_lag();
        let multiples = [2.0, 3.0, 4.0, 5.0].map(|multiple| multiple * lag).into_iter().filter(|&lag| lag <= longest);
        let mut best = (self.strength(lag) + CLEARLY_STRONGER, lag);
        for lag in multiples.map(|lag| self.centre(self.centre(lag))) {
            let strength = self.strength(lag);
            if strength > best.0 && self.significance(lag) > significance_limit(self.points.len()) {
                best = (strength, lag);
            }
        }
        best.1
    }

    fn longest_lag(&self) -> f64 {
        self.span / LEAST_PERIODS.max(self.points.len() as f64 / USES_A_PERIOD)
    }

    /// Pairs from half a lag to half a lag beyond the last multiple that is looked at.
    fn pairs(&self, lag: f64) -> impl Iterator<Item = f64> + '_ {
        // The window ends on a whole cycle, so that random pairs cancel out.
        let multiples = MULTIPLES.min((self.span * 0.75 / lag - 0.5).floor()).max(1.0);
        let (from, to) = (lag * 0.5, lag * (multiples + 0.5));
        self.points.iter().enumerate().flat_map(move |(index, &point)| {
            let later = &self.points[index + 1..];
            later
                .iter()
                .map(move |other| other - point)
                .skip_while(move |&apart| apart < from)
                .take_while(move |&apart| apart < to)
        })
    }

    /// By how many standard deviations the pairs gather around the multiples of a lag.
    fn significance(&self, lag: f64) -> f64 {
        let (mut sum, mut pairs) = (0.0, 0.0);
        for apart in self.pairs(lag) {
            sum += 2.0 * bump(apart / lag) - 1.0;
            pairs += 1.0;
        }
        if pairs == 0.0 { 0.0 } else { sum / f64::sqrt(BUMP_VARIANCE * pairs) }
    }

    /// Least squares of the distances against their multiple, each pair weighted by the bump.
    fn centre(&self, lag: f64) -> f64 {
        let (mut moment, mut weight) = (0.0, 0.0);
        for apart in self.pairs(lag) {
            let multiple = (apart / lag).round();
            let share = bump(apart / lag);
            moment += share * apart * multiple;
            weight += share * multiple * multiple;
        }
        if weight > 0.0 { moment / weight } else { lag }
    }

    /// Normalised autocorrelation of the train smoothed by the bump: the covariance at the lag over the variance.
    fn strength(&self, lag: f64) -> f64 {
        let count = self.points.len() as f64;
        // What random uses of the same rate would have around one multiple. Half a bump is as wide as a quarter lag.
        let by_chance = |from_lag: f64| {
            count * (count - 1.0) * lag / 2.0 * (self.span - from_lag).max(0.0) / (self.span * self.span)
        };
        let (mut near, mut same) = (0.0, 0.0);
        for (index, point) in self.points.iter().enumerate() {
            for other in &self.points[index + 1..] {
                let apart = (other - point) / lag;
                if apart >= 1.5 {
                    break;
                }
                if apart >= 0.5 { near += bump(apart) } else { same += bump(apart) }
            }
        }
        // Of a train without a beginning and an end every use would have a neighbour one lag on.
        let seen = ((self.span - lag) / self.span + 1.0 / count).clamp(0.05, 1.0);
        let covariance = (near - by_chance(lag)) / seen;
        let variance = count + 2.0 * same - by_chance(0.0);
        if variance <= 0.0 { 0.0 } else { (covariance / variance).clamp(0.0, 1.0) }
    }
}

/// 1 at whole numbers, 0 half-way between, smooth: a raised cosine in plain arithmetic, the same on every machine.
fn bump(multiple: f64) -> f64 {
    let near = (2.0 * (multiple - multiple.floor()) - 1.0).abs();
    near * near * (3.0 - 2.0 * near)
}

/// How many times the shortest gap the longest may be for the gaps to count as even. Of random trains of 4, 5, ... points
/// 3 in 1,000 stay below; from seven points on, fewer.
fn evenness_limit(gaps: usize) -> f64 {
    match gaps {
        ..=3 => 1.1,
        4 => 1.35,
        5 => 1.6,
        _ => 2.0,
    }
}

/// Standard deviations that the best lag of a random train passes about 4 times in 1,000. It is far above that of a
/// single lag because the best of up to a hundred is taken, and because pairs that share a point are not independent.
fn significance_limit(points: usize) -> f64 {
    match points {
        ..=5 => 3.6,
        6 => 4.15,
        7 => 4.7,
        8 => 4.95,
        9 | 10 => 5.3,
        11..=40 => 5.75,
        41..=56 => 5.4,
        _ => 5.2,
    }
}
