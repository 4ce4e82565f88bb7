//! What has been learned of how prefixes come back, apart from the prefixes: kilobytes, kept with an index.

use super::{
    effort::Effort,
    features::{self, Features, Place},
    logistic::{Logistic, Ridge, sigmoid},
    uses::{Further, FurtherUses},
};
use crate::{
    Divergence, LifeTable, Reliability, ReuseModel,
    backtest::{Choice, Ledger},
    policies::{self, Formula, PrefixFacts, REUSE},
};
use prefix_indexer_models::{Clock, Ladder, MAX_INTEGER, exp2};
use serde::{Deserialize, Serialize};

/// What the learned probability is called among the policies that `auto` chooses from.
pub const LEARNED: &str = "learned";

/// Trust in the untaught weights of an expert with few columns, in rows.
const RIDGE: Ridge = Ridge { constant: 20.0, others: 20.0 };
/// Likewise of the one with many, which could follow every accident.
const RICH_RIDGE: Ridge = Ridge { constant: 200.0, others: 200.0 };
/// Of the expert whose probabilities a plan counts with: its constant is what calibrates it, where the others only rank.
const COUNTED_RIDGE: Ridge = Ridge { constant: 0.1, others: 20.0 };

/// Life tables, the weights of the learned probability, how well it was calibrated, and what each policy's plans were worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    pub(super) ladder: Ladder,
    pub(super) table: LifeTable,
    pub(super) horizons: Vec<Horizon>,
    pub(super) ledger: Ledger,
}

/// What was learned for one horizon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Horizon {
    pub(super) horizon_ms: u64,
    /// Their logits are averaged: a pool of opinions.
    pub(super) experts: Vec<Logistic>,
    /// Of the time before the steps became longer, and since.
    pub(super) reliability: [Reliability; 2],
    pub(super) further: FurtherUses,
}

impl Horizon {
    /// The steps have become longer.
    pub(super) fn turn_page(&mut self) {
        self.reliability.rotate_left(1);
        self.reliability[1] = Reliability::default();
        self.further.fade();
    }

    pub(super) fn probability(&self, features: &Features) -> f64 {
        let sum: f64 = self.experts.iter().map(|expert| expert.logit(features)).sum();
        sigmoid(sum / self.experts.len().max(1) as f64)
    }
}

impl Model {
    pub(super) fn new(ladder: &Ladder, effort: &Effort) -> Model {
        let rungs = ladder.len();
        let experts = || match effort.chains {
            true => vec![
                Logistic::new(features::lean_columns(rungs), RIDGE),
                Logistic::new(features::rich_columns(rungs), RICH_RIDGE),
            ],
            false => vec![Logistic::new(features::row_columns(rungs), COUNTED_RIDGE)],
        };
        let horizon = |&horizon_ms: &u64| Horizon {
            horizon_ms,
            experts: experts(),
            reliability: Default::default(),
            further: FurtherUses::default(),
        };
        let names = [LEARNED.to_owned(), REUSE.to_owned()].into_iter().chain(policies::formula_names(ladder)).collect();
        Model {
            ladder: ladder.clone(),
            table: LifeTable::default(),
            horizons: effort.horizons_ms.iter().map(horizon).collect(),
            ledger: Ledger::new(names, &effort.horizons_ms, effort.budgets.len()),
        }
    }

    /// The formulas that are compared, in the order of the ledger, where they follow the two that are learned.
    pub(super) fn formulas(&self) -> Vec<Box<dyn Formula>> {
        let names = policies::formula_names(&self.ladder);
        names.iter().filter_map(|name| policies::formula(name, &self.ladder).ok()).collect()
    }

