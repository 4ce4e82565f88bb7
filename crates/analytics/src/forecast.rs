//! Learning how prefixes come back while they are used, and saying which will.
//!
//! A [`Forecaster`] sees requests in the order of time. At steps of event time it looks at some random blocks and at what it would
//! have predicted, and when the horizon has passed it learns from what became of them. Now and then it freezes the plan that
//! each policy would make and counts, when the horizon has passed, which of the planned blocks were used: so it knows which policy
//! to trust (prequential evaluation: Dawid, 1984). The time between steps doubles when there have been so many, and
//! what came before then counts half: each second of the history weighs the same, and there are never more than
//! a few hundred steps an octave of time.
//!
//! The prediction is a [`Model`]: it knows no block, and scores a row of an index as it scores a block of a replay.

mod blocks;
mod effort;
mod features;
mod frozen;
mod learner;
mod logistic;
mod model;
mod ratio;
mod steps;
mod uses;

pub use effort::Effort;
pub use learner::{FOLLOWED, Learner, LearnerError};
pub use model::{LEARNED, Model, Outlook};

use crate::{
    Divergence,
    backtest::{Choice, Warmup},
    policies::{Formula, Moment},
};
use blocks::Blocks;
use features::{Features, Place};
use frozen::Frozen;
use logistic::Row;
use prefix_indexer_models::{Clock, Ladder, MAX_INTEGER, Rank};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use steps::{Random, Steps};
pub(crate) use uses::{Further, FurtherUses};

/// Looked at a horizon before the first of them is decided: further samples wait.
const SAMPLES_A_HORIZON: u64 = 16;
/// Of the blocks looked at, every other is the most popular of so many random ones: likely blocks are rare, and plans consist
/// of them.
const TOURNAMENT: usize = 8;
/// Share of the evidence for the weights that is forgotten a step: they follow the latest hundred steps or so, a fifth to two
/// fifths of the history. What plans were worth is not forgotten that way.
const FADING: f64 = 0.01;
/// How much of a block's logit is that of all blocks that the same request used last. They will mostly be used together, so
/// what tells them apart is in good part noise.
const TOGETHER: f64 = 0.5;
/// What is due is decided at the next step, and so late at most: a part of the horizon.
const LATE: u64 = 16;
/// Plans frozen at the same time.
const FROZEN: usize = 16;

/// Predicts which of the blocks seen so far will be used, from how they have been used.
///
/// Blocks are numbers that count up from 0 in the order of first sight, root before leaf within a request. Memory: some
/// 100 bytes a block, and some MiB for what is not decided yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Forecaster {
    effort: Effort,
    model: Model,
    blocks: Blocks,
    chains: Option<Divergence>,
    steps: Steps,
    /// When there is something to do next: a step, or a horizon whose end cannot wait for that.
    due_ms: u64,
    random: Random,
    /// For each horizon, blocks as they were, until it is known what became of them.
    samples: Vec<VecDeque<Sample>>,
    frozen: VecDeque<Frozen>,
    #[serde(skip)]
    warmup: Warmup,
}

/// Blocks looked at at one time.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Sample {
    at_ms: u64,
    rows: Vec<Seen>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Seen {
    block: u32,
    features: Features,
    /// What was predicted, if the block stands for all blocks.
    probability: Option<f64>,
    /// Uses so far.
    uses: u64,
    /// What its own rate makes of a further use.
    further: Further,
}

impl Forecaster {
    /// Nothing has happened yet. Decayed sums are kept for the half-lives of `ladder`.
    pub fn new(ladder: &Ladder, effort: Effort) -> Forecaster {
        Forecaster {
            model: Model::new(ladder, &effort),
            blocks: Blocks::default(),
            chains: effort.chains.then(Divergence::default),
            steps: Steps::default(),
            due_ms: 0,
            random: Random::default(),
            samples: vec![VecDeque::new(); effort.horizons_ms.len()],
            frozen: VecDeque::new(),
            warmup: Warmup::default(),
            effort,
        }
    }

    /// Number of blocks known.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether no block is known.
    pub fn is_empty(&self) -> bool {
        self.blocks.len() == 0
    }

    /// What has been learned.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The policy that `auto` is now, with the reasons.
    pub fn choice(&self) -> Choice {
        self.model.choice()
    }

