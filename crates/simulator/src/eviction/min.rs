//! MIN: drops the block whose next use is the furthest away. No policy that brings in every block it misses has more hits.

use super::{Eviction, EvictionPolicy, Setup};
use std::collections::BinaryHeap;

pub(super) const POLICY: EvictionPolicy = EvictionPolicy {
    clairvoyant: true,
    ..EvictionPolicy::new::<Min>(
        "min",
        "drops the block whose next use is the furthest away: a bound, as nobody knows the future",
        "Belady: A study of replacement algorithms for a virtual-storage computer, IBM Systems Journal 1966",
    )
};

/// No next use.
const NEVER: u32 = u32::MAX;

#[derive(Debug)]
struct Min {
    /// Next use of the same block, by place of the reference.
    next: Vec<u32>,
    /// The block, by place of the reference.
    references: Vec<u32>,
    /// Places of next uses of resident blocks. Those that have passed are left in, at the bottom: a place in the past is
    /// less than any to come, and a resident block always has one to come or is in `unused`.
    uses: BinaryHeap<u32>,
    /// Resident blocks without another use.
    unused: Vec<u32>,
    held: Vec<bool>,
    count: usize,
    capacity: usize,
    /// Place of the reference that comes next.
    place: usize,
}

impl Min {
    fn evict(&mut self) {
        let furthest = || self.uses.pop().map(|place| self.references[place as usize]);
        if let Some(block) = self.unused.pop().or_else(furthest) {
            self.held[block as usize] = false;
            self.count -= 1;
        }
    }

    /// Makes room for a block and takes it; whether there is any.
    fn take_in(&mut self, block: u32) -> bool {
        if self.capacity == 0 {
            return false;
        }
        if self.count >= self.capacity {
            self.evict();
        }
        self.held[block as usize] = true;
        self.count += 1;
        true
    }
}

impl Eviction for Min {
    fn new(setup: &Setup<'_>) -> Min {
        let mut next = vec![NEVER; setup.references.len()];
        let mut seen = vec![NEVER; setup.blocks as usize];
        for (place, &block) in setup.references.iter().enumerate().rev() {
            next[place] = std::mem::replace(&mut seen[block as usize], place as u32);
        }
        Min {
            next,
            references: setup.references.to_vec(),
            uses: BinaryHeap::new(),
            unused: Vec::new(),
            held: vec![false; setup.blocks as usize],
            count: 0,
            capacity: setup.capacity as usize,
            place: 0,
        }
    }

    /// The next reference of the trace is past; what comes after it decides when the block goes.
    fn touch(&mut self, block: u32) -> bool {
        let next = self.next.get(self.place).copied().unwrap_or(NEVER);
        self.place += 1;
        let hit = self.holds(block);
        if !hit && !self.take_in(block) {
            return false;
        }
        if next == NEVER {
            self.unused.push(block);
        } else {
            self.uses.push(next);
        }
        hit
    }

    fn hit(&mut self, _: u32) {}

    /// Scenarios refuse to load into a tier that looks ahead: when it would be used next is not known here. The block counts
    /// as one that is not.
    fn bring_in(&mut self, block: u32) {
        if self.take_in(block) {
            self.unused.push(block);
        }
    }

    fn holds(&self, block: u32) -> bool {
        self.held[block as usize]
    }
}
