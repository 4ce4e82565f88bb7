//! Single columns of single events, for loops that read only what they need. Like indexing, it panics beyond the last event.

use super::{ABSENT, EventBatch};
use crate::{IndexSpec, Utility};

/// The numbers of one event, as tallies take them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Use {
    pub(crate) timestamp_ms: u64,
    pub(crate) bytes: u64,
    pub(crate) latency_ms: f64,
    pub(crate) weight: f64,
    pub(crate) layer: u32,
    pub(crate) page_start: u32,
    pub(crate) page_end: u32,
    pub(crate) depth: Option<u32>,
}

impl EventBatch {
    #[inline]
    pub(crate) fn prefix_id_at(&self, index: usize) -> &str {
        self.str(self.prefix_id[index])
    }

    /// The name of an event's prefix.
    ///
    /// # Panics
    /// When there is no such event.
    #[inline]
    pub fn prefix_id_bytes_at(&self, index: usize) -> &[u8] {
        self.text.as_bytes().get(self.prefix_id[index].range()).unwrap_or(&[])
    }

    #[inline]
    pub(crate) fn parent_id_at(&self, index: usize) -> Option<&str> {
        self.optional(self.parent_id[index])
    }

    /// The number of an event's tenant and model among the [`scopes`](Self::scopes).
    ///
    /// # Panics
    /// When there is no such event.
    #[inline]
    pub fn scope_at(&self, index: usize) -> u32 {
        self.scope[index]
    }

    /// How many blocks come before an event's block, if somebody said.
    ///
    /// # Panics
    /// When there is no such event.
    #[inline]
    pub fn depth_at(&self, index: usize) -> Option<u32> {
        let depth = self.depth[index];
        (depth != ABSENT).then_some(depth)
    }

    #[inline]
    pub(crate) fn bands_at(&self, index: usize, spec: &IndexSpec) -> (u32, u32) {
        spec.key_policy.bands(self.layer[index], self.page_start[index])
    }

    #[inline]
    pub(crate) fn use_at(&self, index: usize, utility: Utility) -> Use {
        let (bytes, latency_ms) = (self.bytes[index], self.latency_ms[index]);
        Use {
            timestamp_ms: self.timestamp_ms[index],
            bytes,
            latency_ms,
            weight: utility.weigh(bytes, latency_ms),
            layer: self.layer[index],
            page_start: self.page_start[index],
            page_end: self.page_end[index],
            depth: self.depth_at(index),
        }
    }
}
