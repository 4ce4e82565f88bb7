//! What to load, given so many bytes: a warm-up plan from a ranked index.
//!
//! [`PlanQuery::run`] takes candidates from the heads of the ranked lists, adds the ancestors they need, asks a policy how
//! likely each is to be used within the horizon, and lets [`planner::choose`](prefix_indexer_analytics::planner::choose) pick. It
//! never looks at the rest of the index, so a plan costs what it holds, not what there is.

mod blocks;
mod candidates;
mod document;
mod estimates;
mod likelihood;

pub use likelihood::plan_policies;

use crate::{ActiveSet, Experience, ServiceError};
use blocks::Pool;
use prefix_indexer_analytics::{
    Model,
    planner::{Block, Limits, choose},
};
use prefix_indexer_models::{MAX_INTEGER, Plan, PrefixKey};
use prefix_indexer_storage::{Scope, View};

/// Tokens in a page of KV memory where nobody says otherwise: the block size that vLLM starts with.
pub const PAGE_TOKENS: u64 = 16;

/// A question to the planner.
#[derive(Debug, Clone)]
pub struct PlanQuery<'a> {
    /// Most bytes to load.
    pub budget_bytes: u64,
    /// How far ahead uses count, in milliseconds; at least 1.
    pub horizon_ms: u64,
    /// The moment to plan for, which is raised to the newest event's.
    pub now_ms: Option<u64>,
    /// Name of the policy that says what will be used.
    pub policy: &'a str,
    /// Only prefixes of this tenant.
    pub tenant: Option<&'a str>,
    /// Only prefixes of this model.
    pub model_id: Option<&'a str>,
    /// Prefixes that are resident already: never planned, and their chains need nothing of them.
    pub active: Option<&'a ActiveSet>,
    /// How fast blocks are loaded: those that are computed faster are left out.
    pub bytes_per_second: Option<f64>,
    /// With `bytes_per_second`, the time that loading may take: a second bound beside the budget.
    pub deadline_ms: Option<u64>,
    /// What a block costs that has no measured latency, with the tokens of its pages.
    pub prefill_us_per_token: Option<f64>,
    /// Tokens of a page, see [`PAGE_TOKENS`].
    pub page_tokens: u64,
    /// Most bytes of a tenant.
    pub quotas: &'a [(String, u64)],
    /// What earlier plans were worth, against what they promised.
    pub experience: Option<&'a Experience>,
    /// Whether each layer and page band of a prefix is an object of its own, because the keys of objects name layers or pages.
    /// Otherwise the bands of a prefix are one block.
    pub bands: bool,
}

impl<'a> PlanQuery<'a> {
    /// A question with nothing but a budget and a horizon.
    pub fn new(budget_bytes: u64, horizon_ms: u64) -> PlanQuery<'a> {
        PlanQuery {
            budget_bytes,
            horizon_ms,
            now_ms: None,
            policy: "auto",
            tenant: None,
            model_id: None,
            active: None,
            bytes_per_second: None,
            deadline_ms: None,
            prefill_us_per_token: None,
            page_tokens: PAGE_TOKENS,
            quotas: &[],
            experience: None,
            bands: false,
        }
    }

    fn scope(&self) -> Scope<'a> {
        Scope { tenant: self.tenant, model_id: self.model_id }
    }

    /// The budget, or what can be loaded until the deadline.
    fn bytes(&self) -> u64 {
        match (self.bytes_per_second, self.deadline_ms) {
            (Some(rate), Some(deadline_ms)) => self.budget_bytes.min((rate * deadline_ms as f64 / 1e3) as u64),
            _ => self.budget_bytes,
        }
    }

    fn check(&self) -> Result<(), ServiceError> {
        let refuse = |what: &str| Err(ServiceError::Plan { reason: what.to_owned() });
        if self.horizon_ms == 0 || self.horizon_ms > MAX_INTEGER {
            return refuse("the horizon is at least 1 ms");
        }
        if self.budget_bytes > MAX_INTEGER {
            return refuse("the budget is at most 2^63 - 1 bytes");
        }
        if self.bytes_per_second.is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
            return refuse("the bandwidth is more than 0 bytes a second");
        }
        if self.deadline_ms.is_some() && self.bytes_per_second.is_none() {
            return refuse("a deadline bounds a plan only together with a bandwidth");
        }
        if self.prefill_us_per_token.is_some_and(|cost| !(cost.is_finite() && cost >= 0.0)) {
            return refuse("the cost of prefill is at least 0 us a token");
        }
        Ok(())
    }

    /// The plan. `learned` is what the index knows of how its prefixes come back ([`learned`](crate::learned)); without it, or while
    /// it is too little, `auto` takes a safe default and says so.
    ///
    /// # Errors
    /// [`ServiceError::Policy`] for a policy that there is not, [`ServiceError::Plan`] for limits that make no sense, and those of
    /// reading the index.
    pub fn run(&self, view: &View, learned: Option<&Model>) -> Result<Plan, ServiceError> {
        self.check()?;
        let now_ms = self.now_ms.unwrap_or(0).min(MAX_INTEGER).max(view.newest_ms());
        let policy = likelihood::Policy::of(self, &view.spec().ladder, learned)?;
        let mut candidates = candidates::find(self, view, &policy.orders(&view.spec().ladder, self.horizon_ms))?;
        let mut pool = Pool::new(self, &mut candidates, view.spec());
        let other_uses = policy.judge(&mut pool.blocks, &candidates, view.spec(), [now_ms, self.horizon_ms]);
        let limits = Limits {
            bytes: self.bytes(),
            bytes_per_second: self.bytes_per_second,
            quotas: self.quotas.iter().map(|(_, bytes)| *bytes).collect(),
        };
        let places = pool.places();
        let blocks: Vec<Block> = pool.blocks.iter().map(|block| block.for_planner(&places)).collect();
        let selection = choose(&blocks, &limits);
        Ok(document::write(self, now_ms, &candidates, &pool, &selection, &policy, other_uses))
    }

    /// The rows of an index in the order of the policy, each with the probability that it is used within the horizon: of the
    /// rankings that the policy looks at so many rows together. No budget bounds them, and bands stay apart.
    pub(crate) fn probabilities(
        &self,
        view: &View,
        learned: Option<&Model>,
        rows: usize,
    ) -> Result<Vec<(PrefixKey, f64)>, ServiceError> {
        let query = PlanQuery { budget_bytes: MAX_INTEGER, bands: true, ..self.clone() };
        query.check()?;
        let now_ms = query.now_ms.unwrap_or(0).min(MAX_INTEGER).max(view.newest_ms());
        let policy = likelihood::Policy::of(&query, &view.spec().ladder, learned)?;
        let orders = policy.orders(&view.spec().ladder, query.horizon_ms);
        let mut candidates = candidates::heads(&query, view, &orders, rows)?;
        let mut pool = Pool::new(&query, &mut candidates, view.spec());
        policy.judge(&mut pool.blocks, &candidates, view.spec(), [now_ms, query.horizon_ms]);
        Ok(pool.blocks.iter().map(|block| (block.key, block.estimate.probability)).collect())
    }
}
