//! LRU: drops the block whose last use is the longest ago.

use super::{Eviction, EvictionPolicy, Lists, Setup};

pub(super) const POLICY: EvictionPolicy = EvictionPolicy::new::<Lru>(
    "lru",
    "drops the block whose last use is the longest ago",
    "Mattson, Gecsei, Slutz, Traiger: Evaluation techniques for storage hierarchies, IBM Systems Journal 1970",
);

/// A tier with LRU eviction.
#[derive(Debug, Clone)]
pub struct Lru {
    list: Lists,
    held: u32,
    capacity: u32,
}

impl Lru {
    /// Empties the tier and gives it another capacity. O(blocks held).
    pub fn reset(&mut self, capacity: u32) {
        self.list.clear(0);
        self.held = 0;
        self.capacity = capacity;
    }
}

impl Eviction for Lru {
    fn new(setup: &Setup<'_>) -> Lru {
        Lru { list: Lists::new(setup.blocks, 1), held: 0, capacity: setup.capacity }
    }

    #[inline]
    fn hit(&mut self, block: u32) {
        self.list.remove(block);
        self.list.push_front(0, block);
    }

    fn bring_in(&mut self, block: u32) {
        if self.held < self.capacity {
            self.held += 1;
        } else if self.list.pop_back(0).is_none() {
            return;
        }
        self.list.push_front(0, block);
    }

    #[inline]
    fn holds(&self, block: u32) -> bool {
        self.list.contains(block)
    }
}