    /// Counts a request at `time_ms` (an earlier time than the newest counts as that) that uses a chain of blocks, root first; `parent` is
    /// the block before the first. `bytes` tells the size of a block.
    ///
    /// The first block that is neither known nor the next new number, and what follows it, is left out.
    pub fn observe(&mut self, time_ms: u64, parent: Option<u32>, chain: &[u32], bytes: impl Fn(u32) -> u64) {
        let time_ms = self.blocks.newest_ms().max(time_ms);
        if time_ms >= self.due_ms {
            self.catch_up(time_ms);
        }
        if let Some(divergence) = &mut self.chains {
            divergence.observe(time_ms, chain);
        }
        self.blocks.count(&mut self.model, time_ms, parent, chain, bytes);
        self.steps.count(chain.len() as u64);
    }

    /// Counts a use of one block whose chain is not known.
    pub(crate) fn observe_one(&mut self, time_ms: u64, block: u32, depth: Option<u32>, bytes: u64) {
        self.observe(time_ms, None, &[block], |_| bytes);
        self.blocks.lift(block, depth);
    }

    /// Counts uses of blocks that are not followed.
    pub(crate) fn pass(&mut self, uses: u64) {
        self.steps.count(uses);
    }

    /// Which blocks have been used within so many of the longest horizons.
    pub(crate) fn used_within(&self, horizons: u64) -> Vec<bool> {
        let longest_ms = self.effort.horizons_ms.last().copied().unwrap_or(0);
        let since_ms = self.blocks.newest_ms().saturating_sub(longest_ms.saturating_mul(horizons));
        self.blocks.all().map(|block| self.blocks.used_since(block, since_ms)).collect()
    }

    /// Forgets the other blocks; those that are kept count up anew, in the same order.
    pub(crate) fn retain(&mut self, keep: &[bool]) {
        let numbers = self.blocks.retain(&mut self.model, keep);
        for sample in self.samples.iter_mut().flatten() {
            sample.rows.retain_mut(|seen| {
                let new = numbers.get(seen.block as usize).copied().flatten();
                seen.block = new.unwrap_or(seen.block);
                new.is_some()
            });
        }
        self.frozen.iter_mut().for_each(|frozen| frozen.renumber(&numbers));
    }

    /// Adds what was learned elsewhere.
    pub(crate) fn merge_model(&mut self, other: &Model) {
        self.model.merge(other);
    }

