//! How much more or less comes than was expected.

use serde::{Deserialize, Serialize};

/// What came, over what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Ratio {
    expected: f64,
    observed: f64,
}

impl Ratio {
    pub(super) fn record(&mut self, expected: f64, observed: f64) {
        self.expected += expected;
        self.observed += observed;
    }

    /// The ratio; `prior` is how much is taken to have come as expected before.
    pub(super) fn value(&self, prior: f64) -> f64 {
        (self.observed.max(0.0) + prior) / (self.expected + prior)
    }

    /// What came before counts half.
    pub(super) fn fade(&mut self) {
        self.expected /= 2.0;
        self.observed /= 2.0;
    }

    pub(super) fn merge(&mut self, other: &Ratio) {
        self.record(other.expected, other.observed);
    }
}
