//! Which prefixes matter now.

use crate::{ActiveSet, ServiceError};
use prefix_indexer_models::{Ladder, PrefixRecommendation};
use prefix_indexer_storage::{Order, Scope, View};

/// The half-life of a query that names none, if the index keeps it.
const USUAL_HALF_LIFE_MS: u64 = 300_000;

/// A question to the ranked index. The default asks for the ten best of all.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// Only prefixes of this tenant.
    pub tenant: Option<&'a str>,
    /// Only prefixes of this model.
    pub model_id: Option<&'a str>,
    /// How many at most.
    pub top_k: usize,
    /// Which of the index's half-lives ranks; see [`Query::rung`] for the default.
    pub half_life_ms: Option<u64>,
    /// Lower scores are left out.
    pub min_score: Option<f64>,
    /// Scores are as of this time, which is raised to the newest event's. The order does not depend on it.
    pub now_ms: Option<u64>,
    /// Prefixes that are resident already and left out.
    pub active: Option<&'a ActiveSet>,
}

impl Default for Query<'_> {
    fn default() -> Self {
        Query {
            tenant: None,
            model_id: None,
            top_k: 10,
            half_life_ms: None,
            min_score: None,
            now_ms: None,
            active: None,
        }
    }
}

impl Query<'_> {
    /// The rung that ranks: that of `half_life_ms`, which the index must keep; by default that of 5 minutes or, where it keeps
    /// no such half-life, the shortest that is longer, or the longest.
    ///
    /// # Errors
    /// For a half-life that the index does not keep, with those that it does.
    pub fn rung(&self, ladder: &Ladder) -> Result<usize, ServiceError> {
        match self.half_life_ms {
            Some(half_life_ms) => Ok(ladder.rung(half_life_ms).map_err(prefix_indexer_storage::StorageError::from)?),
            None => {
                let usual = ladder.half_lives_ms().position(|half_life| half_life >= USUAL_HALF_LIFE_MS);
                Ok(usual.unwrap_or(ladder.len() - 1))
            }
        }
    }

    /// The time that scores are as of.
    pub fn now_ms(&self, view: &View) -> u64 {
        self.now_ms.unwrap_or(0).max(view.newest_ms())
    }

    /// The answer, best first. Costs a few steps per prefix returned or left out as active, whatever the size of the index.
    ///
    /// # Errors
    /// For an unknown half-life, or a page of the index that fails its checksum.
    pub fn run(&self, view: &View) -> Result<Vec<PrefixRecommendation>, ServiceError> {
        let rung = self.rung(&view.spec().ladder)?;
        let now_ms = self.now_ms(view);
        let scope = Scope { tenant: self.tenant, model_id: self.model_id };
        let mut found = Vec::with_capacity(self.top_k.min(1024));
        if self.top_k == 0 {
            return Ok(found);
        }
        for row in view.ranked(scope, Order::Rung(rung)) {
            let row = row?;
            if self.min_score.is_some_and(|least| row.score(rung, now_ms) < least) {
                break;
            }
            if self.active.is_some_and(|active| active.contains(row.tenant(), row.model_id(), row.prefix_id())) {
                continue;
            }
            found.push(row.recommend(rung, now_ms));
            if found.len() == self.top_k {
                break;
            }
        }
        Ok(found)
    }
}