    /// Whether the parts belong together: those that were read from somewhere.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let horizons = self.effort.horizons_ms.len();
        self.model.check(&self.effort)?;
        self.blocks.check(&self.model)?;
        if self.samples.len() != horizons || self.chains.is_some() {
            return Err("samples for each horizon");
        }
        Ok(())
    }

    /// Everything that is due before the uses at `time_ms` count.
    #[cold]
    fn catch_up(&mut self, time_ms: u64) {
        self.decide(time_ms);
        if self.steps.is_due(time_ms) {
            self.step(time_ms);
            self.decide(time_ms);
        }
        let horizons = self.effort.horizons_ms.iter();
        let samples = self.samples.iter().zip(horizons).filter_map(|(samples, &ms)| Some((samples.front()?.at_ms, ms)));
        let plans = self.frozen.iter().filter_map(|frozen| frozen.undecided(&self.effort));
        let latest = |(at_ms, horizon_ms): (u64, u64)| at_ms.saturating_add(horizon_ms + horizon_ms / LATE);
        self.due_ms = samples.chain(plans).map(latest).fold(self.steps.next_ms(), u64::min);
    }

    /// Looks, and freezes plans, if there have been enough uses.
    fn step(&mut self, time_ms: u64) {
        let Some(at_ms) = self.steps.step(time_ms, &self.effort.uses_a_step) else { return };
        let doubled = self.steps.take_doubled();
        if doubled {
            self.model.ledger.fade();
            if self.effort.tables_fade {
                self.model.table.fade(at_ms);
            }
            self.model.horizons.iter_mut().for_each(|horizon| horizon.turn_page());
        }
        // From now on a step stands for twice the time, so those before count half.
        let fading = if doubled { 0.5 + FADING / 2.0 } else { FADING };
        let experts = self.model.horizons.iter_mut().flat_map(|horizon| &mut horizon.experts);
        experts.for_each(|expert| expert.fade(fading));
        if self.blocks.len() > 0 {
            self.look(at_ms);
            let known = self.blocks.len() as f64;
            if self.steps.plan_is_due(self.effort.steps_a_plan, known * self.effort.uses_a_block_a_plan) {
                self.freeze(at_ms);
            }
        }
    }

    /// Learns from all whose horizon has ended by `time_ms`.
    fn decide(&mut self, time_ms: u64) {
        let blocks = &self.blocks;
        for (samples, horizon) in self.samples.iter_mut().zip(&mut self.model.horizons) {
            while let Some(sample) =
                samples.pop_front_if(|sample| sample.at_ms.saturating_add(horizon.horizon_ms) <= time_ms)
            {
                let came = |seen: &Seen| blocks.used_since(seen.block, sample.at_ms);
                for seen in &sample.rows {
                    if let Some(probability) = seen.probability {
                        horizon.reliability[1].record(probability, came(seen));
                    }
                    if came(seen) {
                        horizon.further.record(seen.further, blocks.uses(seen.block).saturating_sub(seen.uses));
                    }
                }
                let rows = sample.rows.iter().map(|seen| Row { features: &seen.features, came: came(seen) });
                horizon.experts.iter_mut().for_each(|expert| expert.learn(rows.clone()));
            }
        }
        for frozen in &mut self.frozen {
            frozen.judge(time_ms, &self.effort, blocks, &mut self.model.ledger);
        }
        self.frozen.retain(|frozen| !frozen.is_judged(&self.effort));
    }

    /// Notes some blocks as they are at `at_ms`, to learn from what becomes of them.
    fn look(&mut self, at_ms: u64) {
        let mut clock = Clock::new(&self.model.ladder);
        clock.set(at_ms.min(MAX_INTEGER));
        // What the life tables say takes longer than all else here, and it is the same for all horizons.
        let mut reuse = None;
        for (number, samples) in self.samples.iter_mut().enumerate() {
            let horizon_ms = self.model.horizons[number].horizon_ms;
            let newest_ms = samples.back().map_or(0, |sample| sample.at_ms);
            if !samples.is_empty() && at_ms.saturating_sub(newest_ms) < horizon_ms / SAMPLES_A_HORIZON {
                continue;
            }
            let reuse = reuse.get_or_insert_with(|| self.model.table.model(at_ms));
            let outlook = Outlook::new(&self.model, reuse.clone(), at_ms, horizon_ms);
            let hazards = self.chains.as_ref().map(|chains| chains.hazards(at_ms, horizon_ms));
            let mut rows = Vec::with_capacity(self.effort.rows);
            for row in 0..self.effort.rows {
                let mut random = || self.random.below(self.blocks.len() as u64) as u32;
                let uniform = row % 2 == 0;
                let block = if uniform {
                    random()
                } else {
                    let drawn: [u32; TOURNAMENT] = std::array::from_fn(|_| random());
                    let popularity = |block: &u32| features::popularity(&self.blocks.facts(*block), &clock);
                    drawn.into_iter().max_by(|a, b| popularity(a).total_cmp(&popularity(b))).unwrap_or(0)
                };
                let place = place(self.chains.as_ref(), hazards.as_deref(), block);
                let facts = self.blocks.facts(block);
                let features = outlook.features(&facts, horizon_ms, place);
                let probability = uniform.then(|| self.model.horizons[number].probability(&features));
                rows.push(Seen { block, features, probability, uses: facts.uses, further: outlook.further(&facts) });
            }
            samples.push_back(Sample { at_ms, rows });
        }
    }

    /// Freezes the plans of all policies.
    fn freeze(&mut self, at_ms: u64) {
        if self.frozen.len() >= FROZEN {
            return;
        }
        let among = self.sampled();
        let share = self.effort.budgets.last().copied().unwrap_or(0.0);
        let budget = (share * among.len() as f64) as usize;
        let mut ranks = Vec::new();
        let mut plan = |ranks: &[Rank]| frozen::plan(&among, ranks, &self.blocks, budget, &mut self.warmup);
        let mut learned = Vec::new();
        for horizon in &self.model.horizons {
            let outlook = self.model.outlook(at_ms, horizon.horizon_ms);
            rank_learned(&outlook, &self.blocks, self.chains.as_ref(), &among, &mut ranks);
            let by_learned = plan(&ranks);
            rank_reuse(&outlook, &self.blocks, &among, &mut ranks);
            learned.push([by_learned, plan(&ranks)]);
        }
        let moment = Moment { now_ms: at_ms, ladder: &self.model.ladder };
        let mut fixed = Vec::new();
        for formula in self.model.formulas() {
            rank_by(formula.as_ref(), &moment, &self.blocks, &among, &mut ranks);
            fixed.push(plan(&ranks));
        }
        self.frozen.push_back(Frozen::new(at_ms, among, learned, fixed));
    }

    /// The blocks that judged plans choose from: all, or every so manieth.
    fn sampled(&mut self) -> Vec<u32> {
        let known = self.blocks.len();
        let stride = known.div_ceil(self.effort.planned_blocks.max(1)).max(1);
        let first = if stride > 1 { self.random.below(stride as u64) as usize } else { 0 };
        self.blocks.all().skip(first).step_by(stride).collect()
    }

    /// The ranks of all blocks known, by number: of the policy that `auto` is now. Some hundred nanoseconds a block.
    pub fn rank(&self, now_ms: u64, horizon_ms: u64, ranks: &mut Vec<Rank>) {
        let outlook = self.model.outlook(now_ms, horizon_ms);
        let all: Vec<u32> = self.blocks.all().collect();
        match self.model.ledger.best(|_| true) {
            0 => rank_learned(&outlook, &self.blocks, self.chains.as_ref(), &all, ranks),
            1 => rank_reuse(&outlook, &self.blocks, &all, ranks),
            formula => {
                let moment = Moment { now_ms, ladder: &self.model.ladder };
                if let Some(formula) = self.model.formulas().get(formula - 2) {
                    rank_by(formula.as_ref(), &moment, &self.blocks, &all, ranks);
                }
            }
        }
    }
}