    pub(super) fn check(&self, effort: &Effort) -> Result<(), &'static str> {
        let expected = Model::new(&self.ladder, effort);
        let same_shape = |ours: &Horizon, theirs: &Horizon| {
            let experts = ours.experts.iter().zip(&theirs.experts);
            ours.horizon_ms == theirs.horizon_ms
                && ours.experts.len() == theirs.experts.len()
                && experts.into_iter().all(|(ours, theirs)| ours.has_shape_of(theirs))
        };
        let horizons = self.horizons.iter().zip(&expected.horizons);
        if self.horizons.len() != expected.horizons.len() || !horizons.into_iter().all(|(a, b)| same_shape(a, b)) {
            return Err("weights for each horizon");
        }
        if !self.ledger.has_shape_of(&expected.ledger) {
            return Err("a ledger of the policies there are");
        }
        Ok(())
    }

    /// The half-lives of the sums that prefixes are described by.
    pub fn ladder(&self) -> &Ladder {
        &self.ladder
    }

    /// What each policy's plans have been worth.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The policy that `auto` is now: [`LEARNED`] or the name of a policy, with the reasons.
    pub fn choice(&self) -> Choice {
        self.ledger.choice()
    }

    /// Predicted probabilities of random blocks against what became of them, at each horizon (in milliseconds), over the latest
    /// half of the history or more. Each was made before its outcome was learned from.
    pub fn reliability(&self) -> impl Iterator<Item = (u64, Reliability)> {
        self.horizons.iter().map(|horizon| {
            let [mut both, since] = horizon.reliability.clone();
            both.merge(&since);
            (horizon.horizon_ms, both)
        })
    }

    /// Makes ready to score many prefixes at one time and horizon. Some 100 us.
    pub fn outlook(&self, now_ms: u64, horizon_ms: u64) -> Outlook<'_> {
        Outlook::new(self, self.table.model(now_ms), now_ms, horizon_ms)
    }

    /// Probability that a prefix is used at least once in the `horizon_ms` after `now_ms`. For many prefixes take an
    /// [`outlook`](Self::outlook).
    pub fn probability(&self, prefix: &PrefixFacts<'_>, now_ms: u64, horizon_ms: u64) -> f64 {
        self.outlook(now_ms, horizon_ms).probability(prefix)
    }

    /// Adds what another index has learned. Life tables, worth of plans and reliability add up (as their own merges say); of
    /// the weights those with more evidence stay, for the mean of two sets of weights need not predict well anywhere.
    pub fn merge(&mut self, other: &Model) {
        self.table.merge(&other.table);
        self.ledger.merge(&other.ledger);
        if self.ladder != other.ladder {
            return;
        }
        for ours in &mut self.horizons {
            let Some(theirs) = other.horizons.iter().find(|theirs| theirs.horizon_ms == ours.horizon_ms) else {
                continue;
            };
            ours.reliability.iter_mut().zip(&theirs.reliability).for_each(|(ours, theirs)| ours.merge(theirs));
            ours.further.merge(&theirs.further);
            let evidence = |horizon: &Horizon| horizon.experts.iter().map(Logistic::evidence).sum::<f64>();
            if evidence(theirs) > evidence(ours) {
                ours.experts.clone_from(&theirs.experts);
            }
        }
    }
}

/// A model at one time, for one horizon.
#[derive(Debug)]
pub struct Outlook<'a> {
    model: &'a Model,
    reuse: ReuseModel,
    clock: Clock,
    now_ms: u64,
    horizon_ms: u64,
    /// Numbers of the learned horizons on either side, the same one for a learned horizon or one beyond them all.
    between: [usize; 2],
    /// How far the horizon is from the first to the second, on a logarithmic scale.
    share: f64,
}

