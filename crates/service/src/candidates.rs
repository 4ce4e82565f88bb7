//! The index as a source of blocks to prefetch.

use prefix_indexer_analytics::{
    RankedBlock, best_first, next_blocks,
    policies::{Formula, Moment, PrefixFacts, formula, formula_names},
};
use prefix_indexer_models::{IndexSpec, KeyPolicy, PrefixKey, PrefixRecommendation};
use prefix_indexer_prefetch::{Ask, BlockUse, Candidate, CandidateSource, Candidates, PrefetchError};
use prefix_indexer_storage::{Order, Row, Scope, StorageError, View};
use std::sync::Arc;

/// The prefix of the policies that an index has rankings of.
const DECAY: &str = "decay-";
/// The other one.
const MOST_RECENT: &str = "most-recent";

/// Candidates out of whatever an index holds at the moment.
///
/// The index is ranked by its half-lives (`decay-...`) and by recency already: their next blocks cost a few steps each. Other
/// policies score the most recently used prefixes, as many as the scan limit allows.
pub struct IndexCandidates {
    view: Box<dyn Fn() -> Arc<View> + Send + Sync>,
}

impl IndexCandidates {
    /// Candidates out of what `view` gives, which is asked once a cycle.
    pub fn new(view: impl Fn() -> Arc<View> + Send + Sync + 'static) -> IndexCandidates {
        IndexCandidates { view: Box::new(view) }
    }

    /// The names of the policies that can be asked for.
    pub fn policies(spec: &IndexSpec) -> Vec<String> {
        formula_names(&spec.ladder)
    }
}

/// How a policy goes down the index.
enum Way {
    /// The index is in its order.
    Ranked(Order),
    /// Rows are scored and put in order.
    Scored,
}

impl CandidateSource for IndexCandidates {
    fn next(
        &self,
        ask: &Ask<'_>,
        presence: &dyn Fn(&PrefixKey) -> prefix_indexer_analytics::Presence,
    ) -> Result<Candidates, PrefetchError> {
        let view = (self.view)();
        let ladder = &view.spec().ladder;
        let formula = formula(ask.policy, ladder).map_err(PrefetchError::source_failed)?;
        let way = match ask.policy.strip_prefix(DECAY) {
            Some(half_life) => {
                let rung = prefix_indexer_models::parse_duration_ms(half_life).and_then(|ms| ladder.rung(ms));
                Way::Ranked(Order::Rung(rung.map_err(PrefetchError::source_failed)?))
            }
            None if ask.policy == MOST_RECENT => Way::Ranked(Order::Recency),
            None => Way::Scored,
        };
        let moment = Moment { now_ms: ask.now_ms.max(view.newest_ms()), ladder };
        let scorer = Scorer { formula: &*formula, moment, active_model: ask.active_model };
        let mut failed = None;
        let order = if let Way::Ranked(order) = way { order } else { Order::Recency };
        let rows = view.ranked(Scope::default(), order).map_while(|row| keep(row, &mut failed));
        let rows = rows.take(ask.limits.scan_limit).map(|row| Block { view: &view, row });
        let is_wanted = |(_, score): &(Block<'_>, f64)| *score >= ask.min_score;
        let next = match way {
            Way::Ranked(_) if ask.min_score == f64::NEG_INFINITY => {
                // The order is all that counts; the score of what is chosen is made out below.
                next_blocks(rows.map(|block| (block, 0.0)), ask.limits, presence)
            }
            Way::Ranked(_) => {
                let scored = rows.map(|block| (block, scorer.score(&block.row)));
                next_blocks(scored.take_while(is_wanted), ask.limits, presence)
            }
            Way::Scored => {
                let scored = best_first(rows, |block| scorer.score(&block.row));
                next_blocks(scored.take_while(is_wanted), ask.limits, presence)
            }
        };
        if let Some(error) = failed {
            return Err(PrefetchError::source_failed(error));
        }
        let candidate = |block: &Block<'_>| Candidate {
            key: block.row.key(),
            block: PrefixRecommendation { score: scorer.score(&block.row), ..block.row.recommend(0, moment.now_ms) },
        };
        Ok(Candidates {
            chosen: next.chosen.iter().map(|(block, _)| candidate(block)).collect(),
            scored: next.scored,
            resident: next.resident,
            gone: next.gone,
        })
    }

    fn used_since(&self, since_ms: u64, limit: usize) -> Result<Vec<BlockUse>, PrefetchError> {
        let view = (self.view)();
        let mut uses = Vec::new();
        for row in view.ranked(Scope::default(), Order::Recency).take(limit) {
            let row = row.map_err(PrefetchError::source_failed)?;
            if row.last_seen_ms() <= since_ms {
                break;
            }
            let tally = row.tally();
            uses.push(BlockUse {
                key: row.key(),
                at_ms: tally.last_seen_ms,
                first_ms: tally.first_seen_ms,
                latency_ms: tally.avg_latency_ms(),
            });
        }
        Ok(uses)
    }
}

impl std::fmt::Debug for IndexCandidates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IndexCandidates").finish_non_exhaustive()
    }
}

fn keep<T>(row: Result<T, StorageError>, failed: &mut Option<StorageError>) -> Option<T> {
    row.map_err(|error| *failed = Some(error)).ok()
}

struct Scorer<'a> {
    formula: &'a dyn Formula,
    moment: Moment<'a>,
    active_model: Option<&'a str>,
}

impl Scorer<'_> {
    fn score(&self, row: &Row<'_>) -> f64 {
        let sums: Vec<f64> = row.sums().collect();
        let is_active = self.active_model.is_some_and(|active| active == row.model_id());
        self.formula.score(&PrefixFacts::new(&row.tally(), &sums, is_active), &self.moment)
    }
}

/// A row, with the view that knows its parent.
#[derive(Clone, Copy)]
struct Block<'a> {
    view: &'a View,
    row: Row<'a>,
}

impl RankedBlock for Block<'_> {
    fn key(&self) -> PrefixKey {
        self.row.key()
    }

    /// Under layer or page bands, the parent in the same band.
    fn parent_key(&self) -> Option<PrefixKey> {
        let parent_id = self.row.parent_id()?;
        let policy = self.view.spec().key_policy;
        let (layer, page) = match policy == KeyPolicy::default() {
            true => (0, 0),
            false => {
                let tally = self.row.tally();
                (tally.layer_min, tally.page_start)
            }
        };
        Some(PrefixKey::new(policy, self.row.tenant(), self.row.model_id(), parent_id, layer, page))
    }

    /// A parent that the index cannot give counts as a parent that is not known.
    fn parent(&self) -> Option<Self> {
        let row = self.view.get(&self.parent_key()?).ok()??;
        Some(Block { view: self.view, row })
    }
}
