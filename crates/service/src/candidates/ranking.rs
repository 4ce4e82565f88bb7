//! What a policy that no index is ranked by makes of one, kept for some seconds.
//!
//! Scoring a hundred thousand rows takes some 50 to 150 ms: too much for every cycle. What is used in between, whoever wanted it has
//! loaded by himself.

use super::{LearnedNow, Scorer};
use crate::{PlanQuery, ServiceError, now_of, plan_policies};
use prefix_indexer_analytics::{
    Learner,
    policies::{AUTO, Moment, PolicyError, REUSE, formula},
};
use prefix_indexer_models::PrefixKey;
use prefix_indexer_prefetch::Ask;
use prefix_indexer_storage::{Order, Scope, View};

/// How long a ranking answers.
const FRESH_MS: u64 = 10_000;

/// The rows of an index in the order of a policy.
#[derive(Debug)]
pub(super) struct Ranking {
    policy: String,
    active_model: Option<String>,
    horizon_ms: u64,
    scan_limit: usize,
    as_of_ms: u64,
    /// Best first, with their scores.
    pub(super) rows: Vec<(PrefixKey, f64)>,
}

impl Ranking {
    /// Whether it is what is asked for, and not too old.
    pub(super) fn answers(&self, ask: &Ask<'_>, now_ms: u64) -> bool {
        self.policy == ask.policy
            && self.active_model.as_deref() == ask.active_model
            && (self.horizon_ms, self.scan_limit) == (ask.horizon_ms, ask.limits.scan_limit)
            && now_ms.abs_diff(self.as_of_ms) < FRESH_MS
    }

    pub(super) fn make(ask: &Ask<'_>, view: &View, learned: &LearnedNow, now_ms: u64) -> Result<Ranking, ServiceError> {
        let rows = match ask.policy {
            AUTO | REUSE => {
                let learned = learned();
                let now_ms = Some(now_of(view.newest_ms(), now_ms, ask.horizon_ms));
                let query = PlanQuery { now_ms, policy: ask.policy, ..PlanQuery::new(0, ask.horizon_ms) };
                query.probabilities(view, learned.as_deref().map(Learner::model), ask.limits.scan_limit)?
            }
            _ => by_formula(ask, view, now_ms)?,
        };
        Ok(Ranking {
            policy: ask.policy.to_owned(),
            active_model: ask.active_model.map(str::to_owned),
            horizon_ms: ask.horizon_ms,
            scan_limit: ask.limits.scan_limit,
            as_of_ms: now_ms,
            rows,
        })
    }
}

/// The most recently used rows by what a formula scores; equal ones, newest use first.
fn by_formula(ask: &Ask<'_>, view: &View, now_ms: u64) -> Result<Vec<(PrefixKey, f64)>, ServiceError> {
    let ladder = &view.spec().ladder;
    let formula = formula(ask.policy, ladder).map_err(|error| match error {
        PolicyError::Unknown { name, .. } => PolicyError::Unknown { name, known: plan_policies(ladder).join(", ") },
        error => error,
    })?;
    let scorer = Scorer { formula: &*formula, moment: Moment { now_ms, ladder }, active_model: ask.active_model };
    let mut rows = Vec::new();
    for row in view.ranked(Scope::default(), Order::Recency).take(ask.limits.scan_limit) {
        let row = row?;
        rows.push((row.key(), scorer.score(&row)));
    }
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(rows)
}
