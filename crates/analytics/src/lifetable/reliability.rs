//! Whether probabilities mean what they say: of what was given 20 %, 20 % should have come.

use serde::{Deserialize, Serialize};

/// Upper bounds of the bins of predicted probability. Finer below, where most prefixes are.
const BOUNDS: [f64; 14] = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0];

/// Predictions that are now decided, by predicted probability.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Reliability {
    rows: [ReliabilityRow; BOUNDS.len()],
    squared_error: f64,
}

/// Predictions of similar probability.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ReliabilityRow {
    /// How many.
    pub count: u64,
    /// Sum of their probabilities: how many were expected to come true.
    pub expected: f64,
    /// How many came true.
    pub observed: u64,
}

impl Reliability {
    /// Counts a prediction and what came of it. A probability outside 0 to 1 counts as the nearer end.
    pub fn record(&mut self, probability: f64, came: bool) {
        let probability = probability.clamp(0.0, 1.0);
        let row = BOUNDS.iter().position(|&bound| probability <= bound).unwrap_or(BOUNDS.len() - 1);
        let row = &mut self.rows[row];
        row.count += 1;
        row.expected += probability;
        row.observed += u64::from(came);
        self.squared_error += (probability - f64::from(u8::from(came))).powi(2);
    }

    /// Adds predictions of another time or machine.
    pub fn merge(&mut self, other: &Reliability) {
        for (ours, theirs) in self.rows.iter_mut().zip(&other.rows) {
            ours.count += theirs.count;
            ours.expected += theirs.expected;
            ours.observed += theirs.observed;
        }
        self.squared_error += other.squared_error;
    }

    /// The table: bounds of the predicted probability, and what was expected and observed there.
    pub fn rows(&self) -> impl Iterator<Item = (f64, f64, ReliabilityRow)> + '_ {
        let from = std::iter::once(0.0).chain(BOUNDS);
        from.zip(BOUNDS).zip(self.rows).map(|((from, to), row)| (from, to, row))
    }

    /// All predictions together.
    pub fn total(&self) -> ReliabilityRow {
        let mut total = ReliabilityRow::default();
        for row in &self.rows {
            total.count += row.count;
            total.expected += row.expected;
            total.observed += row.observed;
        }
        total
    }

    /// Expected over observed; none before anything was observed. 1 is calibrated overall.
    pub fn ratio(&self) -> Option<f64> {
        let total = self.total();
        (total.observed > 0).then(|| total.expected / total.observed as f64)
    }

    /// Mean squared error of the probabilities (G. Brier, 1950), 0 to 1; none without predictions. Smaller is better.
    pub fn brier(&self) -> Option<f64> {
        let count = self.total().count;
        (count > 0).then(|| self.squared_error / count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expected_against_observed() {
        let mut reliability = Reliability::default();
        assert_eq!((reliability.ratio(), reliability.brier()), (None, None));
        for came in [true, false, false, false] {
            reliability.record(0.25, came);
        }
        reliability.record(7.0, true);
        assert_eq!(reliability.total(), ReliabilityRow { count: 5, expected: 2.0, observed: 2 });
        assert_eq!(reliability.ratio(), Some(1.0));
        assert!(reliability.brier().is_some_and(|brier| (brier - 0.15).abs() < 1e-12));
        let (from, to, row) = reliability.rows().find(|(_, _, row)| row.count == 4).unwrap();
        assert_eq!((from, to, row.observed), (0.2, 0.3, 1));
        let mut twice = reliability.clone();
        twice.merge(&reliability);
        assert_eq!((twice.total().count, twice.brier()), (10, reliability.brier()));
    }
}
