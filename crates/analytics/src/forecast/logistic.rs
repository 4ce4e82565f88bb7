//! Logistic regression that learns batch by batch and remembers what it has learned as a Gaussian.
//!
//! The weights and their precision (the inverse of a covariance) stand for all rows seen so far. A batch of new rows moves
//! the weights to where prior and batch together are most probable, found by Newton's method, and adds its curvature to the
//! precision: the Laplace approximation, applied sequentially (Spiegelhalter, Lauritzen: Sequential updating of conditional
//! probabilities on directed graphical structures, Networks 1990). No row is kept.

use super::features::{self, Features};
use serde::{Deserialize, Serialize};

/// Steps of Newton's method a batch; the prior is close after the first batches, so that few are needed.
const STEPS: usize = 3;
/// The longest change of a weight in one step.
const LONGEST: f64 = 2.0;

/// The odds of a use as a product of powers of features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Logistic {
    columns: Vec<usize>,
    weights: Vec<f64>,
    /// Row after row; symmetric, positive definite.
    precision: Vec<f64>,
    ridge: Ridge,
}

/// Trust in the untaught weights, in rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ridge {
    /// Of the constant: with little of it, how common uses are is learned from the first rows on.
    pub(crate) constant: f64,
    pub(crate) others: f64,
}

/// A block as it was, and whether it was used within the horizon.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) features: &'a Features,
    pub(crate) came: bool,
}

impl Logistic {
    /// Untaught.
    pub(crate) fn new(columns: Vec<usize>, ridge: Ridge) -> Logistic {
        let size = columns.len();
        let mut precision = vec![0.0; size * size];
        precision.iter_mut().step_by(size + 1).for_each(|diagonal| *diagonal = ridge.others);
        if let Some(constant) = precision.first_mut() {
            *constant = ridge.constant;
        }
        Logistic { weights: features::untaught_weights(&columns), columns, precision, ridge }
    }

    /// The logarithm of the odds.
    #[inline]
    pub(crate) fn logit(&self, features: &Features) -> f64 {
        self.columns.iter().zip(&self.weights).map(|(&column, weight)| weight * value(features, column)).sum()
    }

    pub(crate) fn learn<'a>(&mut self, rows: impl Iterator<Item = Row<'a>>) {
        let size = self.columns.len();
        let before = self.weights.clone();
        // The columns that count, row after row: each step looks at all of them.
        let mut table = Vec::with_capacity(rows.size_hint().0 * size);
        let mut came = Vec::with_capacity(rows.size_hint().0);
        for row in rows {
            table.extend(self.columns.iter().map(|&column| value(row.features, column)));
            came.push(f64::from(u8::from(row.came)));
        }
        for step in 0..=STEPS {
            let mut curvature = self.precision.clone();
            let mut slope: Vec<f64> = (0..size)
                .map(|i| (0..size).map(|j| self.precision[i * size + j] * (before[j] - self.weights[j])).sum())
                .collect();
            for (chosen, came) in table.chunks_exact(size.max(1)).zip(&came) {
                let logit = chosen.iter().zip(&self.weights).map(|(chosen, weight)| chosen * weight).sum();
                let probability = sigmoid(logit);
                let error = came - probability;
                let weight = probability * (1.0 - probability);
                for i in 0..size {
                    slope[i] += error * chosen[i];
                    let weighted = weight * chosen[i];
                    for (sum, value) in curvature[i * size..].iter_mut().zip(&chosen[..=i]) {
                        *sum += weighted * value;
                    }
                }
            }
            mirror(&mut curvature, size);
            if step == STEPS {
                self.precision = curvature;
                return;
            }
            let Some(change) = solve(curvature.clone(), slope) else { return };
            let longest = change.iter().fold(0.0, |longest: f64, change| longest.max(change.abs()));
            let scale = if longest > LONGEST { LONGEST / longest } else { 1.0 };
            self.weights.iter_mut().zip(&change).for_each(|(weight, change)| *weight += scale * change);
            if longest < 1e-3 {
                self.precision = curvature;
                return;
            }
        }
    }

    /// Forgets a share of the evidence of all rows so far; the weights stay.
    pub(crate) fn fade(&mut self, share: f64) {
        let size = self.columns.len();
        self.precision.iter_mut().for_each(|precision| *precision *= 1.0 - share);
        self.precision.iter_mut().step_by(size + 1).skip(1).for_each(|diagonal| *diagonal += self.ridge.others * share);
        if let Some(constant) = self.precision.first_mut() {
            *constant += self.ridge.constant * share;
        }
    }

    pub(crate) fn has_shape_of(&self, other: &Logistic) -> bool {
        self.columns == other.columns
            && self.weights.len() == other.weights.len()
            && self.precision.len() == other.precision.len()
    }

    /// How sure the weights are: the trace of the precision.
    pub(crate) fn evidence(&self) -> f64 {
        self.precision.iter().step_by(self.columns.len() + 1).sum()
    }
}

#[inline]
fn value(features: &Features, column: usize) -> f64 {
    f64::from(features.0.get(column).copied().unwrap_or(0.0))
}

#[inline]
pub(crate) fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// The inverse of [`sigmoid`]; finite.
#[inline]
pub(crate) fn logit(probability: f64) -> f64 {
    let smallest = f64::MIN_POSITIVE;
    probability.max(smallest).ln() - (1.0 - probability).max(smallest).ln()
}

/// Copies the lower triangle to the upper.
fn mirror(matrix: &mut [f64], size: usize) {
    for i in 0..size {
        for j in 0..i {
            matrix[j * size + i] = matrix[i * size + j];
        }
    }
}

/// Solves matrix x = right for a positive definite matrix; none if it is not one.
fn solve(mut matrix: Vec<f64>, mut right: Vec<f64>) -> Option<Vec<f64>> {
    let size = right.len();
    // Cholesky: matrix = L L^T, L in the lower triangle.
    for i in 0..size {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| matrix[i * size + k] * matrix[j * size + k]).sum();
            let rest = matrix[i * size + j] - dot;
            matrix[i * size + j] = if i == j {
                if rest <= 0.0 || !rest.is_finite() {
                    return None;
                }
                rest.sqrt()
            } else {
                rest / matrix[j * size + j]
            };
        }
    }
    for i in 0..size {
        let dot: f64 = (0..i).map(|k| matrix[i * size + k] * right[k]).sum();
        right[i] = (right[i] - dot) / matrix[i * size + i];
    }
    for i in (0..size).rev() {
        let dot: f64 = (i + 1..size).map(|k| matrix[k * size + i] * right[k]).sum();
        right[i] = (right[i] - dot) / matrix[i * size + i];
    }
    Some(right)
}
