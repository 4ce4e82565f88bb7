//! A plan that was handed out, with what has become of its entries so far.

use super::Outcomes;
use crate::{
    Outcome, OutcomeCount, PlanQuery,
    experience::{Correction, Judged, Pick},
    feedback, habits,
};
use prefix_indexer_models::{Plan, PrefixKey};
use serde::{Deserialize, Serialize};
use std::ops::Range;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Followed {
    pub(super) plan_id: String,
    /// Whose prefixes it was made of; none for all.
    pub(super) tenant: Option<String>,
    /// Likewise of which model.
    #[serde(default)]
    model_id: Option<String>,
    pub(super) policy: String,
    #[serde(default)]
    chosen_by: String,
    #[serde(default)]
    budget_bytes: u64,
    #[serde(default)]
    correction: Correction,
    now_ms: u64,
    end_ms: u64,
    pub(super) open: bool,
    /// Uses of prefixes of those asked for, within the horizon, and those of planned ones among them.
    #[serde(default)]
    pub(super) uses: u64,
    #[serde(default)]
    pub(super) hits: u64,
    pub(super) entries: Vec<Entry>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) prefix_id: String,
    pub(super) tenant: String,
    pub(super) model_id: String,
    pub(super) bytes: u64,
    /// What a use of it saves, where anybody knows.
    pub(super) saves_ms: f64,
    #[serde(default)]
    probability: Option<f64>,
    pub(super) outcome: Option<Outcome>,
}

/// How a plan did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanOutcome {
    /// Which plan.
    pub plan_id: String,
    /// The policy that was asked for.
    pub policy: String,
    /// The policy that chose.
    pub chosen_by: String,
    /// The moment that it was made for.
    pub now_ms: u64,
    /// When its horizon ends.
    pub end_ms: u64,
    /// Whether uses still count: no event at or behind the end has come.
    pub open: bool,
    /// Entries planned.
    pub planned: u64,
    /// Bytes planned.
    pub planned_bytes: u64,
    /// Entries by what became of them; those still waiting are in none.
    pub outcomes: Outcomes,
    /// Share used in time of those whose outcome is known; none before the first.
    pub precision: Option<f64>,
    /// Share that planned prefixes have of all uses of the tenant and model that it was made for, within its horizon; none before
    /// the first use.
    pub coverage: Option<f64>,
    /// Milliseconds that uses saved.
    pub saved_ms: f64,
    /// Bytes moved for nothing: wasted, late or evicted.
    pub wasted_bytes: u64,
}

impl Entry {
    pub(super) fn key(&self) -> PrefixKey {
        habits::name(&self.tenant, &self.model_id, &self.prefix_id)
    }

    pub(super) fn count(&self, outcome: Outcome) -> OutcomeCount {
        let saved_ms = if outcome == Outcome::Used { self.saves_ms } else { 0.0 };
        OutcomeCount { prefixes: 1, bytes: self.bytes, saved_ms }
    }
}

/// Whether a prefix was asked for in time, where its outcome says so.
pub(super) fn came(outcome: Outcome) -> Option<bool> {
    match outcome {
        Outcome::Used | Outcome::Late => Some(true),
        Outcome::Wasted => Some(false),
        Outcome::Evicted => None,
    }
}

impl Followed {
    pub(super) fn new(plan: &Plan, asked: &PlanQuery<'_>, newest_ms: u64) -> Followed {
        let entries = plan.entries.iter().map(|entry| Entry {
            prefix_id: entry.prefix_id.to_string(),
            tenant: entry.tenant.to_string(),
            model_id: entry.model_id.to_string(),
            bytes: entry.bytes,
            saves_ms: entry.saves_ms.unwrap_or(0.0),
            probability: Some(entry.probability),
            outcome: None,
        });
        let end_ms = plan.now_ms.saturating_add(plan.horizon_ms);
        let experience = asked.experience;
        let correction = experience.map(|experience| experience.correction(&plan.chosen_by, plan.horizon_ms));
        Followed {
            plan_id: plan.plan_id.clone(),
            tenant: asked.tenant.map(str::to_owned),
            model_id: asked.model_id.map(str::to_owned),
            policy: plan.policy.clone(),
            chosen_by: plan.chosen_by.clone(),
            budget_bytes: plan.budget_bytes,
            correction: correction.unwrap_or_default(),
            now_ms: plan.now_ms,
            end_ms,
            open: end_ms > newest_ms,
            uses: 0,
            hits: 0,
            entries: entries.collect(),
        }
    }

    /// What no other followed plan has: two tenants may have been given the same one.
    pub(super) fn identity(&self) -> (&str, Option<&str>) {
        (&self.plan_id, self.tenant.as_deref())
    }

    /// The moment that it was made for.
    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The time in which uses count.
    pub(super) fn horizon(&self) -> Range<u64> {
        self.now_ms..self.end_ms
    }

    /// Whether prefixes of a tenant and model could have been planned.
    pub(super) fn asks_for(&self, tenant: &str, model_id: &str) -> bool {
        self.tenant.as_deref().is_none_or(|own| own == tenant)
            && self.model_id.as_deref().is_none_or(|own| own == model_id)
    }

    /// What is learned from it. `then` gets that.
    pub(super) fn judged(&self, then: impl FnOnce(&Judged<'_>)) {
        let pick = |entry: &Entry| {
            let outcome = entry.outcome?;
            let used = outcome == Outcome::Used;
            Some(Pick { probability: entry.probability?, came: came(outcome), used })
        };
        let picks: Vec<Pick> = self.entries.iter().filter_map(pick).collect();
        then(&Judged {
            policy: &self.chosen_by,
            horizon_ms: self.end_ms.saturating_sub(self.now_ms),
            budget_bytes: self.budget_bytes,
            correction: self.correction,
            picks: &picks,
        });
    }

    pub(super) fn outcome(&self) -> PlanOutcome {
        let mut outcomes = Outcomes::new();
        for entry in &self.entries {
            if let Some(outcome) = entry.outcome {
                outcomes.entry(outcome).or_default().add(&entry.count(outcome));
            }
        }
        let wasted = outcomes.iter().filter(|(outcome, _)| **outcome != Outcome::Used);
        PlanOutcome {
            plan_id: self.plan_id.clone(),
            policy: self.policy.clone(),
            chosen_by: self.chosen_by.clone(),
            now_ms: self.now_ms,
            end_ms: self.end_ms,
            open: self.open,
            planned: self.entries.len() as u64,
            planned_bytes: self.entries.iter().map(|entry| entry.bytes).fold(0, u64::saturating_add),
            precision: feedback::precision(&outcomes),
            coverage: (self.uses > 0).then(|| self.hits as f64 / self.uses as f64),
            saved_ms: outcomes.get(&Outcome::Used).map_or(0.0, |used| used.saved_ms),
            wasted_bytes: wasted.map(|(_, count)| count.bytes).fold(0, u64::saturating_add),
            outcomes,
        }
    }
}
