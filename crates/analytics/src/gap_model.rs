//! Probabilities of reuse from nothing but the rows of an index: what to go by while nothing has been learned yet.
//!
//! Every row remembers how long its gaps were (eight bins) and how long it has waited since its last use. Over many rows that
//! gives the rate of uses by age, events over time at risk. A row's own pace is that rate times its *frailty*, which has a
//! gamma prior of mean 1: (1 + its gaps) / (1 + the gaps that the common rate would have given it) (Vaupel, Manton and Stallard
//! 1979).
//!
//! It is coarser than a [`LifeTable`](crate::LifeTable), and it sees only the rows that it is given: where those are the
//! best of many, it is too optimistic about the others.

use crate::forecast::{Further, FurtherUses};
use prefix_indexer_models::{GAP_BOUNDS_MS, Gaps, Tally};

const BINS: usize = GAP_BOUNDS_MS.len() + 1;

/// Uses that the prior has seen in each bin, in one wait as long as the bin's middle: a hazard inversely proportional to age.
const PRIOR_USES: f64 = 0.1;

/// Counts of gaps and waits, and the rates that follow from them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GapModel {
    uses: [f64; BINS],
    at_risk_ms: [f64; BINS],
}

/// What the model says of one prefix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Probability of a use within the window.
    pub probability: f64,
    /// Uses expected within it; at least the probability.
    pub expected_uses: f64,
}

/// The ages of a bin, in milliseconds. The last one is as long as all before it.
fn bounds(bin: usize) -> (f64, f64) {
    let from = if bin == 0 { 0 } else { GAP_BOUNDS_MS[bin - 1] };
    let to = GAP_BOUNDS_MS.get(bin).copied().unwrap_or(2 * from);
    (from as f64, to as f64)
}

/// Milliseconds at risk in each bin during the gaps of a row: half a bin in the one that a gap ends in.
fn at_risk_ms(gaps: &Gaps) -> [f64; BINS] {
    let mut longer = f64::from(gaps.count());
    std::array::from_fn(|bin| {
        let (from, to) = bounds(bin);
        let ended = f64::from(gaps.histogram[bin]);
        longer -= ended;
        (longer + ended / 2.0) * (to - from)
    })
}

impl GapModel {
    /// Counts a row.
    pub fn add(&mut self, tally: &Tally, now_ms: u64) {
        let age_ms = now_ms.saturating_sub(tally.last_seen_ms) as f64;
        for (bin, past_ms) in at_risk_ms(&tally.gaps).into_iter().enumerate() {
            let (from, to) = bounds(bin);
            let until = if bin + 1 == BINS { age_ms } else { age_ms.min(to) };
            self.uses[bin] += f64::from(tally.gaps.histogram[bin]);
            self.at_risk_ms[bin] += past_ms + (until - from).max(0.0);
        }
    }

    /// Uses a millisecond at the ages of each bin.
    fn rates(&self) -> [f64; BINS] {
        std::array::from_fn(|bin| {
            let (from, to) = bounds(bin);
            (self.uses[bin] + PRIOR_USES) / (self.at_risk_ms[bin] + (from + to) / 2.0)
        })
    }

    /// What follows for windows of one length that begin at `now_ms`.
    pub fn forecast(&self, now_ms: u64, window_ms: u64) -> GapForecast {
        let rates = self.rates();
        let mut up_to = [0.0; BINS];
        for bin in 1..BINS {
            let (from, to) = bounds(bin - 1);
            up_to[bin] = up_to[bin - 1] + rates[bin - 1] * (to - from);
        }
        let mut forecast = GapForecast { rates, up_to, now_ms, window_ms: window_ms as f64, second: 0.0 };
        forecast.second = forecast.hazard(0.0, window_ms as f64 / 2.0);
        forecast
    }
}

/// A [`GapModel`] asked about one window.
#[derive(Debug, Clone, PartialEq)]
pub struct GapForecast {
    rates: [f64; BINS],
    /// Hazard from age 0 to where each bin begins.
    up_to: [f64; BINS],
    now_ms: u64,
    window_ms: f64,
    /// Hazard of a further use in what is left of the window after the first one, half of it on average.
    second: f64,
}

