//! A tier is lost at some moments and filled again as a policy says: how much of what could be won is won?
//!
//! At a moment T the history is every request before T. The policy orders the blocks of the history (ties: newest use, then
//! shallowest, then first seen). The tier takes them in that order, each with the ancestors it lacks, root first; a chain
//! that does not fit is skipped; until the budget is full. The requests from T to T + horizon then run through an LRU tier
//! of the budget or a quarter of the unique blocks, whichever is more, where what was loaded last is dropped first.
//! `none` loads nothing; `clairvoyant` orders by the next use within the horizon. Counts are summed over the moments.

use crate::{
    Capacity, Costs, FormulaRanker, History, Lru, Question, Ranker, Scope, Share, SimulatorError, Trace,
    bootstrap::{self, Samples},
    ranking::Sorter,
    warmup::Warmup,
    window::{self, Served, Window},
};
use prefix_indexer_analytics::policies::{self, REPLAY_HALF_LIVES_MS};
use prefix_indexer_models::{Ladder, Rank};
use serde::Serialize;

/// Loads nothing.
pub const NONE: &str = "none";
/// Knows what comes within the horizon.
pub const CLAIRVOYANT: &str = "clairvoyant";

/// Share of the unique blocks that the tier holds at least.
const TIER: Share = Share::QUARTER;

/// What to compare.
#[derive(Debug, Clone)]
pub struct Options {
    /// When the tier is lost: shares of the time from the first to the last request.
    pub at: Vec<Share>,
    /// How much may be loaded.
    pub budgets: Vec<Capacity>,
    /// For how long the requests are watched after that, in milliseconds.
    pub horizons_ms: Vec<u64>,
    /// What a block spares.
    pub costs: Costs,
    /// Of the bootstrap.
    pub seed: u64,
}

impl Default for Options {
    /// 41 moments from 40 % to 80 %, budgets of 1, 2, 5, 10 and 25 %, horizons of 1 and 5 minutes.
    fn default() -> Options {
        Options {
            at: (40..=80).map(Share::percent).collect(),
            budgets: [1, 2, 5, 10, 25].map(|percent| Capacity::Share(Share::percent(percent))).to_vec(),
            horizons_ms: vec![60_000, 300_000],
            costs: Costs::default(),
            seed: 0,
        }
    }
}

/// One policy, budget and horizon, summed over the moments.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Which policy, [`NONE`] or [`CLAIRVOYANT`].
    pub policy: String,
    /// The budget as it was given.
    pub budget: Capacity,
    /// The budget in blocks.
    pub budget_blocks: u64,
    /// The horizon in milliseconds.
    pub horizon_ms: u64,
    /// References to blocks used before in the trace.
    pub references: u64,
    /// Those that were found resident.
    pub hits: u64,
    /// Share of the clairvoyant gain: (hits - hits of none) / (hits of clairvoyant - hits of none); none when that is 0.
    pub recovered: Option<f64>,
    /// 95 % of bootstrap draws over the moments lie from here
    pub recovered_low: Option<f64>,
    /// to here.
    pub recovered_high: Option<f64>,
    /// Hits whose ancestors in the request were all resident, too.
    pub prefix_hits: u64,
    /// Blocks loaded.
    pub loaded_blocks: u64,
    /// Their bytes.
    pub bytes_moved: u64,
    /// Blocks loaded that were used within the horizon while resident.
    pub used_blocks: u64,
    /// Used blocks over loaded blocks; none when none were loaded.
    pub precision: Option<f64>,
    /// Used blocks over the blocks of the history that were used within the horizon; none when none were.
    pub coverage: Option<f64>,
    /// Tokens spared by prefix hits beyond those of `none`, if the size of a block is known.
    pub tokens_saved: Option<i64>,
    /// Milliseconds of prefill spared by prefix hits beyond those of `none`, if costs are known.
    pub saved_ms: Option<f64>,
}

