//! The formula of access-pattern warmers: often, recently, and small.

use super::{Formula, Moment, Policy, PrefixFacts, Scoring};
use prefix_indexer_models::{Rank, exp2, exp2_parts};

pub(super) const POLICY: Policy = Policy {
    name: "frequency-recency-size",
    help: "uses an hour, times e^-age in hours, divided by 1 + size in KiB",
    formula: "n / (last - first in hours) * e^(-(now - last) in hours) / (1 + bytes / 1024); 0 with one use or no span",
    source: "the score of access-pattern cache warmers",
    scoring: Scoring::Fixed(&FrequencyRecencySize),
};

const HOUR_MS: f64 = 3_600_000.0;

#[derive(Debug)]
struct FrequencyRecencySize;

impl FrequencyRecencySize {
    /// The score but for the recency.
    fn base(prefix: &PrefixFacts<'_>) -> f64 {
        let span_ms = prefix.last_seen_ms.saturating_sub(prefix.first_seen_ms);
        if prefix.uses < 2 || span_ms == 0 {
            return 0.0;
        }
        let frequency = prefix.uses as f64 / (span_ms as f64 / HOUR_MS);
        frequency / (1.0 + prefix.footprint_bytes as f64 / 1024.0)
    }

    /// log2 of e^(-age in hours).
    fn recency(prefix: &PrefixFacts<'_>, moment: &Moment<'_>) -> f64 {
        -(prefix.age_ms(moment) as f64) / HOUR_MS * std::f64::consts::LOG2_E
    }
}

impl Formula for FrequencyRecencySize {
    fn score(&self, prefix: &PrefixFacts<'_>, moment: &Moment<'_>) -> f64 {
        Self::base(prefix) * exp2(Self::recency(prefix, moment))
    }

    fn rank(&self, prefix: &PrefixFacts<'_>, moment: &Moment<'_>) -> Rank {
        let (mantissa, exponent) = exp2_parts(Self::recency(prefix, moment));
        Rank::of_score(Self::base(prefix) * mantissa, exponent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prefix_indexer_models::Ladder;

    const HOUR: u64 = 3_600_000;

    fn facts(uses: u64, first_seen_ms: u64, last_seen_ms: u64, footprint_bytes: u64) -> PrefixFacts<'static> {
        let depth = None;
        let waiting = crate::Waiting::first(last_seen_ms);
        PrefixFacts {
            uses,
            first_seen_ms,
            last_seen_ms,
            footprint_bytes,
            depth,
            active_model: false,
            waiting,
            sums: &[],
        }
    }

    #[test]
    fn multiplies_frequency_recency_and_size() {
        let ladder = Ladder::default();
        let check = |prefix, now_ms, expect: f64| {
            let score = FrequencyRecencySize.score(&prefix, &Moment { now_ms, ladder: &ladder });
            assert!((score - expect).abs() < 1e-12, "{score} {expect}");
        };
        check(facts(6, 0, 2 * HOUR, 0), 2 * HOUR, 3.0);
        check(facts(6, 0, 2 * HOUR, 0), 3 * HOUR, 3.0 / std::f64::consts::E);
        check(facts(6, 0, 2 * HOUR, 2048), 2 * HOUR, 1.0);
        check(facts(6, 0, 2 * HOUR, 0), HOUR, 3.0);
        check(facts(1, 0, 0, 0), 0, 0.0);
        check(facts(5, 7, 7, 0), 7, 0.0);
    }

    #[test]
    fn ranks_do_not_underflow() {
        let ladder = Ladder::default();
        let moment = Moment { now_ms: 20_000 * HOUR, ladder: &ladder };
        let (older, newer) = (facts(2, 0, HOUR, 0), facts(4, 0, 2 * HOUR, 0));
        assert_eq!(FrequencyRecencySize.score(&newer, &moment), 0.0);
        assert!(FrequencyRecencySize.rank(&newer, &moment) > FrequencyRecencySize.rank(&older, &moment));
    }
}
