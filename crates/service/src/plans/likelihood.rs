//! How likely each candidate is to be used within the horizon, as a policy sees it.
//!
//! A formula orders prefixes and says no probability. So the probabilities come from a model of reuse, and the formula says who
//! gets which: the prefix that it ranks first gets the highest, and so on. The plan follows the formula, and what it
//! expects is as calibrated as the model.

use super::{blocks::Candidacy, candidates::Candidates};
use crate::ServiceError;
use prefix_indexer_analytics::{
    GapModel,
    policies::{self, Formula, Moment, PolicyError, PrefixFacts},
};
use prefix_indexer_models::{IndexSpec, Ladder, PrefixKey, Rank, parse_duration_ms};
use prefix_indexer_storage::Order;
use std::cmp::Reverse;

/// Decayed sums count this much more in the formula of an index that has learned nothing: one that has faded is as good as any.
const FADED: f64 = 1e-4;

/// The half-life between short and long that candidates are taken by, where the index keeps it.
const MIDDLE_HALF_LIFE_MS: u64 = 300_000;

/// A policy that a plan can be made by.
#[derive(Debug)]
pub(super) enum Choice {
    Auto,
    Reuse,
    Formula { name: String, formula: Box<dyn Formula> },
}

/// What a plan says of how it chose.
#[derive(Debug)]
pub(super) struct Judgement {
    pub(super) policy: String,
    pub(super) why: String,
    /// Uses expected of the prefixes that are no candidates.
    pub(super) other_uses: f64,
}

/// The names of the policies that plans of an index can be made by, the default first.
pub fn plan_policies(ladder: &Ladder) -> Vec<String> {
    let learned = ["auto", "reuse"].map(str::to_owned);
    learned.into_iter().chain(policies::formula_names(ladder)).collect()
}

impl Choice {
    pub(super) fn by_name(name: &str, ladder: &Ladder) -> Result<Choice, ServiceError> {
        match name {
            "auto" => Ok(Choice::Auto),
            "reuse" => Ok(Choice::Reuse),
            _ => match policies::formula(name, ladder) {
                Ok(formula) => Ok(Choice::Formula { name: name.to_owned(), formula }),
                Err(PolicyError::Unknown { name, .. }) => {
                    let known = plan_policies(ladder).join(", ");
                    Err(PolicyError::Unknown { name, known }.into())
                }
                Err(error) => Err(error.into()),
            },
        }
    }

    /// The rankings of the index whose heads hold what the policy ranks first.
    pub(super) fn orders(&self, ladder: &Ladder) -> Vec<Order> {
        let (last, name) = (ladder.len() - 1, if let Choice::Formula { name, .. } = self { name.as_str() } else { "" });
        let decay = name.strip_prefix("decay-").and_then(|half_life| parse_duration_ms(half_life).ok());
        if let Some(rung) = decay.and_then(|half_life_ms| ladder.rung(half_life_ms).ok()) {
            return vec![Order::Rung(rung)];
        }
        if name == "most-recent" {
            return vec![Order::Recency];
        }
        let middle = ladder.half_lives_ms().position(|half_life| half_life >= MIDDLE_HALF_LIFE_MS).unwrap_or(last);
        let mut orders = vec![Order::Recency, Order::Rung(middle), Order::Rung(last)];
        orders.dedup();
        orders
    }

    /// Says of each block how likely it is used, and puts the blocks in the order of the policy.
    pub(super) fn judge(
        &self,
        blocks: &mut Vec<Candidacy>,
        candidates: &Candidates<'_>,
        spec: &IndexSpec,
        now_ms: u64,
        horizon_ms: u64,
    ) -> Judgement {
        let mut model = GapModel::default();
        candidates.sample.iter().for_each(|tally| model.add(tally, now_ms));
        let forecast = model.forecast(now_ms, horizon_ms);
        blocks.iter_mut().for_each(|block| block.estimate = forecast.of(&block.tally));
        let moment = Moment { now_ms, ladder: &spec.ladder };
        let rungs = spec.ladder.len();
        match self {
            Choice::Reuse => sort(blocks, |block| Rank::of_score(block.estimate.probability, 0)),
            Choice::Auto => by_formula(blocks, |block| untrained(block, &moment)),
            Choice::Formula { formula, .. } => by_formula(blocks, |block| {
                formula.rank(&PrefixFacts::new(&block.tally, &block.sums[..rungs], false), &moment)
            }),
        }
        let (policy, why) = match self {
            Choice::Auto => (
                "auto",
                "Nothing has been learned from this index's history yet, so its decayed sums rank, all half-lives alike (the sum \
                 of ln(1e-4 + D)), and probabilities come from the gaps that the prefixes themselves had."
                    .to_owned(),
            ),
            Choice::Reuse => {
                ("reuse", "As asked: probabilities of reuse, from the gaps that the prefixes themselves had.".to_owned())
            }
            Choice::Formula { name, .. } => (
                name.as_str(),
                format!("As asked, `{name}` ranks; probabilities come from the gaps that the prefixes themselves had."),
            ),
        };
        let others: f64 = candidates.rest.iter().map(|tally| forecast.of(tally).expected_uses).sum();
        Judgement { policy: policy.to_owned(), why, other_uses: others * candidates.weight }
    }
}

/// The decayed sums of all half-lives alike: the sum of their logarithms, as a product.
fn untrained(block: &Candidacy, moment: &Moment<'_>) -> Rank {
    let last_ms = block.tally.last_seen_ms;
    let decayed = (0..moment.ladder.len())
        .zip(&block.sums)
        .map(|(rung, &sum)| FADED + moment.ladder.score(rung, last_ms, sum, moment.now_ms));
    Rank::of_score(decayed.product(), 0)
}

/// Puts blocks in the order of a formula, and gives them the estimates there are, the highest to the first.
fn by_formula(blocks: &mut Vec<Candidacy>, rank: impl Fn(&Candidacy) -> Rank) {
    sort(blocks, rank);
    let mut estimates: Vec<_> = blocks.iter().map(|block| block.estimate).collect();
    estimates.sort_by(|a, b| {
        let by_uses = || b.expected_uses.total_cmp(&a.expected_uses);
        b.probability.total_cmp(&a.probability).then_with(by_uses)
    });
    blocks.iter_mut().zip(estimates).for_each(|(block, estimate)| block.estimate = estimate);
}

/// Puts blocks in an order, best first. Ties go to the newest use, then the shallowest, then the smaller key.
fn sort(blocks: &mut Vec<Candidacy>, rank: impl Fn(&Candidacy) -> Rank) {
    type Place = (Reverse<Rank>, Reverse<u64>, u32, PrefixKey);
    let place = |block: &Candidacy| {
        let depth = block.tally.depth.unwrap_or(u32::MAX);
        (Reverse(rank(block)), Reverse(block.tally.last_seen_ms), depth, block.key)
    };
    let mut places: Vec<(Place, u32)> = blocks.iter().map(place).zip(0..).collect();
    places.sort_unstable();
    *blocks = places.iter().filter_map(|&(_, number)| blocks.get(number as usize).cloned()).collect();
}
