//! The time of the newest use, and nothing else: what an LRU cache keeps.

use super::{Formula, Moment, Policy, PrefixFacts, Scoring};
use prefix_indexer_models::Rank;

pub(super) const POLICY: Policy = Policy {
    name: "most-recent",
    help: "the newest use first",
    formula: "last",
    source: "least recently used, turned round",
    scoring: Scoring::Fixed(&MostRecent),
};

#[derive(Debug)]
struct MostRecent;

impl Formula for MostRecent {
    fn score(&self, prefix: &PrefixFacts<'_>, _: &Moment<'_>) -> f64 {
        prefix.last_seen_ms as f64
    }

    fn rank(&self, prefix: &PrefixFacts<'_>, _: &Moment<'_>) -> Rank {
        Rank::of_time(prefix.last_seen_ms)
    }
}