impl GapForecast {
    /// Hazard between two ages.
    fn hazard(&self, from_ms: f64, to_ms: f64) -> f64 {
        let until = |age_ms: f64| {
            let bin = GAP_BOUNDS_MS.iter().take_while(|&&bound| age_ms >= bound as f64).count();
            self.up_to[bin] + self.rates[bin] * (age_ms - bounds(bin).0)
        };
        until(to_ms) - until(from_ms)
    }

    /// What is to be expected of a row. Some 50 ns.
    pub fn of(&self, tally: &Tally) -> Estimate {
        let expected: f64 = at_risk_ms(&tally.gaps).iter().zip(&self.rates).map(|(time, rate)| time * rate).sum();
        let age_ms = self.now_ms.saturating_sub(tally.last_seen_ms) as f64;
        let frailty = (1.0 + f64::from(tally.gaps.count())) / (1.0 + expected + self.hazard(0.0, age_ms));
        let probability = -(-frailty * self.hazard(age_ms, age_ms + self.window_ms)).exp_m1();
        let exposure = tally.last_seen_ms.saturating_sub(tally.first_seen_ms) as f64 / self.window_ms;
        let uses = tally.hit_count as f64;
        let further = Further::new(uses / (1.0 + f64::from(tally.gaps.count())), self.second, uses - 1.0, exposure);
        Estimate { probability, expected_uses: probability * FurtherUses::default().of_one(further) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::used_at::used_at;

    const HOUR_MS: u64 = 3_600_000;

    #[test]
    fn it_recovers_a_constant_rate() {
        // Every two minutes on the dot or not at all: a use each 120 s while they last.
        let mut model = GapModel::default();
        let rows: Vec<Tally> =
            (0..200).map(|row| used_at(&(0..20).map(|use_| row * 137 + use_ * 120_000).collect::<Vec<_>>())).collect();
        rows.iter().for_each(|row| model.add(row, 19 * 120_000 + 60_000));
        let forecast = model.forecast(19 * 120_000 + 60_000, 300_000);
        let of = forecast.of(&rows[0]);
        assert!(of.probability > 0.8 && (of.expected_uses - 2.5).abs() < 0.7, "{of:?}");
    }

    #[test]
    fn what_is_always_in_use_is_expected_as_often_as_it_came() {
        // A root that is used every 300 ms, among prefixes that came twice.
        let root = used_at(&(0..12_000).map(|use_| use_ * 300).collect::<Vec<_>>());
        let mut model = GapModel::default();
        (0..500).for_each(|row| model.add(&used_at(&[row * 5_000, row * 6_000 + 90_000]), HOUR_MS));
        model.add(&root, HOUR_MS);
        let of = model.forecast(HOUR_MS, 300_000).of(&root);
        assert!(of.probability > 0.8 && (of.expected_uses / of.probability - 1_000.0).abs() < 50.0, "{of:?}");
    }

    #[test]
    fn the_busy_and_the_recent_come_back_sooner() {
        let now_ms = HOUR_MS;
        let regular = used_at(&(0..30).map(|use_| now_ms - 1_000 - use_ * 60_000).rev().collect::<Vec<_>>());
        let once = used_at(&[now_ms - 1_000]);
        let long_ago = used_at(&[1_000]);
        let mut model = GapModel::default();
        [&regular, &once, &long_ago].into_iter().for_each(|row| model.add(row, now_ms));
        let forecast = model.forecast(now_ms, 60_000);
        let [regular, once, long_ago] = [&regular, &once, &long_ago].map(|row| forecast.of(row).probability);
        assert!(regular > once && once > long_ago && long_ago > 0.0 && regular < 1.0, "{regular} {once} {long_ago}");
    }

    #[test]
    fn without_any_row_it_has_its_prior() {
        let now_ms = 10 * HOUR_MS;
        let of = |age_ms| GapModel::default().forecast(now_ms, 60_000).of(&used_at(&[now_ms - age_ms])).probability;
        assert!(of(0) > of(HOUR_MS) && of(HOUR_MS) > 0.0 && of(0) < 1.0);
        assert!(
            GapModel::default().forecast(0, 60_000).of(&used_at(&[HOUR_MS])).probability > 0.0,
            "a use in the future"
        );
    }
}