/// One policy over all budgets and horizons.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Which policy; `best-in-hindsight` takes the best fixed formula of each cell.
    pub policy: String,
    /// Mean of `recovered` over the cells (budget and horizon) that have one.
    pub recovered: Option<f64>,
    /// 95 % of bootstrap draws over the moments lie from here
    pub recovered_low: Option<f64>,
    /// to here.
    pub recovered_high: Option<f64>,
    /// How far the policy is below the best fixed formula in the cell where that is most; below 0 where it is better in all.
    pub worst_gap: Option<f64>,
}

/// What a restart costs, policy by policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Policies in the order they were given, then [`NONE`] and [`CLAIRVOYANT`]; within a policy budgets, then horizons.
    pub rows: Vec<Row>,
    /// Policies over all cells.
    pub summary: Vec<Summary>,
}

/// The rankers of the fixed formulas that a replay compares: all of them, or those named.
///
/// # Errors
/// [`SimulatorError::Policy`] for a name that no formula has.
pub fn formula_rankers(names: Option<&[&str]>) -> Result<Vec<Box<dyn Ranker>>, SimulatorError> {
    let ladder = Ladder::new(&REPLAY_HALF_LIVES_MS)?;
    let all = policies::formula_names(&ladder);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let ranker =
        |name: &&str| -> Result<Box<dyn Ranker>, SimulatorError> { Ok(Box::new(FormulaRanker::new(name, &ladder)?)) };
    names.unwrap_or(&all).iter().map(ranker).collect()
}

/// Runs the scenario. Time: one pass over the trace, and for each moment and policy an order of the blocks known, for each
/// budget a filling and a replay of the longest horizon.
///
/// # Errors
/// [`SimulatorError::Ladder`]: none in practice.
pub fn run(trace: &Trace, options: &Options, rankers: &mut [Box<dyn Ranker>]) -> Result<Report, SimulatorError> {
    let ladder = Ladder::new(&REPLAY_HALF_LIVES_MS)?;
    let names: Vec<String> =
        rankers.iter().map(|ranker| ranker.name()).chain([NONE, CLAIRVOYANT]).map(str::to_owned).collect();
    let fixed = policies::formula_names(&ladder);
    let mut cells = Cells::new(trace, options, names.len());
    let mut history = History::new(trace, ladder);
    let mut moments = moments(trace, &options.at);
    moments.sort_unstable();
    for start_ms in moments {
        let end = trace.requests_before(start_ms);
        while history.requests() < end {
            let request = trace.request(history.requests());
            rankers.iter_mut().for_each(|ranker| ranker.observe(&request, &history));
            history.advance();
        }
        history.settle();
        cells.moment(&history, start_ms, rankers);
    }
    Ok(cells.report(&names, |name| fixed.iter().any(|fixed| fixed == name)))
}

/// The first whole millisecond of each moment. Times are whole, so what is before it is what is before the moment, and likewise
/// for the moment plus a horizon.
fn moments(trace: &Trace, at: &[Share]) -> Vec<u64> {
    let Some((first_ms, last_ms)) = trace.span_ms() else { return Vec::new() };
    at.iter().map(|share| first_ms + share.ceil_of(last_ms - first_ms)).collect()
}

/// Who orders the blocks.
enum Contestant<'a> {
    Ranker(&'a mut dyn Ranker),
    None,
    Clairvoyant,
}

/// The counts of all cells, and the memory of filling them in.
struct Cells<'a> {
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
    fn new(trace: &'a Trace, options: &'a Options, policies: usize) -> Cells<'a> {
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
            warmup: Warmup::new(trace.unique_blocks()),
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

    fn moment(&mut self, history: &History<'_>, start_ms: u64, rankers: &mut [Box<dyn Ranker>]) {
        let horizons_ms = std::mem::take(&mut self.horizons_ms);
        self.window.set(history, start_ms, &horizons_ms, |_| true);
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
        let groups = match scope {
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
                let loaded = self.warmup.fill(self.trace, order, question.budget_blocks);
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

    fn report(&self, names: &[String], fixed: impl Fn(&str) -> bool) -> Report {
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
