//! All that is known of one prefix, with its names: the unit of export, of the JSON store and of whole-index merges.

use crate::{IndexSpec, KeyPolicy, PrefixKey, PrefixRecommendation, Tally};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// Names, counts and decayed sums of one prefix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrefixStats {
    /// Names the prefix within tenant and model.
    pub prefix_id: String,
    /// Whose prefix it is.
    pub tenant: String,
    /// Of which model.
    pub model_id: String,
    /// The prefix that this one extends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// Counts, extents, times.
    #[serde(flatten)]
    pub tally: Tally,
    /// One decayed sum a rung of the index's ladder, as of the landmark of `tally.last_seen_ms`.
    pub decayed: Vec<f64>,
}

impl PrefixStats {
    /// The key under an index's policy.
    ///
    /// Statistics under layer or page bands belong to the band that their lowest layer and page lie in.
    pub fn key(&self, policy: KeyPolicy) -> PrefixKey {
        let Tally { layer_min, page_start, .. } = self.tally;
        PrefixKey::new(policy, &self.tenant, &self.model_id, &self.prefix_id, layer_min, page_start)
    }

    /// Adds what another part of the same prefix's history holds. Laws as of [`Tally::merge`]; of two different
    /// parents the one with the smaller key stays.
    pub fn merge(&mut self, other: &PrefixStats, spec: &IndexSpec) {
        spec.ladder.merge(self.tally.last_seen_ms, &mut self.decayed, other.tally.last_seen_ms, &other.decayed);
        self.tally.merge(&other.tally);
        self.parent_id = match (self.parent_id.take(), &other.parent_id) {
            (Some(ours), Some(theirs)) if ours != *theirs => {
                let key = |id: &str| parent_key(&self.tenant, &self.model_id, id);
                Some(if key(&ours) <= key(theirs) { ours } else { theirs.clone() })
            }
            (Some(ours), _) => Some(ours),
            (None, theirs) => theirs.clone(),
        };
    }

    /// The ranked view of these statistics at `now_ms`, scored by one rung.
    pub fn recommend(&self, spec: &IndexSpec, rung: usize, now_ms: u64) -> PrefixRecommendation {
        let tally = &self.tally;
        let sum = self.decayed.get(rung).copied().unwrap_or(0.0);
        PrefixRecommendation {
            prefix_id: self.prefix_id.as_str().into(),
            tenant: self.tenant.as_str().into(),
            model_id: self.model_id.as_str().into(),
            score: spec.ladder.score(rung, tally.last_seen_ms, sum, now_ms),
            hit_count: tally.hit_count,
            total_bytes: tally.total_bytes,
            footprint_bytes: tally.footprint_bytes,
            avg_latency_ms: tally.avg_latency_ms(),
            last_seen_ms: tally.last_seen_ms,
            layer_min: tally.layer_min,
            layer_max: tally.layer_max,
            page_start: tally.page_start,
            page_end: tally.page_end,
            parent_id: self.parent_id.as_deref().map(SmolStr::from),
            depth: tally.depth,
        }
    }
}

/// What decides between contradicting parents: the digest of the parent as a whole prefix, whatever the bands.
pub(crate) fn parent_key(tenant: &str, model_id: &str, parent_id: &str) -> PrefixKey {
    PrefixKey::new(KeyPolicy::default(), tenant, model_id, parent_id, 0, 0)
}
