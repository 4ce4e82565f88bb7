//! A trace in memory: requests over densely numbered blocks.

mod builder;
mod load;

pub use builder::TraceBuilder;

/// In place of a number: no such block or session.
pub(crate) const NONE: u32 = u32::MAX;

/// What happened, laid out for replaying it many times: requests in the order of time, each a list of block numbers.
///
/// Blocks are numbered from 0 in the order of their first use, so "first seen" is the order of the numbers, and what
/// a simulation knows of blocks are plain vectors. A reference costs 4 bytes, a request 16, a block 32.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trace {
    times_ms: Vec<u64>,
    sessions: Vec<u32>,
    /// Where each request's references begin; one more at the end.
    starts: Vec<u32>,
    references: Vec<u32>,
    parents: Vec<u32>,
    depths: Vec<u32>,
    bytes: Vec<u64>,
    latencies_ms: Vec<f64>,
    session_count: u32,
}

/// One request of a [`Trace`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// Its place in the trace, from 0.
    pub index: usize,
    /// When, in milliseconds.
    pub time_ms: u64,
    /// Number of its conversation or agent session, if the trace names it.
    pub session: Option<u32>,
    /// Its blocks, root to leaf.
    pub blocks: &'a [u32],
}

impl Trace {
    /// Number of requests.
    pub fn len(&self) -> usize {
        self.times_ms.len()
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.times_ms.is_empty()
    }

    /// Number of distinct blocks.
    pub fn unique_blocks(&self) -> usize {
        self.parents.len()
    }

    /// Number of distinct sessions that are named.
    pub fn sessions(&self) -> u32 {
        self.session_count
    }

    /// All references to blocks, request after request.
    pub fn references(&self) -> &[u32] {
        &self.references
    }

    /// Time of the first and of the last request in milliseconds; none without requests.
    pub fn span_ms(&self) -> Option<(u64, u64)> {
        Some((*self.times_ms.first()?, *self.times_ms.last()?))
    }

    /// The request at a place; a request without blocks at time 0 outside the trace.
    pub fn request(&self, index: usize) -> Request<'_> {
        let start = |index: usize| self.starts.get(index).map_or(self.references.len(), |&start| start as usize);
        let blocks = self.references.get(start(index)..start(index + 1)).unwrap_or(&[]);
        let session = self.sessions.get(index).copied().filter(|&session| session != NONE);
        Request { index, time_ms: self.times_ms.get(index).copied().unwrap_or(0), session, blocks }
    }

    /// The requests in the order of time.
    pub fn requests(&self) -> impl ExactSizeIterator<Item = Request<'_>> + Clone {
        (0..self.len()).map(|index| self.request(index))
    }

    /// How many requests came before a time. O(log n).
    pub fn requests_before(&self, time_ms: u64) -> usize {
        self.times_ms.partition_point(|&time| time < time_ms)
    }

    /// The block that a block extends, if it is in the trace.
    #[inline]
    pub fn parent(&self, block: u32) -> Option<u32> {
        self.parents.get(block as usize).copied().filter(|&parent| parent != NONE)
    }

    /// Blocks before this one in its chain: what the trace says, or else the number of its ancestors in the trace. None for a
    /// block of which neither is known, which orders like 0.
    #[inline]
    pub fn depth(&self, block: u32) -> Option<u32> {
        self.depths.get(block as usize).copied().filter(|&depth| depth != NONE)
    }

    /// Size of a block in bytes.
    #[inline]
    pub fn bytes(&self, block: u32) -> u64 {
        self.bytes.get(block as usize).copied().unwrap_or(0)
    }

    /// Size of all blocks together; the most a number can hold if it is more.
    pub fn total_bytes(&self) -> u64 {
        self.bytes.iter().fold(0, |sum, &bytes| sum.saturating_add(bytes))
    }

    /// Mean measured cost of a use in milliseconds; 0 where the trace has none.
    #[inline]
    pub fn latency_ms(&self, block: u32) -> f64 {
        self.latencies_ms.get(block as usize).copied().unwrap_or(0.0)
    }
}
