//! Who is ranked first, and with what probability: what a policy makes of the candidates.
//!
//! A formula orders prefixes and says no probability. So the probabilities come from a model of reuse, and the formula says who
//! gets which: the prefix that it ranks first gets the highest, and so on. The plan follows the formula, and what it
//! expects is as calibrated as the model.

use super::{
    PlanQuery,
    blocks::Candidacy,
    candidates::Candidates,
    estimates::{Estimates, Facts, Learned},
};
use crate::{ServiceError, experience::Correction};
use prefix_indexer_analytics::{
    Estimate, LEARNED, Model,
    policies::{self, AUTO, Formula, Moment, PolicyError, PrefixFacts, REUSE},
};
use prefix_indexer_models::{IndexSpec, Ladder, Rank, parse_duration_ms};
use prefix_indexer_storage::Order;
use std::cmp::Reverse;

/// Decayed sums count this much more in the formula of an index that has learned nothing: one that has faded is as good as any.
const FADED: f64 = 1e-4;

/// The least probability of a use: what was never seen to come back so late may still, so it is loaded where there is room.
const RARE: f64 = 1e-9;

/// How a plan ranks.
#[derive(Debug)]
enum Ranking {
    /// By the learned probability.
    Learned,
    /// By the life tables, or the gaps of rows where there are none.
    Reuse,
    /// By all decayed sums alike: the safe default of an index that has learned nothing.
    Untrained,
    Formula(Box<dyn Formula>),
}

/// A policy that a plan is made by, as far as it follows from its name and what was learned.
#[derive(Debug)]
pub(super) struct Policy<'m> {
    ranking: Ranking,
    /// Of what ranks.
    pub(super) name: String,
    model: Option<&'m Model>,
    /// How earlier plans of it correct its probabilities.
    correction: Correction,
    pub(super) why: String,
}

/// The names of the policies that plans of an index can be made by, the default first.
pub fn plan_policies(ladder: &Ladder) -> Vec<String> {
    let learned = [AUTO, REUSE].map(str::to_owned);
    learned.into_iter().chain(policies::formula_names(ladder)).collect()
}

fn formula(name: &str, ladder: &Ladder) -> Result<Ranking, ServiceError> {
    match policies::formula(name, ladder) {
        Ok(formula) => Ok(Ranking::Formula(formula)),
        Err(PolicyError::Unknown { name, .. }) => {
            let known = plan_policies(ladder).join(", ");
            Err(PolicyError::Unknown { name, known }.into())
        }
        Err(error) => Err(error.into()),
    }
}

