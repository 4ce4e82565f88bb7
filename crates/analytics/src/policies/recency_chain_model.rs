//! The formula of KV-block prefetch workers: recency, with a bonus for chain heads and one for the model being served.

use super::{Formula, Moment, Policy, PrefixFacts, Scoring};
use prefix_indexer_models::{Rank, exp2};

pub(super) const POLICY: Policy = Policy {
    name: "recency-chain-model",
    help: "recency with a half-life of 10 minutes, a bonus for chain heads and for the active model",
    formula: "1.0 * 0.5^((now - last) / 10 min) + 0.3 if depth = 0 + 0.2 if the model is the active one",
    source: "the score of KV-block prefetch workers",
    scoring: Scoring::Fixed(&RecencyChainModel),
};

/// Half-life of the recency part.
const HALF_LIFE_MS: f64 = 600_000.0;
/// Weight of the recency part.
const RECENCY: f64 = 1.0;
/// Bonus of a block that begins its chain. A prefix of unknown depth gets none.
const CHAIN_HEAD: f64 = 0.3;
/// Bonus of a block of the active model.
const ACTIVE_MODEL: f64 = 0.2;

#[derive(Debug)]
struct RecencyChainModel;

impl Formula for RecencyChainModel {
    fn score(&self, prefix: &PrefixFacts<'_>, moment: &Moment<'_>) -> f64 {
        let recency = exp2(-(prefix.age_ms(moment) as f64) / HALF_LIFE_MS);
        let chain_head = if prefix.depth == Some(0) { CHAIN_HEAD } else { 0.0 };
        let active_model = if prefix.active_model { ACTIVE_MODEL } else { 0.0 };
        RECENCY * recency + chain_head + active_model
    }

    fn rank(&self, prefix: &PrefixFacts<'_>, moment: &Moment<'_>) -> Rank {
        Rank::of_score(self.score(prefix, moment), 0)
    }
}

/// Which model a block belongs to, as block keys carry it: the first 24 bytes of the BLAKE3 digest of the model id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ModelDigest(pub [u8; 24]);

impl ModelDigest {
    /// No model in particular: no block gets the bonus.
    pub const OFF: ModelDigest = ModelDigest([0; 24]);

    /// The digest of a model id.
    pub fn of(model_id: &str) -> ModelDigest {
        let mut digest = [0; 24];
        digest.copy_from_slice(&blake3::hash(model_id.as_bytes()).as_bytes()[..24]);
        ModelDigest(digest)
    }

    /// Whether a block of the model `model_id` belongs to this, the active one.
    ///
    /// ```
    /// use prefix_indexer_analytics::policies::ModelDigest;
    /// assert!(ModelDigest::of("llama").is_of("llama"));
    /// assert!(!ModelDigest::of("llama").is_of("qwen"));
    /// assert!(!ModelDigest::OFF.is_of("llama"));
    /// ```
    pub fn is_of(self, model_id: &str) -> bool {
        self != ModelDigest::OFF && self == ModelDigest::of(model_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prefix_indexer_models::Ladder;

    #[test]
    fn weighs_recency_chain_and_model() {
        let ladder = Ladder::default();
        let check = |now_ms, depth, active_model, expect: f64| {
            let prefix = PrefixFacts {
                uses: 1,
                first_seen_ms: 1_000_000,
                last_seen_ms: 1_000_000,
                footprint_bytes: 0,
                depth,
                active_model,
                waiting: crate::Waiting::first(1_000_000),
                sums: &[],
            };
            let score = RecencyChainModel.score(&prefix, &Moment { now_ms, ladder: &ladder });
            assert!((score - expect).abs() < 1e-12, "{score} {expect}");
        };
        check(1_000_000, Some(1), false, 1.0);
        check(1_600_000, Some(1), false, 0.5);
        check(1_600_000, Some(0), false, 0.8);
        check(2_200_000, Some(0), true, 0.75);
        check(2_200_000, None, true, 0.45);
        // A clock that is behind: the age is clamped at 0.
        check(0, None, false, 1.0);
    }

    #[test]
    fn a_digest_is_the_beginning_of_the_hash() {
        assert_eq!(ModelDigest::of("m").0[..], blake3::hash(b"m").as_bytes()[..24]);
    }
}
