//! Which prefixes matter now.

use crate::{ActiveSet, ServiceError};
use prefix_indexer_models::{Ladder, PrefixRecommendation};
use prefix_indexer_storage::{Order, Scope, View};

/// The half-life of a query that names none, if the index keeps it.
const USUAL_HALF_LIFE_MS: u64 = 300_000;

/// As many times as long as what is asked about an index may have been silent and still be live: ten half-lives after its last event a
/// score has decayed to less than a thousandth.
const LIVE: u64 = 10;

/// The moment to answer for where nobody names one and a clock says `clock_ms`: that, but never before the newest event of the index;
/// and the time of that event where it is more than ten times as long ago as `span_ms` (a half-life, or a horizon). An index made of an
/// old trace is asked about as if that had just ended, since by the clock nothing would matter any more.
pub fn now_of(newest_ms: u64, clock_ms: u64, span_ms: u64) -> u64 {
    let is_live = clock_ms.saturating_sub(newest_ms) <= span_ms.saturating_mul(LIVE);
    if is_live { clock_ms.max(newest_ms) } else { newest_ms }
}

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

#[cfg(test)]
mod tests {
    use super::now_of;

    #[test]
    fn an_old_index_is_asked_about_when_it_ended() {
        let check = |newest_ms, clock_ms, expect| assert_eq!(now_of(newest_ms, clock_ms, 60), expect, "{clock_ms}");
        check(1000, 1100, 1100);
        check(1000, 1600, 1600);
        check(1000, 1601, 1000);
        check(1000, 900, 1000);
        check(0, 600, 600);
        assert_eq!(now_of(1000, u64::MAX, u64::MAX), u64::MAX);
    }
}
