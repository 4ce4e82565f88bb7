//! FIFO: drops the block that came in first, used or not.

use super::{Eviction, EvictionPolicy, Setup};
use std::collections::VecDeque;

pub(super) const POLICY: EvictionPolicy = EvictionPolicy::new::<Fifo>(
    "fifo",
    "drops the block that came in first",
    "Belady: A study of replacement algorithms for a virtual-storage computer, IBM Systems Journal 1966",
);

#[derive(Debug)]
struct Fifo {
    queue: VecDeque<u32>,
    held: Vec<bool>,
    capacity: usize,
}

impl Eviction for Fifo {
    fn new(setup: &Setup<'_>) -> Fifo {
        Fifo { queue: VecDeque::new(), held: vec![false; setup.blocks as usize], capacity: setup.capacity as usize }
    }

    #[inline]
    fn hit(&mut self, _: u32) {}

    fn bring_in(&mut self, block: u32) {
        if self.queue.len() >= self.capacity {
            let Some(first) = self.queue.pop_front() else { return };
            self.held[first as usize] = false;
        }
        self.queue.push_back(block);
        self.held[block as usize] = true;
    }

    fn holds(&self, block: u32) -> bool {
        self.held[block as usize]
    }
}
