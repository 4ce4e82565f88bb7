//! One prefix of a segment, borrowed.

use super::{RawRow, Segment};
use crate::format::segment::TextRef;
use prefix_indexer_models::{IndexSpec, PrefixKey, PrefixRecommendation, PrefixStats, Rank, Tally};

/// One prefix of a segment, read where it lies. Everything it gives access to has been verified.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    segment: &'a Segment,
    raw: RawRow<'a>,
}

impl std::fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Row").field(&self.to_stats()).finish()
    }
}

impl<'a> Row<'a> {
    #[inline]
    pub(super) fn new(segment: &'a Segment, raw: RawRow<'a>) -> Row<'a> {
        Row { segment, raw }
    }

    pub(crate) fn raw(&self) -> RawRow<'a> {
        self.raw
    }

    /// What the numbers mean.
    pub fn spec(&self) -> &'a IndexSpec {
        &self.segment.spec
    }

    /// Digest of the names.
    #[inline]
    pub fn key(&self) -> PrefixKey {
        self.raw.key()
    }

    /// Names the prefix within tenant and model.
    #[inline]
    pub fn prefix_id(&self) -> &'a str {
        self.segment.known_text(TextRef(self.raw.record.prefix_id.get()))
    }

    /// Whose prefix it is.
    #[inline]
    pub fn tenant(&self) -> &'a str {
        self.name(|partition| partition.tenant.get())
    }

    /// Of which model.
    #[inline]
    pub fn model_id(&self) -> &'a str {
        self.name(|partition| partition.model_id.get())
    }

    #[inline]
    fn name(&self, which: impl Fn(&super::PartitionView) -> u64) -> &'a str {
        let partition = self.segment.known_partition(self.raw.record.partition.get());
        partition.map_or("", |partition| self.segment.known_text(TextRef(which(partition))))
    }

    /// The prefix that this one extends.
    #[inline]
    pub fn parent_id(&self) -> Option<&'a str> {
        let parent_id = TextRef(self.raw.record.parent_id.get());
        (parent_id.length() > 0).then(|| self.segment.known_text(parent_id))
    }

    /// Blocks before this one in its chain.
    pub fn depth(&self) -> Option<u32> {
        self.raw.record.depth()
    }

    /// Counts, extents, times.
    pub fn tally(&self) -> Tally {
        self.raw.record.tally()
    }

    /// Uses.
    #[inline]
    pub fn hit_count(&self) -> u64 {
        self.raw.record.hit_count.get()
    }

    /// Size of the prefix in bytes.
    #[inline]
    pub fn footprint_bytes(&self) -> u64 {
        self.raw.record.footprint_bytes.get()
    }

    /// Time of the newest use.
    #[inline]
    pub fn last_seen_ms(&self) -> u64 {
        self.raw.record.last_seen_ms.get()
    }

    /// Decayed sum of a rung, as of the landmark of the last use; 0 for a rung that there is not.
    #[inline]
    pub fn sum(&self, rung: usize) -> f64 {
        self.raw.sum(rung)
    }

    /// Decayed sums, one a rung.
    pub fn sums(&self) -> impl ExactSizeIterator<Item = f64> + use<'a> {
        self.raw.sums()
    }

    /// The decayed sum as of `now_ms`; a `now_ms` before the last use is raised to it.
    #[inline]
    pub fn score(&self, rung: usize, now_ms: u64) -> f64 {
        self.spec().ladder.score(rung, self.last_seen_ms(), self.sum(rung), now_ms)
    }

    /// Place in the ranking by a rung.
    pub fn rank(&self, rung: usize) -> Rank {
        self.spec().ladder.rank(rung, self.last_seen_ms(), self.sum(rung))
    }

    /// An owned copy.
    pub fn to_stats(&self) -> PrefixStats {
        PrefixStats {
            prefix_id: self.prefix_id().to_owned(),
            tenant: self.tenant().to_owned(),
            model_id: self.model_id().to_owned(),
            parent_id: self.parent_id().map(str::to_owned),
            tally: self.tally(),
            decayed: self.sums().collect(),
        }
    }

    /// The ranked view of this prefix at `now_ms`, scored by one rung.
    pub fn recommend(&self, rung: usize, now_ms: u64) -> PrefixRecommendation {
        let record = self.raw.record;
        let hit_count = record.hit_count.get();
        let latency_sum_ms = f64::from_bits(record.latency_bits.get());
        PrefixRecommendation {
            prefix_id: self.prefix_id().to_owned(),
            tenant: self.tenant().to_owned(),
            model_id: self.model_id().to_owned(),
            score: self.score(rung, now_ms),
            hit_count,
            total_bytes: record.total_bytes.get(),
            footprint_bytes: record.footprint_bytes.get(),
            avg_latency_ms: if hit_count == 0 { 0.0 } else { latency_sum_ms / hit_count as f64 },
            last_seen_ms: record.last_seen_ms.get(),
            layer_min: record.layer_min.get(),
            layer_max: record.layer_max.get(),
            page_start: record.page_start.get(),
            page_end: record.page_end.get(),
            parent_id: self.parent_id().map(str::to_owned),
            depth: record.depth(),
        }
    }
}
