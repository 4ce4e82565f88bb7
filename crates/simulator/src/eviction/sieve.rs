//! SIEVE: a queue in the order of arrival; a hand moves from the oldest block to the newest, spares each block that was used
//! since it last came by, and drops the first that was not.

use super::{Eviction, EvictionPolicy, Lists, Setup};

pub(super) const POLICY: EvictionPolicy = EvictionPolicy::new::<Sieve>(
    "sieve",
    "drops the oldest block that was not used since a moving hand last passed it",
    "Zhang, Yang, Yue, Vigfusson, Rashmi: SIEVE is simpler than LRU, NSDI 2024",
);

#[derive(Debug)]
struct Sieve {
    queue: Lists,
    visited: Vec<bool>,
    /// Where the hand goes on; none to begin at the oldest block.
    hand: Option<u32>,
    held: u32,
    capacity: u32,
}

impl Sieve {
    fn evict(&mut self) -> bool {
        let Some(mut at) = self.hand.or_else(|| self.queue.back(0)) else { return false };
        while std::mem::take(&mut self.visited[at as usize]) {
            let Some(next) = self.queue.before(at).or_else(|| self.queue.back(0)) else { return false };
            at = next;
        }
        self.hand = self.queue.before(at);
        self.queue.remove(at);
        true
    }
}

impl Eviction for Sieve {
    fn new(setup: &Setup<'_>) -> Sieve {
        Sieve {
            queue: Lists::new(setup.blocks, 1),
            visited: vec![false; setup.blocks as usize],
            hand: None,
            held: 0,
            capacity: setup.capacity,
        }
    }

    #[inline]
    fn hit(&mut self, block: u32) {
        self.visited[block as usize] = true;
    }

    fn bring_in(&mut self, block: u32) {
        if self.held < self.capacity {
            self.held += 1;
        } else if !self.evict() {
            return;
        }
        self.visited[block as usize] = false;
        self.queue.push_front(0, block);
    }

    fn holds(&self, block: u32) -> bool {
        self.queue.contains(block)
    }
}
