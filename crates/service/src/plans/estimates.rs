//! Probabilities of use: from what the index has learned, or from the gaps of its rows while that is nothing.

use prefix_indexer_analytics::{
    Estimate, Expectations, GapForecast, GapModel, Outlook, Waiting, policies::PrefixFacts,
};
use prefix_indexer_models::{IndexSpec, MAX_RUNGS, Tally, Utility};
use prefix_indexer_storage::Row;
use std::collections::HashMap;

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

    pub(super) fn of(&mut self, facts: &Facts) -> Estimate {
        match self {
            Estimates::Gaps(forecast) => forecast.of(&facts.tally),
            Estimates::Learned(learned) => learned.of(facts),
        }
    }
}

/// Estimates of a model.
pub(super) struct Learned<'o> {
    pub(super) outlook: &'o Outlook<'o>,
    pub(super) expectations: &'o Expectations<'o>,
    /// By the life tables alone.
    pub(super) by_tables: bool,
    pub(super) spec: &'o IndexSpec,
    pub(super) now_ms: u64,
    /// Uses for each that is expected at least once, by uses, last gap and age in steps of a quarter octave: the exact number
    /// takes a microsecond a prefix.
    pub(super) uses: HashMap<[u64; 3], f64>,
}

impl Learned<'_> {
    fn of(&mut self, facts: &Facts) -> Estimate {
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
        Estimate { probability, expected_uses: probability * self.uses_for_one(&prefix) }
    }

    fn uses_for_one(&mut self, prefix: &PrefixFacts<'_>) -> f64 {
        let waiting = prefix.waiting;
        let age_ms = self.now_ms.saturating_sub(waiting.last_use_ms);
        let cell =
            [waiting.uses.min(MANY), waiting.last_gap_ms.map_or(0, |gap_ms| rounded(gap_ms.max(1))), rounded(age_ms)];
        let (outlook, expectations, now_ms) = (self.outlook, self.expectations, self.now_ms);
        *self.uses.entry(cell).or_insert_with(|| {
            let [uses, gap_ms, age_ms] = cell;
            let last_gap_ms = Some(gap_ms).filter(|gap_ms| *gap_ms > 0);
            let waiting = Waiting { uses, last_gap_ms, last_use_ms: now_ms.saturating_sub(age_ms) };
            let once = outlook.reuse(&PrefixFacts { waiting, ..*prefix });
            if once > 0.0 { (expectations.of(&waiting, now_ms) / once).max(1.0) } else { 1.0 }
        })
    }
}

/// Prefixes of more uses are all alike to the life tables.
const MANY: u64 = 17;

/// A time with its two digits (of base 2) behind the first.
fn rounded(ms: u64) -> u64 {
    let drop = 61_u32.saturating_sub(ms.leading_zeros());
    ms >> drop << drop
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_down_by_less_than_a_fifth() {
        for ms in (0..10_000).chain([u64::MAX]) {
            let rounded = rounded(ms);
            assert!(rounded <= ms && ms - rounded <= ms / 5, "{ms} {rounded}");
        }
    }
}
