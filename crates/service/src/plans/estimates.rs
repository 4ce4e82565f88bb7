//! Probabilities of use: from what the index has learned, or from the gaps of its rows while that is nothing.

use prefix_indexer_analytics::{Estimate, GapForecast, GapModel, Outlook, policies::PrefixFacts};
use prefix_indexer_models::{IndexSpec, MAX_RUNGS, Tally, Utility};
use prefix_indexer_storage::Row;

/// What the index knows of a prefix.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) tally: Tally,
    /// One a rung, as of the landmark of the last use.
    pub(super) sums: [f64; MAX_RUNGS],
}

impl Facts {
    pub(super) fn of(row: &Row<'_>) -> Facts {
        let mut sums = [0.0; MAX_RUNGS];
        sums.iter_mut().zip(row.sums()).for_each(|(sum, own)| *sum = own);
        Facts { tally: row.tally(), sums }
    }

    /// Adds those of another row of the same block: uses add up, the size is that of the larger.
    pub(super) fn add(&mut self, other: &Facts, spec: &IndexSpec) {
        let footprint_bytes = self.tally.footprint_bytes.max(other.tally.footprint_bytes);
        let (last_ms, other_last_ms) = (self.tally.last_seen_ms, other.tally.last_seen_ms);
        let rungs = spec.ladder.len();
        spec.ladder.merge(last_ms, &mut self.sums[..rungs], other_last_ms, &other.sums[..rungs]);
        self.tally.merge(&other.tally);
        self.tally.footprint_bytes = footprint_bytes;
    }
}

/// Estimates for one moment and horizon.
pub(super) enum Estimates<'o> {
    Gaps(GapForecast),
    Learned(Learned<'o>),
}

impl Estimates<'_> {
    /// From the gaps of a sample of the index.
    pub(super) fn from_gaps(sample: &[Facts], now_ms: u64, horizon_ms: u64) -> Estimates<'static> {
        let mut gaps = GapModel::default();
        sample.iter().for_each(|facts| gaps.add(&facts.tally, now_ms));
        Estimates::Gaps(gaps.forecast(now_ms, horizon_ms))
    }

    pub(super) fn of(&self, facts: &Facts) -> Estimate {
        match self {
            Estimates::Gaps(forecast) => forecast.of(&facts.tally),
            Estimates::Learned(learned) => learned.of(facts),
        }
    }
}

/// Estimates of a model.
pub(super) struct Learned<'o> {
    pub(super) outlook: &'o Outlook<'o>,
    /// By the life tables alone.
    pub(super) by_tables: bool,
    pub(super) spec: &'o IndexSpec,
}

impl Learned<'_> {
    fn of(&self, facts: &Facts) -> Estimate {
        let Facts { tally, mut sums } = *facts;
        // The model was taught with sums of uses.
        let uses_a_unit = match self.spec.utility {
            Utility::Hits => 1.0,
            Utility::Bytes => tally.hit_count as f64 / (tally.total_bytes as f64).max(1.0),
            Utility::Latency => tally.hit_count as f64 / tally.latency_sum_ms.max(f64::MIN_POSITIVE),
        };
        sums.iter_mut().for_each(|sum| *sum *= uses_a_unit);
        let prefix = PrefixFacts::new(&tally, &sums[..self.spec.ladder.len()], false);
        let probability = if self.by_tables { self.outlook.reuse(&prefix) } else { self.outlook.probability(&prefix) };
        let probability = probability.clamp(0.0, 1.0);
        Estimate { probability, expected_uses: probability * self.outlook.uses_of_one(&prefix) }
    }
}