fn place(chains: Option<&Divergence>, hazards: Option<&[f64]>, block: u32) -> Option<Place> {
    let (place, pace) = chains?.place(block)?;
    Some(Place { hazard: *hazards?.get(block as usize)?, place, pace })
}

/// The ranks of the blocks in `among`, in their order.
fn rank_learned(
    outlook: &Outlook<'_>,
    blocks: &Blocks,
    chains: Option<&Divergence>,
    among: &[u32],
    ranks: &mut Vec<Rank>,
) {
    let hazards = chains.map(|chains| outlook.hazards(chains));
    let probability = |block: u32| {
        let places = hazards.as_ref().and_then(|hazards| {
            let at = |which: usize| place(chains, hazards.get(which.min(hazards.len() - 1)).map(Vec::as_slice), block);
            Some([at(0)?, at(1)?])
        });
        outlook.placed(&blocks.facts(block), places)
    };
    ranks.clear();
    if chains.is_none() {
        ranks.extend(among.iter().map(|&block| Rank::of_score(probability(block), 0)));
        return;
    }
    let logits: Vec<f64> = among.iter().map(|&block| logistic::logit(probability(block))).collect();
    let mut together = vec![(0.0, 0.0); blocks.len()];
    for (&block, logit) in among.iter().zip(&logits) {
        if let Some((sum, count)) = together.get_mut(blocks.end(block) as usize) {
            *sum += logit;
            *count += 1.0;
        }
    }
    ranks.extend(among.iter().zip(&logits).map(|(&block, logit)| {
        let (sum, count) = together.get(blocks.end(block) as usize).copied().unwrap_or((*logit, 1.0));
        Rank::of_score(logistic::sigmoid(logit + TOGETHER * (sum / count - logit)), 0)
    }));
}

fn rank_reuse(outlook: &Outlook<'_>, blocks: &Blocks, among: &[u32], ranks: &mut Vec<Rank>) {
    ranks.clear();
    ranks.extend(among.iter().map(|&block| Rank::of_score(outlook.reuse(&blocks.facts(block)), 0)));
}

fn rank_by(formula: &dyn Formula, moment: &Moment<'_>, blocks: &Blocks, among: &[u32], ranks: &mut Vec<Rank>) {
    ranks.clear();
    ranks.extend(among.iter().map(|&block| formula.rank(&blocks.facts(block), moment)));
}
