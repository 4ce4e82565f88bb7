//! The index as a source of blocks to prefetch.

mod ranking;

use crate::{FeedbackLedger, Outcome, ServiceError, plan_policies};
use prefix_indexer_analytics::{
    Learner, NextBlocks, Presence, RankedBlock, next_blocks,
    policies::{Formula, Moment, PrefixFacts, formula},
};
use prefix_indexer_models::{IndexSpec, KeyPolicy, Ladder, PrefixKey, PrefixRecommendation, parse_duration_ms};
use prefix_indexer_prefetch::{Ask, BlockUse, Candidate, CandidateSource, Candidates, Evidence, PrefetchError};
use prefix_indexer_storage::{Order, Row, Scope, StorageError, View};
use ranking::Ranking;
use std::{
    cell::OnceCell,
    sync::{Arc, Mutex, PoisonError},
};

/// The prefix of the policies that an index has rankings of.
const DECAY: &str = "decay-";
/// The other one.
const MOST_RECENT: &str = "most-recent";

/// What an index holds now.
type ViewNow = Box<dyn Fn() -> Arc<View> + Send + Sync>;
/// What it has learned so far.
type LearnedNow = Box<dyn Fn() -> Option<Arc<Learner>> + Send + Sync>;

/// What it was told of loaded blocks so far.
type FeedbackNow = Box<dyn Fn() -> Result<FeedbackLedger, ServiceError> + Send + Sync>;

/// Candidates out of whatever an index holds at the moment.
///
/// The index is ranked by its half-lives (`decay-...`) and by recency already: their next blocks cost a few steps each. What other
/// policies make of it is put in order every ten seconds and gone down in between: `auto` and `reuse` as a plan would order it,
/// with the probability of a use as the score, the formulas by what they score.
pub struct IndexCandidates {
    view: ViewNow,
    learned: LearnedNow,
    feedback: FeedbackNow,
    ranking: Mutex<Option<Arc<Ranking>>>,
}

impl IndexCandidates {
    /// Candidates out of what `view` gives, which is asked once a cycle. It has learned nothing.
    pub fn new(view: impl Fn() -> Arc<View> + Send + Sync + 'static) -> IndexCandidates {
        IndexCandidates {
            view: Box::new(view),
            learned: Box::new(|| None),
            feedback: Box::new(|| Ok(FeedbackLedger::default())),
            ranking: Mutex::default(),
        }
    }

    /// The same, with what the index has learned, for `auto` and `reuse`; asked when the ranking is made anew.
    #[must_use]
    pub fn with_learned(self, learned: impl Fn() -> Option<Arc<Learner>> + Send + Sync + 'static) -> IndexCandidates {
        IndexCandidates { learned: Box::new(learned), ..self }
    }

    /// The same, with the feedback that the index was given, for adaptive control; asked once a minute.
    #[must_use]
    pub fn with_feedback(
        self,
        feedback: impl Fn() -> Result<FeedbackLedger, ServiceError> + Send + Sync + 'static,
    ) -> IndexCandidates {
        IndexCandidates { feedback: Box::new(feedback), ..self }
    }

    /// The names of the policies that can be asked for, those that learn first.
    pub fn policies(spec: &IndexSpec) -> Vec<String> {
        plan_policies(&spec.ladder)
    }

    fn next_ranked(
        &self,
        ask: &Ask<'_>,
        view: &View,
        order: Order,
        presence: &dyn Fn(&PrefixKey) -> Presence,
    ) -> Result<Candidates, PrefetchError> {
        let ladder = &view.spec().ladder;
        let formula = formula(ask.policy, ladder).map_err(PrefetchError::source_failed)?;
        let moment = Moment { now_ms: ask.now_ms.max(view.newest_ms()), ladder };
        let scorer = Scorer { formula: &*formula, moment, active_model: ask.active_model };
        let mut failed = None;
        let rows = view.ranked(Scope::default(), order).map_while(|row| keep(row, &mut failed));
        let rows = rows.take(ask.limits.scan_limit).map(|row| Block::of(view, row));
        let next = if ask.min_score == f64::NEG_INFINITY {
            // The order is all that counts; the score of what is chosen is made out below.
            next_blocks(rows.map(|block| (block, 0.0)), ask.limits, presence)
        } else {
            let scored = rows.map(|block| {
                let score = block.row().map_or(0.0, |row| scorer.score(&row));
                (block, score)
            });
            next_blocks(scored.take_while(|(_, score)| *score >= ask.min_score), ask.limits, presence)
        };
        match failed {
            Some(error) => Err(PrefetchError::source_failed(error)),
            None => Ok(candidates(&next, moment.now_ms, |row, _| scorer.score(row))),
        }
    }

    fn next_judged(
        &self,
        ask: &Ask<'_>,
        view: &View,
        presence: &dyn Fn(&PrefixKey) -> Presence,
    ) -> Result<Candidates, PrefetchError> {
        let now_ms = ask.now_ms.max(view.newest_ms());
        let ranking = self.ranking(ask, view, now_ms)?;
        let rows = ranking.rows.iter().map(|(key, score)| (Block::by_key(view, *key), *score));
        let next = next_blocks(rows.take_while(|(_, score)| *score >= ask.min_score), ask.limits, presence);
        Ok(candidates(&next, now_ms, |_, score| score))
    }

