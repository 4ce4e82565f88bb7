//! The requests that follow a moment, made ready to be replayed many times.

use crate::{Eviction, History, Lru, Request, Setup, Trace};
use std::ops::Range;

/// What a replay of a window counted, up to a horizon.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Served {
    /// References found resident.
    pub(crate) hits: u64,
    /// Those whose ancestors in the request were, too.
    pub(crate) prefix_hits: u64,
    /// Milliseconds that the latter spared.
    pub(crate) saved_ms: f64,
    /// Blocks found resident at their first reference in the window: those that a warm-up loaded in time.
    pub(crate) used: u64,
}

/// References of the requests from a moment to the longest horizon.
#[derive(Debug, Clone, Default)]
pub(crate) struct Window {
    references: Vec<Reference>,
    /// Where the references within each horizon end.
    ends: Vec<usize>,
    /// References to blocks used before, within each horizon.
    known: Vec<u64>,
    /// Blocks of the history used within each horizon.
    returning: Vec<u64>,
    /// First use of a block in the window: number of the window, and time.
    first_use: Vec<(u32, u64)>,
    number: u32,
}

#[derive(Debug, Clone, Copy)]
struct Reference {
    block: u32,
    starts_request: bool,
    first: bool,
}

impl Window {
    pub(crate) fn new(blocks: usize) -> Window {
        Window { first_use: vec![(0, 0); blocks], ..Window::default() }
    }

    /// The window of the requests that `keep` says yes to, from the end of the history on; horizons (in milliseconds from
    /// `start_ms`, ascending) are numbered from 0.
    pub(crate) fn set(
        &mut self,
        history: &History<'_>,
        start_ms: u64,
        horizons_ms: &[u64],
        keep: impl Fn(&Request<'_>) -> bool,
    ) {
        self.number += 1;
        self.references.clear();
        self.ends.clear();
        self.known.clear();
        self.returning.clear();
        let trace = history.trace();
        let (mut known, mut returning, mut next) = (0, 0, history.requests());
        for &horizon_ms in horizons_ms {
            let end = trace.requests_before(start_ms.saturating_add(horizon_ms)).max(next);
            for request in (next..end).map(|index| trace.request(index)).filter(&keep) {
                for (place, &block) in request.blocks.iter().enumerate() {
                    let first_use = &mut self.first_use[block as usize];
                    let first = first_use.0 != self.number;
                    if first {
                        *first_use = (self.number, request.time_ms);
                    }
                    let knows = history.knows(block);
                    known += u64::from(knows || !first);
                    returning += u64::from(knows && first);
                    self.references.push(Reference { block, starts_request: place == 0, first });
                }
            }
            next = end;
            self.ends.push(self.references.len());
            self.known.push(known);
            self.returning.push(returning);
        }
    }

    /// References within a horizon to blocks used before in the trace.
    pub(crate) fn known(&self, horizon: usize) -> u64 {
        self.known[horizon]
    }

    /// Blocks of the history used within a horizon.
    pub(crate) fn returning(&self, horizon: usize) -> u64 {
        self.returning[horizon]
    }

    /// When a block is first used in the window.
    pub(crate) fn first_use_ms(&self, block: u32) -> Option<u64> {
        let (number, time_ms) = self.first_use[block as usize];
        (number == self.number).then_some(time_ms)
    }

    /// Runs the window through an LRU tier that holds `loaded`, of which the last is dropped first. Appends one outcome for
    /// each of the horizons.
    pub(crate) fn replay(
        &self,
        tier: &mut Lru,
        capacity: u32,
        loaded: &[u32],
        block_ms: Option<&[f64]>,
        horizons: Range<usize>,
        outcomes: &mut Vec<Served>,
    ) {
        tier.reset(capacity);
        loaded.iter().rev().for_each(|&block| tier.load(block));
        let mut served = Served::default();
        let mut next = 0;
        let mut whole = true;
        for &end in &self.ends[horizons] {
            for reference in &self.references[next..end] {
                whole |= reference.starts_request;
                let hit = tier.touch(reference.block);
                whole &= hit;
                served.hits += u64::from(hit);
                served.used += u64::from(hit && reference.first);
                if whole {
                    served.prefix_hits += 1;
                    served.saved_ms += block_ms.map_or(0.0, |block_ms| block_ms[reference.block as usize]);
                }
            }
            next = end;
            outcomes.push(served);
        }
    }
}

/// The tier that windows run through.
pub(crate) fn lru(trace: &Trace) -> Lru {
    Lru::new(&Setup { capacity: 0, blocks: trace.unique_blocks() as u32, references: &[] })
}
