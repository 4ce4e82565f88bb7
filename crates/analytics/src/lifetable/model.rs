//! What a life table says of one prefix.

use super::{
    classes::{USE_CLASSES, Waiting},
    expectation::Expectations,
    risk::CumulativeHazard,
};

/// Probabilities of reuse, as a [`LifeTable`](super::LifeTable) had them at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct ReuseModel {
    pub(super) hazards: Vec<CumulativeHazard>,
    /// For each class by uses, the share of reuses after which the prefix is still in it.
    pub(super) stays: [f64; USE_CLASSES],
}

impl ReuseModel {
    pub(super) fn new(hazards: Vec<CumulativeHazard>, steps: &[[u64; 2]; USE_CLASSES]) -> ReuseModel {
        // Without evidence: as if each number of uses in a class were as frequent; the last class is never left.
        let by_size = [0.0, 0.0, 0.5, 0.75, 0.875, 1.0];
        let stays = std::array::from_fn(|class| {
            let [stayed, left] = steps[class].map(|count| count as f64);
            (stayed + by_size[class]) / (stayed + left + 1.0)
        });
        ReuseModel { hazards, stays }
    }

    /// Hazard, added up over the window: minus the logarithm of the probability of no use. `now_ms` before the last use
    /// counts as the time of the last use.
    #[inline]
    pub fn hazard(&self, prefix: &Waiting, now_ms: u64, window_ms: u64) -> f64 {
        let age_ms = now_ms.saturating_sub(prefix.last_use_ms);
        self.hazards.get(prefix.class()).map_or(0.0, |hazard| hazard.between(age_ms, window_ms))
    }

    /// Probability that the prefix is used at least once in the `window_ms` milliseconds after `now_ms`, given that it has
    /// not been since its last use. Some 20 ns.
    #[inline]
    pub fn probability(&self, prefix: &Waiting, now_ms: u64, window_ms: u64) -> f64 {
        -(-self.hazard(prefix, now_ms, window_ms)).exp_m1()
    }

    /// How often prefixes are used in the same window: more than the probability, since the first use is not the
    /// last. The first call for a window costs as much as a model; take [`expectations`](Self::expectations) for many prefixes.
    pub fn expected_uses(&self, prefix: &Waiting, now_ms: u64, window_ms: u64) -> f64 {
        self.expectations(window_ms).of(prefix, now_ms)
    }

    /// Expected numbers of uses within windows of one length, for many prefixes.
    pub fn expectations(&self, window_ms: u64) -> Expectations<'_> {
        Expectations::new(self, window_ms)
    }
}
