//! What the uses of one prefix add up to, apart from the decayed sums.

use crate::{Gaps, batch::Use};
use serde::{Deserialize, Serialize};

/// Counts, extents and times of one prefix.
///
/// [`merge`](Tally::merge) is associative and commutative: exactly for counts, bytes, extents, footprint, depth, first and
/// last use; to rounding for the latency sum; for [`Gaps`] as documented there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Uses.
    pub hit_count: u64,
    /// Traffic: the sum of `bytes` over all uses; stops at 2^64 - 1.
    pub total_bytes: u64,
    /// Size of the prefix: `bytes` of the newest use, the larger of several at the same time.
    pub footprint_bytes: u64,
    /// Sum of `latency_ms`.
    pub latency_sum_ms: f64,
    /// Time of the first use.
    pub first_seen_ms: u64,
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
    /// Blocks before this one in its chain, the least that any event said.
    pub depth: Option<u32>,
    /// Times between uses.
    pub gaps: Gaps,
}

impl Tally {
    /// The neutral element of [`merge`](Tally::merge): no use.
    pub const EMPTY: Tally = Tally {
        hit_count: 0,
        total_bytes: 0,
        footprint_bytes: 0,
        latency_sum_ms: 0.0,
        first_seen_ms: u64::MAX,
        last_seen_ms: 0,
        layer_min: u32::MAX,
        layer_max: 0,
        page_start: u32::MAX,
        page_end: 0,
        depth: None,
        gaps: Gaps { smoothed_ms: 0.0, first_ms: 0, last_ms: 0, histogram: [0; 8] },
    };

    /// Mean latency in milliseconds; 0 without uses.
    pub fn avg_latency_ms(&self) -> f64 {
        if self.hit_count == 0 { 0.0 } else { self.latency_sum_ms / self.hit_count as f64 }
    }

    /// Counts one use.
    #[inline]
    pub(crate) fn add(&mut self, event: &Use) {
        let newest = event.timestamp_ms >= self.last_seen_ms;
        if newest {
            let again = event.timestamp_ms == self.last_seen_ms && self.hit_count > 0;
            self.footprint_bytes = if again { self.footprint_bytes.max(event.bytes) } else { event.bytes };
            if self.hit_count > 0 && !again {
                self.gaps.push(event.timestamp_ms - self.last_seen_ms);
            }
            self.last_seen_ms = event.timestamp_ms;
        }
        self.hit_count += 1;
        self.total_bytes = self.total_bytes.saturating_add(event.bytes);
        self.latency_sum_ms += event.latency_ms;
        self.first_seen_ms = self.first_seen_ms.min(event.timestamp_ms);
        self.layer_min = self.layer_min.min(event.layer);
        self.layer_max = self.layer_max.max(event.layer);
        self.page_start = self.page_start.min(event.page_start);
        self.page_end = self.page_end.max(event.page_end);
        self.depth = least(self.depth, event.depth);
    }

    /// Adds what another part of the same prefix's history counted.
    pub fn merge(&mut self, other: &Tally) {
        if other.hit_count == 0 {
            return;
        }
        if self.hit_count == 0 {
            *self = *other;
            return;
        }
        let order = |tally: &Tally| {
            (tally.last_seen_ms, tally.first_seen_ms, tally.gaps.last_ms, tally.gaps.first_ms, tally.hit_count)
        };
        let (earlier, later) = if order(self) <= order(other) { (&*self, other) } else { (other, &*self) };
        let gaps = if earlier.last_seen_ms <= later.first_seen_ms {
            Gaps::concat(&earlier.gaps, later.first_seen_ms - earlier.last_seen_ms, &later.gaps)
        } else {
            Gaps::interleave(&earlier.gaps, &later.gaps)
        };
        let footprint_bytes = if earlier.last_seen_ms == later.last_seen_ms {
            earlier.footprint_bytes.max(later.footprint_bytes)
        } else {
            later.footprint_bytes
        };
        *self = Tally {
            hit_count: self.hit_count.saturating_add(other.hit_count),
            total_bytes: self.total_bytes.saturating_add(other.total_bytes),
            footprint_bytes,
            latency_sum_ms: self.latency_sum_ms + other.latency_sum_ms,
            first_seen_ms: self.first_seen_ms.min(other.first_seen_ms),
            last_seen_ms: self.last_seen_ms.max(other.last_seen_ms),
            layer_min: self.layer_min.min(other.layer_min),
            layer_max: self.layer_max.max(other.layer_max),
            page_start: self.page_start.min(other.page_start),
            page_end: self.page_end.max(other.page_end),
            depth: least(self.depth, other.depth),
            gaps,
        };
    }
}

fn least(a: Option<u32>, b: Option<u32>) -> Option<u32> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (known, None) | (None, known) => known,
    }
}
