//! Plans as the policies would have made them at one moment, until their horizons have passed.

use super::{blocks::Blocks, effort::Effort};
use crate::backtest::{self, Ledger, Warmup};
use prefix_indexer_models::Rank;
use serde::{Deserialize, Serialize};

/// The plans of one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Frozen {
    at_ms: u64,
    /// The blocks that there were to choose from.
    among: Vec<u32>,
    /// Of the learned probability and the life tables, for each horizon.
    learned: Vec<[Vec<u32>; 2]>,
    /// Of the formulas.
    fixed: Vec<Vec<u32>>,
    /// Horizons judged so far, the shortest first.
    judged: usize,
}

impl Frozen {
    pub(super) fn new(at_ms: u64, among: Vec<u32>, learned: Vec<[Vec<u32>; 2]>, fixed: Vec<Vec<u32>>) -> Frozen {
        Frozen { at_ms, among, learned, fixed, judged: 0 }
    }

    /// Goes on with the blocks that are kept, under their new numbers.
    pub(super) fn renumber(&mut self, numbers: &[Option<u32>]) {
        let new = |block: u32| numbers.get(block as usize).copied().flatten();
        for plan in self.learned.iter_mut().flatten().chain(&mut self.fixed).chain([&mut self.among]) {
            *plan = plan.iter().filter_map(|&block| new(block)).collect();
        }
    }

    /// When the plans were made, and for the next horizon that is to be judged.
    pub(super) fn undecided(&self, effort: &Effort) -> Option<(u64, u64)> {
        Some((self.at_ms, *effort.horizons_ms.get(self.judged)?))
    }

    pub(super) fn is_judged(&self, effort: &Effort) -> bool {
        self.judged >= effort.horizons_ms.len()
    }

    /// Judges the plans at all horizons that have ended by `time_ms`, when the uses until then are counted and no later ones.
    pub(super) fn judge(&mut self, time_ms: u64, effort: &Effort, blocks: &Blocks, ledger: &mut Ledger) {
        while let Some(&horizon_ms) = effort.horizons_ms.get(self.judged)
            && self.at_ms.saturating_add(horizon_ms) <= time_ms
        {
            let used = |block: u32| blocks.used_since(block, self.at_ms);
            let returning = self.among.iter().filter(|&&block| used(block)).count();
            let known = self.among.len() as f64;
            let budgets: Vec<usize> = effort.budgets.iter().map(|share| (share * known) as usize).collect();
            let most: Vec<usize> = budgets.iter().map(|&budget| budget.min(returning)).collect();
            let plans = self.learned.get(self.judged).into_iter().flatten().chain(&self.fixed);
            let counts: Vec<Vec<usize>> = plans.map(|plan| backtest::used_within(plan, &budgets, used)).collect();
            ledger.record(self.judged, &most, &counts);
            self.judged += 1;
        }
    }
}

/// The blocks that a ranking of those in `among` would load into `budget` blocks, in the order of loading.
pub(super) fn plan(among: &[u32], ranks: &[Rank], blocks: &Blocks, budget: usize, warmup: &mut Warmup) -> Vec<u32> {
    let mut order: Vec<(u64, u32)> = ranks.iter().map(|rank| !rank.coarse()).zip(0..).collect();
    let exact = |place: u32| std::cmp::Reverse(ranks[place as usize]);
    let ties = |place: u32| blocks.ties(among[place as usize]);
    let compare = |a: &(u64, u32), b: &(u64, u32)| {
        a.0.cmp(&b.0).then_with(|| exact(a.1).cmp(&exact(b.1))).then_with(|| ties(a.1).cmp(&ties(b.1)))
    };
    // Chains that do not fit are skipped: a few more blocks than the budget are looked at.
    let looked_at = budget + budget / 4;
    if looked_at < order.len() {
        order.select_nth_unstable_by(looked_at, compare);
        order.truncate(looked_at);
    }
    order.sort_unstable_by(compare);
    let order = order.into_iter().map(|(_, place)| among[place as usize]);
    warmup.fill(blocks.len(), order, budget as u64, |block| blocks.parent(block), |_| false).to_vec()
}