    /// The newest ranking if it answers, or one that is made now.
    fn ranking(&self, ask: &Ask<'_>, view: &View, now_ms: u64) -> Result<Arc<Ranking>, PrefetchError> {
        // Who asks meanwhile waits for the one that is being made.
        let mut newest = self.ranking.lock().unwrap_or_else(PoisonError::into_inner);
        match &*newest {
            Some(ranking) if ranking.answers(ask, now_ms) => Ok(Arc::clone(ranking)),
            _ => {
                let made = Ranking::make(ask, view, &self.learned, now_ms).map_err(PrefetchError::source_failed)?;
                Ok(Arc::clone(newest.insert(Arc::new(made))))
            }
        }
    }
}

impl CandidateSource for IndexCandidates {
    fn next(&self, ask: &Ask<'_>, presence: &dyn Fn(&PrefixKey) -> Presence) -> Result<Candidates, PrefetchError> {
        let view = (self.view)();
        match order_of(ask.policy, &view.spec().ladder) {
            Some(order) => self.next_ranked(ask, &view, order, presence),
            None => self.next_judged(ask, &view, presence),
        }
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

    fn reported(&self) -> Result<Evidence, PrefetchError> {
        let feedback = (self.feedback)().map_err(PrefetchError::source_failed)?;
        let totals = feedback.totals();
        let of = |outcome| totals.get(&outcome).copied().unwrap_or_default();
        let [used, wasted, late, evicted] = [Outcome::Used, Outcome::Wasted, Outcome::Late, Outcome::Evicted].map(of);
        Ok(Evidence {
            used: used.prefixes,
            wasted: wasted.prefixes,
            late: late.prefixes,
            evicted: evicted.prefixes,
            saved_ms: used.saved_ms,
            wasted_bytes: wasted.bytes.saturating_add(evicted.bytes),
        })
    }
}

impl std::fmt::Debug for IndexCandidates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IndexCandidates").finish_non_exhaustive()
    }
}

/// The order that an index is kept in by itself, for the policies that ask for no other.
fn order_of(policy: &str, ladder: &Ladder) -> Option<Order> {
    match policy.strip_prefix(DECAY) {
        Some(half_life) => parse_duration_ms(half_life).and_then(|ms| ladder.rung(ms)).ok().map(Order::Rung),
        None => (policy == MOST_RECENT).then_some(Order::Recency),
    }
}

fn keep<T>(row: Result<T, StorageError>, failed: &mut Option<StorageError>) -> Option<T> {
    row.map_err(|error| *failed = Some(error)).ok()
}

fn candidates(next: &NextBlocks<Block<'_>>, now_ms: u64, score: impl Fn(&Row<'_>, f64) -> f64) -> Candidates {
    let candidate = |(block, ranked): &(Block<'_>, f64)| {
        let row = block.row()?;
        let block = PrefixRecommendation { score: score(&row, *ranked), ..row.recommend(0, now_ms) };
        Some(Candidate { key: row.key(), block })
    };
    Candidates {
        chosen: next.chosen.iter().filter_map(candidate).collect(),
        scored: next.scored,
        resident: next.resident,
        gone: next.gone,
    }
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

/// A prefix, with the view that knows its row and its parent. The row is looked for when somebody asks: nobody does of what is
/// resident.
#[derive(Clone)]
struct Block<'a> {
    view: &'a View,
    key: PrefixKey,
    row: OnceCell<Option<Row<'a>>>,
}

impl<'a> Block<'a> {
    fn of(view: &'a View, row: Row<'a>) -> Block<'a> {
        Block { view, key: row.key(), row: OnceCell::from(Some(row)) }
    }

    fn by_key(view: &'a View, key: PrefixKey) -> Block<'a> {
        Block { view, key, row: OnceCell::new() }
    }

    /// None for one that the index no longer has, or cannot give.
    fn row(&self) -> Option<Row<'a>> {
        *self.row.get_or_init(|| self.view.get(&self.key).ok().flatten())
    }
}

impl RankedBlock for Block<'_> {
    fn key(&self) -> PrefixKey {
        self.key
    }

    /// Under layer or page bands, the parent in the same band.
    fn parent_key(&self) -> Option<PrefixKey> {
        let row = self.row()?;
        let parent_id = row.parent_id()?;
        let policy = self.view.spec().key_policy;
        let (layer, page) = match policy == KeyPolicy::default() {
            true => (0, 0),
            false => {
                let tally = row.tally();
                (tally.layer_min, tally.page_start)
            }
        };
        Some(PrefixKey::new(policy, row.tenant(), row.model_id(), parent_id, layer, page))
    }

    /// A parent that the index cannot give counts as a parent that is not known.
    fn parent(&self) -> Option<Self> {
        let row = self.view.get(&self.parent_key()?).ok()??;
        Some(Block::of(self.view, row))
    }
}