impl<'a> Outlook<'a> {
    /// `reuse` is what the model's life tables say at `now_ms`.
    pub(super) fn new(model: &'a Model, reuse: ReuseModel, now_ms: u64, horizon_ms: u64) -> Outlook<'a> {
        let learned: Vec<u64> = model.horizons.iter().map(|horizon| horizon.horizon_ms).collect();
        let above = learned.partition_point(|&learned| learned < horizon_ms).min(learned.len().saturating_sub(1));
        let exact = learned.get(above).is_some_and(|&learned| learned <= horizon_ms);
        let below = if exact { above } else { above.saturating_sub(1) };
        let [low, high] = [below, above].map(|number| learned.get(number).map_or(1.0, |&ms| ms.max(1) as f64).ln());
        let share = if high > low { ((horizon_ms.max(1) as f64).ln() - low) / (high - low) } else { 0.0 };
        let mut clock = Clock::new(&model.ladder);
        clock.set(now_ms.min(MAX_INTEGER));
        Outlook { model, reuse, clock, now_ms, horizon_ms, between: [below, above], share }
    }

    /// The hazards of divergence within the learned horizons that the answer lies between.
    pub(super) fn hazards(&self, chains: &Divergence) -> Vec<Vec<f64>> {
        let [below, above] = self.between;
        let horizons = self.model.horizons.get(below..=above).unwrap_or(&[]);
        horizons.iter().map(|horizon| chains.hazards(self.now_ms, horizon.horizon_ms)).collect()
    }

    /// The learned probability that a prefix is used at least once within the horizon.
    pub fn probability(&self, prefix: &PrefixFacts<'_>) -> f64 {
        self.placed(prefix, None)
    }

    /// Likewise, where the place in a chain is known, at both horizons of [`hazards`](Self::hazards) (twice the same if they are one).
    pub(super) fn placed(&self, prefix: &PrefixFacts<'_>, places: Option<[Place; 2]>) -> f64 {
        let [below, above] = self.between;
        if let Some(horizon) = self.model.horizons.get(below).filter(|horizon| horizon.horizon_ms == self.horizon_ms) {
            return horizon.probability(&self.features(prefix, self.horizon_ms, places.map(|[place, _]| place)));
        }
        let hazard = |number: usize, which: usize| self.hazard(prefix, number, places.map(|places| places[which]));
        let first = hazard(below, 0);
        let hazard = if below != above {
            // Between two horizons, hazards grow like a power of the horizon.
            let second = hazard(above, 1);
            first.max(f64::MIN_POSITIVE).powf(1.0 - self.share) * second.max(f64::MIN_POSITIVE).powf(self.share)
        } else {
            first * self.beyond(prefix, below)
        };
        -(-hazard).exp_m1()
    }

    /// The learned hazard within one of the learned horizons.
    fn hazard(&self, prefix: &PrefixFacts<'_>, number: usize, place: Option<Place>) -> f64 {
        let Some(horizon) = self.model.horizons.get(number) else {
            return self.reuse.hazard(&prefix.waiting, self.now_ms, self.horizon_ms);
        };
        let features = self.features(prefix, horizon.horizon_ms, place);
        -(-horizon.probability(&features)).ln_1p()
    }

    /// How much longer the horizon is than a learned one, as the life tables see it.
    fn beyond(&self, prefix: &PrefixFacts<'_>, number: usize) -> f64 {
        let learned_ms = self.model.horizons.get(number).map_or(self.horizon_ms, |horizon| horizon.horizon_ms);
        if learned_ms == self.horizon_ms {
            return 1.0;
        }
        let hazard = |horizon_ms| self.reuse.hazard(&prefix.waiting, self.now_ms, horizon_ms);
        let (asked, learned) = (hazard(self.horizon_ms), hazard(learned_ms));
        if learned > 0.0 { asked / learned } else { self.horizon_ms as f64 / learned_ms as f64 }
    }

    pub(super) fn features(&self, prefix: &PrefixFacts<'_>, horizon_ms: u64, place: Option<Place>) -> Features {
        let hazard = self.reuse.hazard(&prefix.waiting, self.now_ms, horizon_ms);
        let features = Features::of(prefix, &self.clock, hazard);
        place.map_or(features, |place| features.placed(&place))
    }

    /// The probability of the life tables alone: the policy `reuse`.
    pub fn reuse(&self, prefix: &PrefixFacts<'_>) -> f64 {
        self.reuse.probability(&prefix.waiting, self.now_ms, self.horizon_ms)
    }

    /// Uses within the horizon to expect of a prefix that is used at all within it; at least 1. The probability of that times this
    /// number is how many to expect.
    pub fn uses_of_one(&self, prefix: &PrefixFacts<'_>) -> f64 {
        let further = self.further(prefix);
        let [below, above] = self.between;
        let nearer = if self.share > 0.5 { above } else { below };
        let learned = self.model.horizons.get(nearer);
        learned.map_or_else(|| FurtherUses::default().of_one(further), |horizon| horizon.further.of_one(further))
    }

    /// What follows from the prefix's own rate and from its class.
    pub(super) fn further(&self, prefix: &PrefixFacts<'_>) -> Further {
        let half_lives = self.model.ladder.half_lives_ms().enumerate();
        let fits = |&(_, half_life_ms): &(usize, u64)| half_life_ms >= self.horizon_ms;
        let Some((rung, half_life_ms)) = half_lives.clone().find(fits).or(half_lives.last()) else {
            return Further::new(1.0, 0.0, 0.0, 0.0);
        };
        let age_ms = self.now_ms.saturating_sub(prefix.first_seen_ms) as f64;
        // The first use ever says that there is such a prefix, and nothing of its rate.
        let first = exp2(-age_ms / half_life_ms as f64);
        let sum = features::scores(prefix, &self.clock)[rung] - first;
        let exposure = (1.0 - first) * half_life_ms as f64 / std::f64::consts::LN_2 / self.horizon_ms as f64;
        let after = prefix.waiting.used(self.now_ms);
        let prior = self.reuse.hazard(&after, self.now_ms, self.horizon_ms / 2);
        Further::new(prefix.uses as f64 / prefix.waiting.uses.max(1) as f64, prior, sum, exposure)
    }
}
