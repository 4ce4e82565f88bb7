//! Life tables alone: the probability that a prefix is used again within the horizon, by its class and age.

use super::{Policy, Scoring};

/// The name of the policy.
pub const REUSE: &str = "reuse";

pub(super) const POLICY: Policy = Policy {
    name: REUSE,
    help: "the probability of a use within the horizon, from life tables of uses so far, last gap and age",
    formula: "1 - e^-(H(age + horizon) - H(age)), H the cumulative hazard of the class (uses, last gap)",
    source: "Cutler, Ederer: Maximum utilization of the life table method, 1958; Kaplan, Meier 1958",
    scoring: Scoring::Learned,
};
