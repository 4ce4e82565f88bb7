//! The number of uses, however long ago: what an LFU cache keeps.

use super::{Formula, Moment, Policy, PrefixFacts, Scoring};
use prefix_indexer_models::Rank;

pub(super) const POLICY: Policy = Policy {
    name: "most-frequent",
    help: "the most uses first",
    formula: "n",
    source: "least frequently used, turned round",
    scoring: Scoring::Fixed(&MostFrequent),
};

#[derive(Debug)]
struct MostFrequent;

impl Formula for MostFrequent {
    fn score(&self, prefix: &PrefixFacts<'_>, _: &Moment<'_>) -> f64 {
        prefix.uses as f64
    }

    fn rank(&self, prefix: &PrefixFacts<'_>, moment: &Moment<'_>) -> Rank {
        Rank::of_score(self.score(prefix, moment), 0)
    }
}