impl<'m> Policy<'m> {
    /// A model whose plans have never been judged counts as none.
    pub(super) fn of(
        query: &PlanQuery<'_>,
        ladder: &Ladder,
        model: Option<&'m Model>,
    ) -> Result<Policy<'m>, ServiceError> {
        let model = model.filter(|model| model.ladder() == ladder && !model.choice().shares.is_empty());
        let source = match model {
            Some(_) => "from what the index has learned",
            None => "from the gaps that its prefixes had, for this index has not seen enough yet to learn from",
        };
        let (ranking, name, mut why) = match (query.policy, model) {
            (AUTO, Some(model)) => {
                let choice = model.choice();
                let choice = match query.experience {
                    Some(experience) => experience.choose(choice, query.horizon_ms, query.budget_bytes),
                    None => choice,
                };
                let ranking = match choice.policy.as_str() {
                    LEARNED => Ranking::Learned,
                    REUSE => Ranking::Reuse,
                    name => formula(name, ladder)?,
                };
                (ranking, choice.policy, format!("`auto` is {}.", choice.why))
            }
            (AUTO, None) => {
                let why = "This index has not seen enough yet to learn from, so `auto` takes its safe default: all its decayed \
                           sums alike (the sum of ln(1e-4 + D)). Probabilities come from the gaps that its prefixes had.";
                (Ranking::Untrained, AUTO.to_owned(), why.to_owned())
            }
            (REUSE, _) => (Ranking::Reuse, REUSE.to_owned(), format!("As asked, the probability of reuse, {source}.")),
            (name, _) => {
                let why = format!("As asked, `{name}` ranks; probabilities come {source}.");
                (formula(name, ladder)?, name.to_owned(), why)
            }
        };
        let experience = query.experience.map(|experience| experience.correction(&name, query.horizon_ms));
        let correction = experience.unwrap_or_default();
        if !correction.is_none() {
            why += " They are corrected by what came of earlier plans.";
        }
        Ok(Policy { ranking, name, model, correction, why })
    }

    /// The rankings of the index whose heads hold what the policy ranks first: its own where the index keeps it, else recency and the
    /// popularity that fades about as fast as the horizon ends (of the most frequent, the one that fades slowest).
    pub(super) fn orders(&self, ladder: &Ladder, horizon_ms: u64) -> Vec<Order> {
        let decay = self.name.strip_prefix("decay-").and_then(|half_life| parse_duration_ms(half_life).ok());
        if let Some(rung) = decay.and_then(|half_life_ms| ladder.rung(half_life_ms).ok()) {
            return vec![Order::Rung(rung)];
        }
        if self.name == "most-recent" {
            return vec![Order::Recency];
        }
        let last = ladder.len() - 1;
        let asked = ladder.half_lives_ms().position(|half_life| half_life >= horizon_ms).unwrap_or(last);
        vec![Order::Recency, Order::Rung(if self.name == "most-frequent" { last } else { asked })]
    }

    /// Says of each block how likely it is used, and puts the blocks in the order of the policy. Returns how many uses are
    /// expected of the prefixes that are no candidates.
    pub(super) fn judge(
        &self,
        blocks: &mut Vec<Candidacy>,
        candidates: &Candidates<'_>,
        spec: &IndexSpec,
        [now_ms, horizon_ms]: [u64; 2],
    ) -> f64 {
        let outlook = self.model.map(|model| model.outlook(now_ms, horizon_ms));
        let by_tables = matches!(self.ranking, Ranking::Reuse);
        let estimates = match &outlook {
            Some(outlook) => Estimates::Learned(Learned { outlook, by_tables, spec }),
            None => Estimates::from_gaps(&candidates.sample, now_ms, horizon_ms),
        };
        let facts = |block: &Candidacy| candidates.facts.get(block.row as usize);
        for block in blocks.iter_mut() {
            if let Some(facts) = facts(block) {
                let Estimate { probability, expected_uses } = estimates.of(facts);
                let probability = probability.max(RARE);
                block.estimate = Estimate { probability, expected_uses: expected_uses.max(probability) };
            }
        }
        let moment = Moment { now_ms, ladder: &spec.ladder };
        let rank = |facts: &Facts, estimate: Estimate| match &self.ranking {
            Ranking::Learned | Ranking::Reuse => Rank::of_score(estimate.probability, 0),
            Ranking::Untrained => untrained(facts, &moment),
            Ranking::Formula(formula) => {
                let Facts { tally, sums } = facts;
                formula.rank(&PrefixFacts::new(tally, &sums[..spec.ladder.len()], false), &moment)
            }
        };
        // Ties go to the newest use, then the shallowest, then the smaller key.
        let place = |block: &Candidacy| {
            let facts = facts(block)?;
            let depth = facts.tally.depth.unwrap_or(u32::MAX);
            Some((Reverse(rank(facts, block.estimate)), Reverse(facts.tally.last_seen_ms), depth, block.key))
        };
        let mut places: Vec<_> = blocks.iter().map(place).zip(0_u32..).collect();
        places.sort_unstable();
        *blocks = places.iter().filter_map(|&(_, number)| blocks.get(number as usize).copied()).collect();
        if matches!(self.ranking, Ranking::Untrained | Ranking::Formula(_)) {
            hand_out_again(blocks);
        }
        blocks.iter_mut().for_each(|block| block.estimate = self.correction.of(block.estimate));
        let others = candidates.rest.iter().fold(0.0, |uses, facts| uses + estimates.of(facts).expected_uses);
        others * candidates.weight
    }
}

/// The decayed sums of all half-lives alike: the sum of their logarithms, as a product.
fn untrained(facts: &Facts, moment: &Moment<'_>) -> Rank {
    let last_ms = facts.tally.last_seen_ms;
    let decayed = (0..moment.ladder.len())
        .zip(&facts.sums)
        .map(|(rung, &sum)| FADED + moment.ladder.score(rung, last_ms, sum, moment.now_ms));
    Rank::of_score(decayed.product(), 0)
}

/// Gives blocks the estimates that there are, the highest to the first.
fn hand_out_again(blocks: &mut [Candidacy]) {
    let mut estimates: Vec<_> = blocks.iter().map(|block| block.estimate).collect();
    estimates.sort_by(|a, b| {
        let by_uses = || b.expected_uses.total_cmp(&a.expected_uses);
        b.probability.total_cmp(&a.probability).then_with(by_uses)
    });
    blocks.iter_mut().zip(estimates).for_each(|(block, estimate)| block.estimate = estimate);
}
