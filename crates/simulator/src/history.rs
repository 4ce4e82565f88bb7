//! What an index would know at a moment of a replay, kept up to date request by request.

use crate::Trace;
use prefix_indexer_analytics::{
    Waiting,
    policies::{Moment, PrefixFacts},
};
use prefix_indexer_models::{Clock, Ladder};
use std::cmp::Reverse;

/// The blocks used so far, and what their uses add up to.
///
/// It only moves forward, and each reference is looked at once: O(half-lives) a reference, and at each moment that is
/// asked about one pass over the blocks to bring their order up to date.
#[derive(Debug, Clone)]
pub struct History<'a> {
    trace: &'a Trace,
    ladder: Ladder,
    clock: Clock,
    /// Requests before this one have been counted.
    next: usize,
    blocks: Vec<Known>,
    /// One sum a rung, block after block.
    sums: Vec<f64>,
    /// The blocks by newest use, then depth, then first use, as of the last time they were asked for.
    order: Vec<u32>,
    /// Blocks used since.
    touched: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    uses: u64,
    first_seen_ms: u64,
    waiting: Waiting,
    touched: bool,
}

impl Known {
    const NEVER: Known = {
        let waiting = Waiting { uses: 0, last_gap_ms: None, last_use_ms: 0 };
        Known { uses: 0, first_seen_ms: 0, waiting, touched: false }
    };
}

impl<'a> History<'a> {
    /// Nothing has happened yet. Sums are kept for the half-lives of `ladder`; each use weighs 1.
    pub fn new(trace: &'a Trace, ladder: Ladder) -> History<'a> {
        let blocks = trace.unique_blocks();
        History {
            trace,
            next: 0,
            blocks: vec![Known::NEVER; blocks],
            sums: vec![0.0; blocks * ladder.len()],
            order: Vec::new(),
            touched: Vec::new(),
            clock: Clock::new(&ladder),
            ladder,
        }
    }

    /// The trace that is replayed.
    pub fn trace(&self) -> &'a Trace {
        self.trace
    }

    /// Half-lives of the decayed sums.
    pub fn ladder(&self) -> &Ladder {
        &self.ladder
    }

    /// How many requests have been counted.
    pub fn requests(&self) -> usize {
        self.next
    }

    /// Whether a block was used.
    pub fn knows(&self, block: u32) -> bool {
        self.blocks.get(block as usize).is_some_and(|known| known.uses > 0)
    }

    /// Counts the next request; whether there was one.
    pub fn advance(&mut self) -> bool {
        if self.next >= self.trace.len() {
            return false;
        }
        let request = self.trace.request(self.next);
        self.next += 1;
        self.clock.set(request.time_ms);
        let rungs = self.ladder.len();
        for &block in request.blocks {
            let place = block as usize;
            let known = &mut self.blocks[place];
            let last_ms = (known.uses > 0).then_some(known.waiting.last_use_ms);
            self.clock.add(last_ms, &mut self.sums[place * rungs..(place + 1) * rungs], 1.0);
            if known.uses == 0 {
                known.first_seen_ms = request.time_ms;
                known.waiting = Waiting::first(request.time_ms);
            }
            known.uses += 1;
            known.waiting = known.waiting.used(request.time_ms);
            if !known.touched {
                known.touched = true;
                self.touched.push(block);
            }
        }
        true
    }

    /// Brings the order of the blocks up to date: newest use, then shallowest, then first seen. The new ones are sorted and put
    /// before the others, whose order cannot have changed. O(blocks known + touched log touched).
    pub fn settle(&mut self) {
        if self.touched.is_empty() {
            return;
        }
        let key = |block: u32| {
            let last_seen_ms = self.blocks[block as usize].waiting.last_use_ms;
            (Reverse(last_seen_ms), self.trace.depth(block).unwrap_or(0), block)
        };
        self.touched.sort_unstable_by_key(|&block| key(block));
        let mut order = std::mem::take(&mut self.touched);
        order.extend(self.order.iter().copied().filter(|&block| !self.blocks[block as usize].touched));
        for &block in &order {
            self.blocks[block as usize].touched = false;
        }
        self.order = order;
    }

    /// The known blocks in the order that breaks ties, as of the last [`settle`](Self::settle).
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// What is known of a block.
    #[inline]
    pub fn facts(&self, block: u32) -> PrefixFacts<'_> {
        let place = block as usize;
        let known = &self.blocks[place];
        let rungs = self.ladder.len();
        PrefixFacts {
            uses: known.uses,
            first_seen_ms: known.first_seen_ms,
            last_seen_ms: known.waiting.last_use_ms,
            footprint_bytes: self.trace.bytes(block),
            depth: self.trace.depth(block),
            active_model: false,
            waiting: known.waiting,
            sums: &self.sums[place * rungs..(place + 1) * rungs],
        }
    }

    /// The moment at which formulas are asked.
    pub fn moment(&self, now_ms: u64) -> Moment<'_> {
        Moment { now_ms, ladder: &self.ladder }
    }
}
