//! What a planner gets to see of a ranked prefix.

use serde::ser::{Serialize, SerializeStruct, Serializer};
use smol_str::SmolStr;
use std::fmt;

/// One ranked prefix. Serialises to the document that `suggest --json` and the HTTP service answer, with its
/// [hint](PrefixRecommendation::hint).
///
/// Its names are strings of which up to 23 bytes take no allocation: an answer of ten would be mostly allocations.
#[derive(Debug, Clone, PartialEq)]
pub struct PrefixRecommendation {
    /// Names the prefix within tenant and model.
    pub prefix_id: SmolStr,
    /// Whose prefix it is.
    pub tenant: SmolStr,
    /// Of which model.
    pub model_id: SmolStr,
    /// Decayed utility as of the query's `now`.
    pub score: f64,
    /// Uses.
    pub hit_count: u64,
    /// Traffic in bytes.
    pub total_bytes: u64,
    /// Size in bytes.
    pub footprint_bytes: u64,
    /// Mean latency of a use in milliseconds.
    pub avg_latency_ms: f64,
    /// Time of the newest use.
    pub last_seen_ms: u64,
    /// Lowest layer seen.
    pub layer_min: u32,
    /// Highest layer seen.
    pub layer_max: u32,
    /// Lowest page seen.
    pub page_start: u32,
    /// Highest page seen.
    pub page_end: u32,
    /// The prefix that this one extends.
    pub parent_id: Option<SmolStr>,
    /// Blocks before this one in its chain.
    pub depth: Option<u32>,
}

impl PrefixRecommendation {
    /// The line that older planners parse: `score=2.5 hits=3 bytes=4096 last_seen=1700000000000`.
    pub fn hint(&self) -> impl fmt::Display {
        format!("score={:.1} {}", self.score, self.hint_without_score())
    }

    /// The hint of a snapshot, which has no score: `hits=3 bytes=4096 last_seen=1700000000000`.
    pub fn hint_without_score(&self) -> impl fmt::Display {
        format!("hits={} bytes={} last_seen={}", self.hit_count, self.total_bytes, self.last_seen_ms)
    }
}

impl Serialize for PrefixRecommendation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("PrefixRecommendation", 16)?;
        fields.serialize_field("prefix_id", self.prefix_id.as_str())?;
        fields.serialize_field("tenant", self.tenant.as_str())?;
        fields.serialize_field("model_id", self.model_id.as_str())?;
        fields.serialize_field("score", &self.score)?;
        fields.serialize_field("hint", &self.hint().to_string())?;
        fields.serialize_field("hit_count", &self.hit_count)?;
        fields.serialize_field("total_bytes", &self.total_bytes)?;
        fields.serialize_field("footprint_bytes", &self.footprint_bytes)?;
        fields.serialize_field("avg_latency_ms", &self.avg_latency_ms)?;
        fields.serialize_field("last_seen_ms", &self.last_seen_ms)?;
        fields.serialize_field("layer_min", &self.layer_min)?;
        fields.serialize_field("layer_max", &self.layer_max)?;
        fields.serialize_field("page_start", &self.page_start)?;
        fields.serialize_field("page_end", &self.page_end)?;
        fields.serialize_field("parent_id", &self.parent_id.as_deref())?;
        fields.serialize_field("depth", &self.depth)?;
        fields.end()
    }
}
