//! A tier is lost at some moments and filled again as a policy says: how much of what could be won is won?
//!
//! At a moment T the history is every request before T. The policy orders the blocks of the history (ties: newest use, then
//! shallowest, then first seen). The tier takes them in that order, each with the ancestors it lacks, root first; a chain
//! that does not fit is skipped; until the budget is full. The requests from T to T + horizon then run through an LRU tier
//! of the budget or a quarter of the unique blocks, whichever is more, where what was loaded last is dropped first.
//! `none` loads nothing; `clairvoyant` orders by the next use within the horizon. Counts are summed over the moments.

use crate::{
    Capacity, Costs, FormulaRanker, History, Ranker, Request, Share, SimulatorError, Trace, scenarios::cells::Cells,
};
use prefix_indexer_analytics::policies::{self, REPLAY_HALF_LIVES_MS};
use prefix_indexer_models::Ladder;
use serde::Serialize;

/// Loads nothing.
pub const NONE: &str = "none";
/// Knows what comes within the horizon.
pub const CLAIRVOYANT: &str = "clairvoyant";
/// What the best fixed formula of each cell is called in summaries.
pub const BEST: &str = "best-in-hindsight";

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
    /// Which policy; [`BEST`] takes the best fixed formula of each cell.
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

/// Runs the scenario; `watch` hears how many moments are done, and of how many. Time: one pass over the trace, and for
/// each moment and policy an order of the blocks known, for each budget a filling and a replay of the longest horizon.
///
/// # Errors
/// [`SimulatorError::Ladder`]: none in practice.
pub fn run(
    trace: &Trace,
    options: &Options,
    rankers: &mut [Box<dyn Ranker>],
    watch: impl FnMut(usize, usize),
) -> Result<Report, SimulatorError> {
    run_for(trace, options, rankers, |_| true, watch)
}

/// As [`run`], for a tier that after a moment sees only the requests that `keep` says yes to.
pub(super) fn run_for(
    trace: &Trace,
    options: &Options,
    rankers: &mut [Box<dyn Ranker>],
    keep: impl Fn(&Request<'_>) -> bool,
    mut watch: impl FnMut(usize, usize),
) -> Result<Report, SimulatorError> {
    let ladder = Ladder::new(&REPLAY_HALF_LIVES_MS)?;
    let names: Vec<String> =
        rankers.iter().map(|ranker| ranker.name()).chain([NONE, CLAIRVOYANT]).map(str::to_owned).collect();
    let fixed = policies::formula_names(&ladder);
    let mut cells = Cells::new(trace, options, names.len());
    let mut history = History::new(trace, ladder);
    let mut moments = moments(trace, &options.at);
    moments.sort_unstable();
    for (done, &start_ms) in moments.iter().enumerate() {
        let end = trace.requests_before(start_ms);
        while history.requests() < end {
            let request = trace.request(history.requests());
            rankers.iter_mut().for_each(|ranker| ranker.observe(&request, &history));
            history.advance();
        }
        history.settle();
        cells.moment(&history, start_ms, rankers, &keep);
        watch(done + 1, moments.len());
    }
    Ok(cells.report(&names, |name| fixed.iter().any(|fixed| fixed == name)))
}

/// The first whole millisecond of each moment. Times are whole, so what is before it is what is before the moment, and likewise
/// for the moment plus a horizon.
pub(super) fn moments(trace: &Trace, at: &[Share]) -> Vec<u64> {
    let Some((first_ms, last_ms)) = trace.span_ms() else { return Vec::new() };
    at.iter().map(|share| first_ms + share.ceil_of(last_ms - first_ms)).collect()
}
