//! The counts of a restart, by policy, budget and horizon, and how they are come by at one moment.

use super::restart::{Options, Report, Row, Summary};
use crate::{
    History, Lru, Question, Ranker, Request, Scope, Share, Trace,
    bootstrap::{self, Samples},
    ranking::Sorter,
    window::{self, Served, Window},
};
use prefix_indexer_analytics::backtest::Warmup;
use prefix_indexer_models::Rank;
use std::ops::Range;

/// Share of the unique blocks that the tier holds at least.
const TIER: Share = Share::QUARTER;

/// Who orders the blocks.
enum Contestant<'a> {
    Ranker(&'a mut dyn Ranker),
    None,
    Clairvoyant,
}

/// The counts of all cells, and the memory of filling them in.
pub(super) struct Cells<'a> {
    trace: &'a Trace,
    options: &'a Options,
    budgets: Vec<u64>,
    /// Horizons ascending, with their places in the options.
    horizons: Vec<(u64, usize)>,
    horizons_ms: Vec<u64>,
    block_ms: Option<Vec<f64>>,
    window: Window,
    warmup: Warmup,
    tier: Lru,
    sorter: Sorter,
    ranks: Vec<Rank>,
    sorted: Vec<u32>,
    outcomes: Vec<Served>,
    /// Counts by policy, budget and horizon.
    totals: Vec<Total>,
    /// Hits by moment, likewise.
    samples: Samples,
    known: Vec<u64>,
    returning: Vec<u64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Total {
    served: Served,
    loaded: u64,
    bytes: u64,
}

