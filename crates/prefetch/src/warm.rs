//! A warm-up: a list of blocks, moved in its order and in parallel, until all are there or time is up.
//!
//! It may be stopped and run again: what is there already is skipped. A cold tier that goes away is waited for.

use crate::{
    Attempts, BlockExtent, BlockKeys, BlockName, Cancel, Outcome, PrefetchError, PrefetchRequest, mover::Move,
};
use prefix_indexer_models::Plan;
use serde::Serialize;
use std::{
    collections::HashSet,
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

/// A block of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct WarmBlock {
    /// Its key, rendered.
    pub key: String,
    /// Bytes it is expected to have.
    pub bytes: u64,
    /// How probable a use is.
    pub probability: f64,
}

/// The blocks of a plan by their keys, in its order. Entries that share an object are one block.
///
/// # Errors
/// [`PrefetchError::Template`] when the keys name layers or pages and the plan does not say them.
pub fn warm_blocks(plan: &Plan, keys: &BlockKeys) -> Result<Vec<WarmBlock>, PrefetchError> {
    let (mut seen, mut blocks) = (HashSet::new(), Vec::with_capacity(plan.entries.len()));
    for entry in &plan.entries {
        let extent = match (entry.layer_min, entry.page_start, entry.page_end) {
            (Some(layer), Some(page_start), Some(page_end)) => Some(BlockExtent { layer, page_start, page_end }),
            _ => None,
        };
        let (tenant, model_id, prefix_id) = (&*entry.tenant, &*entry.model_id, &*entry.prefix_id);
        let key = keys.render(&BlockName { tenant, model_id, prefix_id, extent })?;
        if seen.insert(key.clone()) {
            blocks.push(WarmBlock { key, bytes: entry.bytes, probability: entry.probability });
        }
    }
    Ok(blocks)
}

/// How a warm-up is run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WarmOptions {
    /// Blocks under way at once. Default 32.
    pub in_flight: usize,
    /// When to end with what there is.
    pub deadline: Option<Instant>,
}

impl Default for WarmOptions {
    fn default() -> WarmOptions {
        WarmOptions { in_flight: 32, deadline: None }
    }
}

/// How long a tier that does not answer is waited for by a warm-up that has no deadline.
pub const WARM_PATIENCE: Duration = Duration::from_secs(120);

/// What became of a warm-up: the document of `warm --json`.
///
/// `planned = resident + fetched + missing + failed`, plus the blocks that were not come to.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct WarmReport {
    /// Blocks of the plan.
    pub planned: u64,
    /// Blocks that were there already.
    pub resident: u64,
    /// Blocks that were moved.
    pub fetched: u64,
    /// Blocks that no lower tier has.
    pub missing: u64,
    /// Blocks that could not be moved.
    pub failed: u64,
    /// Bytes moved.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
    /// Whether every block of the plan that there is, is there now: none failed, and none was not come to.
    pub complete: bool,
}

/// How far a warm-up is.
#[derive(Debug, Clone, Copy)]
pub struct WarmProgress<'a> {
    /// What became of the blocks so far.
    pub report: &'a WarmReport,
    /// Bytes that the blocks done with were expected to have: what a rate and a time left can be made of.
    pub expected_bytes_done: u64,
    /// Why the newest block was not moved, if it was not.
    pub error: Option<&'a PrefetchError>,
}

/// Executes plans.
#[derive(Debug)]
pub struct Warmup<'a> {
    attempts: &'a Attempts,
    options: WarmOptions,
    cancel: Cancel,
}

impl<'a> Warmup<'a> {
    /// A warm-up by way of `attempts`, called off by `cancel`.
    pub fn new(attempts: &'a Attempts, options: WarmOptions, cancel: Cancel) -> Warmup<'a> {
        Warmup { attempts, options, cancel }
    }

    /// Moves the blocks, begun in their order. `progress` hears of each that is done with.
    ///
    /// # Errors
    /// [`PrefetchError::Thread`]; everything else is in the report.
    pub fn run(
        &self,
        blocks: &[WarmBlock],
        source: &str,
        now_ms: u64,
        mut progress: impl FnMut(WarmProgress<'_>),
    ) -> Result<WarmReport, PrefetchError> {
        let began = Instant::now();
        let mut report = WarmReport { planned: blocks.len() as u64, ..WarmReport::default() };
        let mut expected_bytes_done = 0;
        let request = |place: usize| {
            let block = &blocks[place];
            PrefetchRequest::for_block(&block.key, now_ms)
                .with_prediction(source, block.probability)
                .with_expected_bytes(block.bytes)
        };
        let done = |place: usize, outcome: Outcome| {
            let mut failure = None;
            match outcome {
                Outcome::Fetched { bytes } => {
                    report.fetched += 1;
                    report.bytes += bytes;
                }
                Outcome::Resident => report.resident += 1,
                Outcome::Missing => report.missing += 1,
                Outcome::Failed(error) => {
                    report.failed += 1;
                    failure = Some(error);
                }
                // Not come to.
                Outcome::Cancelled | Outcome::Expired => return,
            }
            expected_bytes_done += blocks[place].bytes;
            report.seconds = began.elapsed().as_secs_f64();
            progress(WarmProgress { report: &report, expected_bytes_done, error: failure.as_ref() });
        };
        let moves = Move {
            attempts: self.attempts,
            threads: self.options.in_flight.max(1),
            cancel: &self.cancel,
            enough: &AtomicBool::new(false),
            deadline: self.options.deadline,
        };
        moves.run(blocks.len(), request, done)?;
        report.seconds = began.elapsed().as_secs_f64();
        report.complete = report.resident + report.fetched + report.missing == report.planned;
        Ok(report)
    }
}
