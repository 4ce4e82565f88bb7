//! Do probabilities mean what they say? Life tables learn from the trace up to a moment, and are then held against what
//! came: of the blocks that were given 20 %, 20 % should have been used within the horizon.
//!
//! Each moment is judged by requests that nothing had been learned from yet. Times are whole milliseconds: the history of a
//! moment T is every request before T, the window is from T to T + horizon.

use super::restart::moments;
use crate::{Share, Trace};
use prefix_indexer_analytics::{LifeTable, Reliability, ReliabilityRow, Waiting};
use serde::Serialize;

/// Predictions for one horizon, summed over the moments.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Horizon {
    /// Its length in milliseconds.
    pub horizon_ms: u64,
    /// Expected over observed uses; none when nothing was used. 1 is right overall.
    pub expected_over_observed: Option<f64>,
    /// Mean squared error of the probabilities; none without predictions.
    pub brier: Option<f64>,
    /// Predictions by probability; those that were never made are left out.
    pub rows: Vec<Row>,
}

/// Predictions of similar probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Row {
    /// More than this probability (the first row: at least),
    pub from: f64,
    /// and at most this one.
    pub to: f64,
    /// How many predictions.
    pub blocks: u64,
    /// How many of them were expected to come true.
    pub expected: f64,
    /// How many came true.
    pub observed: u64,
}

/// Holds the life tables against the trace, at shares of its time. One pass, and at each moment one look at each block known.
pub fn run(trace: &Trace, at: &[Share], horizons_ms: &[u64]) -> Vec<Horizon> {
    let mut moments = moments(trace, at);
    moments.sort_unstable();
    let mut table = LifeTable::default();
    let mut waiting: Vec<Option<Waiting>> = vec![None; trace.unique_blocks()];
    let mut first_use = FirstUse { times_ms: vec![u64::MAX; trace.unique_blocks()], touched: Vec::new() };
    let mut reliability = vec![Reliability::default(); horizons_ms.len()];
    let mut next = 0;
    for start_ms in moments {
        let end = trace.requests_before(start_ms);
        for request in (next..end).map(|index| trace.request(index)) {
            for &block in request.blocks {
                let state = &mut waiting[block as usize];
                *state = Some(match state {
                    Some(before) => table.reuse(before, request.time_ms),
                    None => table.first_use(request.time_ms),
                });
            }
        }
        next = end;
        let model = table.model(start_ms);
        let longest_ms = horizons_ms.iter().copied().max().unwrap_or(0);
        first_use.set(trace, start_ms, longest_ms);
        for (&horizon_ms, reliability) in horizons_ms.iter().zip(&mut reliability) {
            let end_ms = start_ms.saturating_add(horizon_ms);
            for (waiting, &used_ms) in waiting.iter().zip(&first_use.times_ms) {
                if let Some(waiting) = waiting {
                    reliability.record(model.probability(waiting, start_ms, horizon_ms), used_ms < end_ms);
                }
            }
        }
    }
    horizons_ms.iter().zip(&reliability).map(|(&horizon_ms, reliability)| horizon(horizon_ms, reliability)).collect()
}

fn horizon(horizon_ms: u64, reliability: &Reliability) -> Horizon {
    let row = |(from, to, row): (f64, f64, ReliabilityRow)| {
        let ReliabilityRow { count, expected, observed } = row;
        (count > 0).then_some(Row { from, to, blocks: count, expected, observed })
    };
    Horizon {
        horizon_ms,
        expected_over_observed: reliability.ratio(),
        brier: reliability.brier(),
        rows: reliability.rows().filter_map(row).collect(),
    }
}

/// When each block is first used in a window.
struct FirstUse {
    /// The largest number for a block that is not.
    times_ms: Vec<u64>,
    touched: Vec<u32>,
}

impl FirstUse {
    fn set(&mut self, trace: &Trace, start_ms: u64, horizon_ms: u64) {
        for block in self.touched.drain(..) {
            self.times_ms[block as usize] = u64::MAX;
        }
        let end = trace.requests_before(start_ms.saturating_add(horizon_ms));
        for request in (trace.requests_before(start_ms)..end).map(|index| trace.request(index)) {
            for &block in request.blocks {
                let time_ms = &mut self.times_ms[block as usize];
                if *time_ms == u64::MAX {
                    *time_ms = request.time_ms;
                    self.touched.push(block);
                }
            }
        }
    }
}