impl<'a> Cells<'a> {
    pub(super) fn new(trace: &'a Trace, options: &'a Options, policies: usize) -> Cells<'a> {
        let unique = trace.unique_blocks() as u64;
        let mut horizons: Vec<(u64, usize)> = options.horizons_ms.iter().copied().zip(0..).collect();
        horizons.sort_unstable();
        let cells = options.budgets.len() * horizons.len();
        Cells {
            trace,
            options,
            // More than there is changes nothing.
            budgets: options.budgets.iter().map(|budget| budget.blocks(unique).min(unique)).collect(),
            horizons_ms: horizons.iter().map(|&(horizon_ms, _)| horizon_ms).collect(),
            block_ms: options.costs.block_ms(trace),
            window: Window::new(trace.unique_blocks()),
            warmup: Warmup::default(),
            tier: window::lru(trace),
            sorter: Sorter::default(),
            ranks: Vec::new(),
            sorted: Vec::new(),
            outcomes: Vec::new(),
            totals: vec![Total::default(); policies * cells],
            samples: Samples::new(policies, cells),
            known: vec![0; horizons.len()],
            returning: vec![0; horizons.len()],
            horizons,
        }
    }

    /// Place of a policy, budget and horizon (as in the options) in the counts.
    fn cell(&self, policy: usize, budget: usize, horizon: usize) -> usize {
        (policy * self.budgets.len() + budget) * self.horizons.len() + horizon
    }

    pub(super) fn moment(
        &mut self,
        history: &History<'_>,
        start_ms: u64,
        rankers: &mut [Box<dyn Ranker>],
        keep: &impl Fn(&Request<'_>) -> bool,
    ) {
        let horizons_ms = std::mem::take(&mut self.horizons_ms);
        self.window.set(history, start_ms, &horizons_ms, keep);
        self.horizons_ms = horizons_ms;
        for (sorted, &(_, place)) in self.horizons.iter().enumerate() {
            self.known[place] += self.window.known(sorted);
            self.returning[place] += self.window.returning(sorted);
        }
        self.samples.next_moment();
        let rankers = rankers.iter_mut().map(|ranker| Contestant::Ranker(ranker.as_mut()));
        for (policy, mut who) in rankers.chain([Contestant::None, Contestant::Clairvoyant]).enumerate() {
            self.contest(history, start_ms, policy, &mut who);
        }
    }

    /// One policy at one moment: as few orders, fillings and replays as what it depends on allows.
    fn contest(&mut self, history: &History<'_>, start_ms: u64, policy: usize, who: &mut Contestant<'_>) {
        let scope = match who {
            Contestant::Ranker(ranker) => ranker.scope(),
            Contestant::None => Scope::Moment,
            Contestant::Clairvoyant => Scope::Horizon,
        };
        let all = self.horizons.len();
        let groups: Vec<Range<usize>> = match scope {
            Scope::Moment => std::iter::once(0..all).collect(),
            Scope::Horizon | Scope::Cell => (0..all).map(|horizon| horizon..horizon + 1).collect(),
        };
        for group in groups.into_iter().filter(|group| !group.is_empty()) {
            let horizon_ms = self.horizons[group.end - 1].0;
            for budget in 0..self.budgets.len() {
                let question = Question { now_ms: start_ms, horizon_ms, budget_blocks: self.budgets[budget] };
                if budget == 0 || scope == Scope::Cell {
                    self.order(history, &question, who);
                }
                let order = self.sorted.iter().map(|&place| history.order()[place as usize]);
                let loaded = {
                    let parent = |block: u32| self.trace.parent(block);
                    let unique = self.trace.unique_blocks();
                    self.warmup.fill(unique, order, question.budget_blocks, parent, |_| false)
                };
                let bytes = loaded.iter().fold(0_u64, |sum, &block| sum.saturating_add(self.trace.bytes(block)));
                let blocks = loaded.len() as u64;
                let quarter = TIER.floor_of(self.trace.unique_blocks() as u64);
                let capacity = question.budget_blocks.max(quarter) as u32;
                self.outcomes.clear();
                let block_ms = self.block_ms.as_deref();
                self.window.replay(&mut self.tier, capacity, loaded, block_ms, group.clone(), &mut self.outcomes);
                for (index, sorted) in group.clone().enumerate() {
                    let served = self.outcomes[index];
                    let cell = self.cell(policy, budget, self.horizons[sorted].1);
                    let total = &mut self.totals[cell];
                    total.served.hits += served.hits;
                    total.served.prefix_hits += served.prefix_hits;
                    total.served.saved_ms += served.saved_ms;
                    total.served.used += served.used;
                    total.loaded += blocks;
                    total.bytes = total.bytes.saturating_add(bytes);
                    self.samples.add(cell, served.hits);
                }
            }
        }
    }

    /// Leaves the places of the history's order in `sorted`, best first.
    fn order(&mut self, history: &History<'_>, question: &Question, who: &mut Contestant<'_>) {
        self.ranks.clear();
        match who {
            Contestant::None => {}
            Contestant::Ranker(ranker) => ranker.rank(question, history, &mut self.ranks),
            Contestant::Clairvoyant => {
                let end_ms = question.now_ms.saturating_add(question.horizon_ms);
                let rank = |&block: &u32| match self.window.first_use_ms(block) {
                    Some(time_ms) if time_ms < end_ms => Rank::of_time(end_ms - time_ms),
                    _ => Rank::LAST,
                };
                self.ranks.extend(history.order().iter().map(rank));
            }
        }
        self.sorter.sort(&self.ranks, &mut self.sorted);
    }

    pub(super) fn report(&self, names: &[String], fixed: impl Fn(&str) -> bool) -> Report {
        let cells = self.budgets.len() * self.horizons.len();
        let (none, clairvoyant) = (names.len() - 2, names.len() - 1);
        let draws = bootstrap::draws(&self.samples, none, clairvoyant, self.options.seed);
        let mut rows = Vec::with_capacity(names.len() * cells);
        for (policy, name) in names.iter().enumerate() {
            for (budget, &given) in self.options.budgets.iter().enumerate() {
                for (horizon, &horizon_ms) in self.options.horizons_ms.iter().enumerate() {
                    let cell = self.cell(0, budget, horizon);
                    let total = self.totals[policy * cells + cell];
                    let base = self.totals[none * cells + cell].served;
                    let (low, high) = draws.interval(policy, cell);
                    let served = total.served;
                    let spared = served.prefix_hits as i64 - base.prefix_hits as i64;
                    rows.push(Row {
                        policy: name.clone(),
                        budget: given,
                        budget_blocks: self.budgets[budget],
                        horizon_ms,
                        references: self.known[horizon],
                        hits: served.hits,
                        recovered: draws.recovered(policy, cell),
                        recovered_low: low,
                        recovered_high: high,
                        prefix_hits: served.prefix_hits,
                        loaded_blocks: total.loaded,
                        bytes_moved: total.bytes,
                        used_blocks: served.used,
                        precision: ratio(served.used, total.loaded),
                        coverage: ratio(served.used, self.returning[horizon]),
                        tokens_saved: self.options.costs.tokens_per_block.map(|tokens| spared * i64::from(tokens)),
                        saved_ms: self.block_ms.is_some().then_some(served.saved_ms - base.saved_ms),
                    });
                }
            }
        }
        let fixed: Vec<usize> = (0..none).filter(|&policy| fixed(&names[policy])).collect();
        let mut summary: Vec<Summary> = (0..none).map(|policy| draws.summary(&names[policy], policy, &fixed)).collect();
        summary.push(draws.summary_of_best(&fixed));
        Report { rows, summary }
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
