//! Tiers one below the other, on a virtual clock.

use crate::{Capacity, Eviction, EvictionPolicy, Setup, Trace};
use std::{cmp::Reverse, collections::BinaryHeap};

/// How long it takes to read from a tier.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Access {
    /// Milliseconds from asking to the first byte.
    pub latency_ms: f64,
    /// Bytes a second, shared by all who read; none for no limit.
    pub bytes_per_second: Option<f64>,
}

/// A tier below the first.
#[derive(Debug, Clone, PartialEq)]
pub struct TierSpec {
    /// What it is called in reports.
    pub name: String,
    /// What it can hold; none for everything.
    pub capacity: Option<Capacity>,
    /// How fast it is.
    pub access: Access,
}

/// A tier that transfers one thing after the other.
pub(crate) struct Tier {
    blocks: Box<dyn Eviction>,
    access: Access,
    /// Microsecond from which on nothing is being transferred.
    free_us: u64,
    /// References served.
    pub(crate) hits: u64,
    /// Bytes read, by requests and prefetches.
    pub(crate) bytes: u64,
}

impl Tier {
    pub(crate) fn new(policy: &EvictionPolicy, trace: &Trace, capacity: Option<u32>, access: Access) -> Tier {
        let blocks = trace.unique_blocks() as u32;
        let setup = Setup { capacity: capacity.unwrap_or(blocks), blocks, references: trace.references() };
        Tier { blocks: policy.tier(&setup), access, free_us: 0, hits: 0, bytes: 0 }
    }

    /// Reads a block: the microsecond at which it is there. Reads queue up for the bandwidth; latencies overlap.
    fn read(&mut self, now_us: u64, bytes: u64) -> u64 {
        self.bytes = self.bytes.saturating_add(bytes);
        if let Some(bytes_per_second) = self.access.bytes_per_second {
            let transfer_us = (bytes as f64 / bytes_per_second * 1e6).ceil() as u64;
            self.free_us = self.free_us.max(now_us).saturating_add(transfer_us);
        }
        let sent_us = self.free_us.max(now_us);
        sent_us.saturating_add((self.access.latency_ms * 1e3).ceil() as u64)
    }
}

/// What came of the references and prefetches so far.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Counts {
    /// References found in the first tier.
    pub(crate) block_hits: u64,
    /// Those whose ancestors in the request were, too.
    pub(crate) prefix_hits: u64,
    /// References found in any tier, with all ancestors: blocks that need no prefill.
    pub(crate) spared_blocks: u64,
    /// Milliseconds of prefill that they spare, less what reading them takes; a request that would wait longer than it gains
    /// computes, and spares nothing.
    pub(crate) saved_ms: f64,
    /// References to blocks used before that were not in the first tier.
    pub(crate) avoidable_misses: u64,
    /// Blocks moved to the first tier that nobody had asked for,
    pub(crate) prefetched: u64,
    /// those used afterwards while they were there,
    pub(crate) used: u64,
    /// and those that a request wanted before they had arrived.
    pub(crate) late: u64,
    /// Bytes of all of them.
    pub(crate) prefetched_bytes: u64,
}

/// Tiers, and the prefetches on their way into the first.
///
/// Tiers are asked in order. A block found in a lower tier is put into those above; one found nowhere is computed and put into
/// all. A prefetch reads from the first lower tier that has the block, behind whatever is being read there, and is usable
/// once it has arrived. Without lower tiers there is a store behind the first one that has all and costs nothing.
pub(crate) struct Tiers<'a> {
    trace: &'a Trace,
    pub(crate) tiers: Vec<Tier>,
    pub(crate) counts: Counts,
    used_before: Vec<bool>,
    states: Vec<State>,
    /// Arrivals, soonest first; equal ones in the order of asking.
    arrivals: BinaryHeap<Reverse<(u64, u64, u32)>>,
}

