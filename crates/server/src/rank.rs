//! Asking the ranked index for a caller: never beyond the caller's tenants.

use crate::{
    access::forbidden,
    answer::{Detail, Problem},
    app::{App, wall_clock_ms},
    describe::Param,
    params::Params,
    tokens::{Caller, Tenants},
};
use prefix_indexer::{ActiveSet, PrefixRecommendation, Query, ServiceError, View, now_of};
use serde_json::Value;

/// Prefixes that an answer holds where the request does not say.
pub(crate) const TOP_K: u64 = 10;

/// Most prefixes that one answer holds.
pub(crate) const MAX_TOP_K: u64 = 10_000;

/// How many prefixes are asked for.
pub(crate) const TOP_K_PARAM: Param =
    Param::query("top_k", r#"{"type": "integer", "minimum": 1, "maximum": 10000, "default": 10}"#, "How many at most");

/// What [`TOP_K_PARAM`] says in a request.
pub(crate) fn top_k(params: &mut Params) -> usize {
    params.integer(TOP_K_PARAM.name, 1..=MAX_TOP_K).unwrap_or(TOP_K) as usize
}

/// A question as requests put it.
#[derive(Default)]
pub(crate) struct Question {
    pub(crate) tenant: Option<String>,
    pub(crate) model_id: Option<String>,
    pub(crate) top_k: usize,
    pub(crate) half_life_ms: Option<u64>,
    pub(crate) min_score: Option<f64>,
    pub(crate) now_ms: Option<u64>,
    pub(crate) active: Option<ActiveSet>,
}

impl Question {
    fn query(&self) -> Query<'_> {
        Query {
            tenant: self.tenant.as_deref(),
            model_id: self.model_id.as_deref(),
            top_k: self.top_k,
            half_life_ms: self.half_life_ms,
            min_score: self.min_score,
            now_ms: self.now_ms,
            active: self.active.as_ref(),
        }
    }

    /// The rung of the index's ladder that ranks.
    pub(crate) fn rung(&self, view: &View) -> Result<usize, Problem> {
        self.query().rung(&view.spec().ladder).map_err(|error| unknown_half_life(&error))
    }

    /// The time that scores are as of, never before the newest event; where the request names none, [`now_of`] the wall clock.
    pub(crate) fn now_ms(&self, view: &View) -> Result<u64, Problem> {
        let half_life_ms = view.spec().ladder.half_lives_ms().nth(self.rung(view)?).unwrap_or(u64::MAX);
        let newest_ms = view.newest_ms();
        let asked = self.now_ms.map(|now_ms| now_ms.max(newest_ms));
        Ok(asked.unwrap_or_else(|| now_of(newest_ms, wall_clock_ms(), half_life_ms)))
    }
}

fn unknown_half_life(error: &ServiceError) -> Problem {
    let loc = vec!["query".into(), "half_life".into()];
    Detail::value_error(loc, error, Value::Null).into()
}

impl App {
    /// The answer, best first, and the time that it is as of.
    pub(crate) fn rank(
        &self,
        caller: &Caller,
        mut question: Question,
    ) -> Result<(Vec<PrefixRecommendation>, u64), Problem> {
        let now_ms = question.now_ms(&self.indexer.snapshot())?;
        question.now_ms = Some(now_ms);
        let query = question.query();
        let run = |query: &Query<'_>| self.indexer.recommend(query).map_err(|error| Problem::internal(&error));
        let found = match (&caller.tenants, query.tenant) {
            (_, Some(tenant)) if !caller.sees(tenant) => return Err(forbidden()),
            (Tenants::All, _) | (Tenants::Only(_), Some(_)) => run(&query)?,
            (Tenants::Only(tenants), None) => {
                let mut found = Vec::new();
                for tenant in tenants {
                    found.extend(run(&Query { tenant: Some(tenant), ..query })?);
                }
                // Stable, so that ties stay in the order of the tenants.
                found.sort_by(|a, b| b.score.total_cmp(&a.score));
                found.truncate(query.top_k);
                found
            }
        };
        Ok((found, now_ms))
    }
}
