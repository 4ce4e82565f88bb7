//! Do probabilities mean what they say? An index's learning sees the trace up to a moment, and is then held against what
//! came: of the blocks that were given 20 %, 20 % should have been used within the horizon, and where ten uses were
//! expected, ten should have come.
//!
//! Each moment is judged by requests that nothing had been learned from yet. Times are whole milliseconds: the history of a
//! moment T is every request before T, the window is from T to T + horizon. What learns is what learns beside ingestion, but it
//! follows all blocks.

use super::restart::moments;
use crate::{History, Share, SimulatorError, Trace};
use prefix_indexer_analytics::{
    Effort, Forecaster, LEARNED, Outlook, Reliability, ReliabilityRow,
    policies::{PrefixFacts, REPLAY_HALF_LIVES_MS, REUSE},
};
use prefix_indexer_models::Ladder;
use serde::Serialize;

/// What gives probabilities: its name, and how it is asked.
type Source = (&'static str, fn(&Outlook<'_>, &PrefixFacts<'_>) -> f64);

/// The life tables alone, and the learned probability.
const SOURCES: [Source; 2] =
    [(REUSE, |outlook, prefix| outlook.reuse(prefix)), (LEARNED, |outlook, prefix| outlook.probability(prefix))];

/// Upper bounds of the bands of expected uses; a last one has more.
const BANDS: [f64; 6] = [0.01, 0.1, 1.0, 10.0, 100.0, 1_000.0];

/// Predictions for one horizon, summed over the moments.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Horizon {
    /// Whose predictions: [`REUSE`], the life tables alone, or [`LEARNED`].
    pub policy: &'static str,
    /// Its length in milliseconds.
    pub horizon_ms: u64,
    /// Blocks expected to be used over those that were; none when none was. 1 is right overall.
    pub expected_over_observed: Option<f64>,
    /// Mean squared error of the probabilities; none without predictions.
    pub brier: Option<f64>,
    /// Predictions by probability; those that were never made are left out.
    pub rows: Vec<Row>,
    /// Uses expected over those that came; none when none came.
    pub uses_expected_over_observed: Option<f64>,
    /// Predictions by expected uses, likewise.
    pub uses: Vec<Row>,
}

/// Similar predictions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Row {
    /// More than this probability or number of uses (the first row: at least),
    pub from: f64,
    /// and at most this one; none for the last row of uses.
    pub to: Option<f64>,
    /// How many predictions.
    pub blocks: u64,
    /// The sum of what was expected.
    pub expected: f64,
    /// What came.
    pub observed: u64,
}

/// Holds what is learned against the trace, at shares of its time. One pass, and at each moment one look at each block known.
///
/// # Errors
/// [`SimulatorError::Ladder`]: none in practice.
pub fn run(trace: &Trace, at: &[Share], horizons_ms: &[u64]) -> Result<Vec<Horizon>, SimulatorError> {
    let ladder = Ladder::new(&REPLAY_HALF_LIVES_MS)?;
    let mut moments = moments(trace, at);
    moments.sort_unstable();
    let mut forecaster = Forecaster::new(&ladder, Effort::ingestion());
    let mut history = History::new(trace, ladder);
    let mut window = Window { uses: vec![0; trace.unique_blocks()], touched: Vec::new() };
    let mut tables = vec![Table::default(); SOURCES.len() * horizons_ms.len()];
    for start_ms in moments {
        while history.requests() < trace.requests_before(start_ms) {
            let request = trace.request(history.requests());
            forecaster.observe(request.time_ms, None, request.blocks, |block| trace.bytes(block));
            history.advance();
        }
        for (&horizon_ms, tables) in horizons_ms.iter().zip(tables.chunks_mut(SOURCES.len())) {
            let outlook = forecaster.model().outlook(start_ms, horizon_ms);
            window.set(trace, start_ms, start_ms.saturating_add(horizon_ms));
            for block in (0..forecaster.len() as u32).filter(|&block| history.knows(block)) {
                let prefix = history.facts(block);
                let (uses, of_one) = (window.uses[block as usize], outlook.uses_of_one(&prefix));
                for ((_, ask), table) in SOURCES.iter().zip(tables.iter_mut()) {
                    table.record(ask(&outlook, &prefix), of_one, uses);
                }
            }
        }
    }
    let named = horizons_ms.iter().flat_map(|&horizon_ms| SOURCES.map(|(policy, _)| (policy, horizon_ms)));
    Ok(named.zip(&tables).map(|((policy, horizon_ms), table)| table.horizon(policy, horizon_ms)).collect())
}

#[derive(Debug, Clone, Default)]
struct Table {
    probabilities: Reliability,
    /// Predictions, expected and observed uses.
    uses: [(u64, f64, u64); BANDS.len() + 1],
}

impl Table {
    fn record(&mut self, probability: f64, uses_of_one: f64, uses: u64) {
        self.probabilities.record(probability, uses > 0);
        let expected = probability * uses_of_one;
        let band = &mut self.uses[BANDS.iter().filter(|&&bound| expected > bound).count()];
        *band = (band.0 + 1, band.1 + expected, band.2 + uses);
    }

    fn horizon(&self, policy: &'static str, horizon_ms: u64) -> Horizon {
        let row = |(from, to, row): (f64, f64, ReliabilityRow)| {
            let ReliabilityRow { count, expected, observed } = row;
            Row { from, to: Some(to), blocks: count, expected, observed }
        };
        let from = std::iter::once(0.0).chain(BANDS);
        let to = BANDS.into_iter().map(Some).chain([None]);
        let uses = from.zip(to).zip(self.uses);
        let uses: Vec<Row> = uses
            .map(|((from, to), (blocks, expected, observed))| Row { from, to, blocks, expected, observed })
            .filter(|row| row.blocks > 0)
            .collect();
        let observed: u64 = uses.iter().map(|row| row.observed).sum();
        let expected: f64 = uses.iter().map(|row| row.expected).sum();
        Horizon {
            policy,
            horizon_ms,
            expected_over_observed: self.probabilities.ratio(),
            brier: self.probabilities.brier(),
            rows: self.probabilities.rows().map(row).filter(|row| row.blocks > 0).collect(),
            uses_expected_over_observed: (observed > 0).then(|| expected / observed as f64),
            uses,
        }
    }
}

/// How often each block is used within a window.
struct Window {
    uses: Vec<u64>,
    touched: Vec<u32>,
}

impl Window {
    fn set(&mut self, trace: &Trace, start_ms: u64, end_ms: u64) {
        for block in self.touched.drain(..) {
            self.uses[block as usize] = 0;
        }
        let requests = trace.requests_before(start_ms)..trace.requests_before(end_ms);
        for &block in requests.flat_map(|index| trace.request(index).blocks) {
            self.uses[block as usize] += 1;
            self.touched.push(block);
        }
    }
}