/// What became of the newest prefetch of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// There was none, or it has been accounted for.
    Idle,
    OnItsWay,
    /// In the first tier, unless it was dropped again; not used yet.
    Unused,
}

impl<'a> Tiers<'a> {
    pub(crate) fn new(trace: &'a Trace, tiers: Vec<Tier>) -> Tiers<'a> {
        let blocks = trace.unique_blocks();
        Tiers {
            trace,
            tiers,
            counts: Counts::default(),
            used_before: vec![false; blocks],
            states: vec![State::Idle; blocks],
            arrivals: BinaryHeap::new(),
        }
    }

    /// Whether a block is in the first tier or on its way there.
    pub(crate) fn has(&self, block: u32) -> bool {
        self.states[block as usize] == State::OnItsWay || self.tiers[0].blocks.holds(block)
    }

    /// Puts what has arrived by now into the first tier.
    pub(crate) fn advance(&mut self, now_us: u64) {
        while let Some(&Reverse((arrival_us, _, block))) = self.arrivals.peek()
            && arrival_us <= now_us
        {
            self.arrivals.pop();
            // One that a request wanted in the meantime is there already.
            if self.states[block as usize] == State::OnItsWay {
                self.states[block as usize] = State::Unused;
                self.tiers[0].blocks.load(block);
            }
        }
    }

    /// Asks for a block to be moved to the first tier; whether some tier has it.
    pub(crate) fn prefetch(&mut self, now_us: u64, block: u32) -> bool {
        let bytes = self.trace.bytes(block);
        let alone = self.tiers.len() == 1;
        let arrival_us = match self.tiers.iter_mut().skip(1).find(|tier| tier.blocks.holds(block)) {
            Some(tier) => tier.read(now_us, bytes),
            None if alone => now_us,
            None => return false,
        };
        self.states[block as usize] = State::OnItsWay;
        self.arrivals.push(Reverse((arrival_us, self.counts.prefetched, block)));
        self.counts.prefetched += 1;
        self.counts.prefetched_bytes = self.counts.prefetched_bytes.saturating_add(bytes);
        true
    }

    /// Serves a request, root to leaf.
    pub(crate) fn serve(&mut self, now_us: u64, blocks: &[u32], block_ms: Option<&[f64]>) {
        let (mut whole_in_first, mut whole) = (true, true);
        let (mut ready_us, mut spared_ms) = (now_us, 0.0);
        for &block in blocks {
            let found = self.tiers.iter().position(|tier| tier.blocks.holds(block));
            let in_first = found == Some(0);
            whole_in_first &= in_first;
            whole &= found.is_some();
            self.counts.block_hits += u64::from(in_first);
            self.counts.prefix_hits += u64::from(whole_in_first);
            self.account(block, in_first);
            if let Some(tier) = found {
                self.tiers[tier].hits += 1;
                if whole {
                    ready_us = ready_us.max(self.tiers[tier].read(now_us, self.trace.bytes(block)));
                    self.counts.spared_blocks += 1;
                    spared_ms += block_ms.map_or(0.0, |block_ms| block_ms[block as usize]);
                }
            }
            for tier in self.tiers.iter_mut().take(found.map_or(usize::MAX, |tier| tier + 1)) {
                tier.blocks.touch(block);
            }
        }
        let waited_ms = (ready_us - now_us) as f64 / 1e3;
        self.counts.saved_ms += (spared_ms - waited_ms).max(0.0);
    }

    fn account(&mut self, block: u32, in_first: bool) {
        let before = std::mem::replace(&mut self.used_before[block as usize], true);
        self.counts.avoidable_misses += u64::from(before && !in_first);
        match std::mem::replace(&mut self.states[block as usize], State::Idle) {
            State::Unused if in_first => self.counts.used += 1,
            State::OnItsWay => self.counts.late += 1,
            State::Unused | State::Idle => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prefix_indexer_models::{EventBatch, PrefixEvent};

    /// A chain of three blocks of 1,000 bytes.
    fn trace() -> Trace {
        let event = |id: &str, parent: Option<&str>| PrefixEvent {
            prefix_id: id.into(),
            tenant: "t".into(),
            model_id: "m".into(),
            bytes: 1_000,
            parent_id: parent.map(str::to_owned),
            ..PrefixEvent::default()
        };
        let batch: EventBatch = [event("a", None), event("b", Some("a")), event("c", Some("b"))].into_iter().collect();
        let mut builder = crate::TraceBuilder::new();
        builder.push(&batch).unwrap();
        builder.finish()
    }

    fn tiers(trace: &Trace, first: u32, latency_ms: f64, bytes_per_second: Option<f64>) -> Tiers<'_> {
        let lru = EvictionPolicy::by_name("lru").unwrap();
        let access = Access { latency_ms, bytes_per_second };
        let tiers = vec![Tier::new(lru, trace, Some(first), Access::default()), Tier::new(lru, trace, None, access)];
        Tiers::new(trace, tiers)
    }

    #[test]
    fn a_lower_tier_fills_the_upper_one_and_takes_its_time() {
        let trace = trace();
        let block_ms = [10.0; 3];
        // 1,000 bytes take 1 ms.
        let mut tiers = tiers(&trace, 2, 5.0, Some(1e6));
        tiers.serve(0, &[0, 1, 2], Some(&block_ms));
        assert_eq!(tiers.counts, Counts::default());
        // The first tier has 1 and 2 left. 0 is read in 1 + 5 ms, which moves 1 out before it is asked for, and so on.
        tiers.serve(1_000_000, &[0, 1, 2], Some(&block_ms));
        let counts = tiers.counts;
        assert_eq!((counts.block_hits, counts.spared_blocks, counts.avoidable_misses), (0, 3, 3));
        // Three transfers of 1 ms one after the other, then the latency: 8 ms to have 30 ms of prefill.
        assert_eq!(counts.saved_ms, 22.0);
        assert_eq!((tiers.tiers[1].hits, tiers.tiers[1].bytes), (3, 3_000));
        tiers.serve(2_000_000, &[1, 2], Some(&block_ms));
        assert_eq!((tiers.counts.block_hits, tiers.counts.saved_ms), (2, 42.0));
    }

    #[test]
    fn reading_that_takes_longer_than_computing_spares_nothing() {
        let trace = trace();
        let mut tiers = tiers(&trace, 1, 100.0, None);
        tiers.serve(0, &[0, 1], Some(&[10.0; 3]));
        tiers.serve(1, &[0, 1], Some(&[10.0; 3]));
        assert_eq!((tiers.counts.spared_blocks, tiers.counts.saved_ms), (2, 0.0));
    }

    #[test]
    fn a_prefetch_is_used_or_late_or_wasted() {
        let trace = trace();
        let mut tiers = tiers(&trace, 1, 5.0, None);
        assert!(!tiers.prefetch(0, 0), "no tier has it yet");
        tiers.serve(0, &[0, 1, 2], None);
        // Used: asked for at 10 ms, there at 15 ms.
        assert!(tiers.prefetch(10_000, 0) && tiers.has(0));
        tiers.advance(15_000);
        tiers.serve(15_000, &[0], None);
        assert_eq!((tiers.counts.used, tiers.counts.late, tiers.counts.block_hits), (1, 0, 1));
        // Late: wanted after 1 ms.
        assert!(tiers.prefetch(20_000, 1));
        tiers.advance(21_000);
        tiers.serve(21_000, &[1], None);
        tiers.advance(30_000);
        assert_eq!((tiers.counts.used, tiers.counts.late), (1, 1));
        // Wasted: another block drives it out.
        assert!(tiers.prefetch(40_000, 2));
        tiers.advance(50_000);
        tiers.serve(50_000, &[0, 2], None);
        let counts = tiers.counts;
        assert_eq!((counts.prefetched, counts.used, counts.late, counts.prefetched_bytes), (3, 1, 1, 3_000));
    }
}
