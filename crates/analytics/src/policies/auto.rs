//! What is learned from the history: a probability from everything that is known of a prefix, unless a formula has done better.

use super::{Policy, Scoring};

/// The name of the policy, which is the default.
pub const AUTO: &str = "auto";

pub(super) const POLICY: Policy = Policy {
    name: AUTO,
    help: "the learned probability of a use within the horizon, or whichever policy has planned better so far (the default)",
    formula: "sigmoid(w . (ln decayed sums, ln age, ln n, last gap, ln hazards)), or the policy that leads it in frozen plans",
    source: "Spiegelhalter, Lauritzen 1990 (sequential Bayesian logistic regression); Dawid: Prequential analysis, 1984",
    scoring: Scoring::Learned,
};
