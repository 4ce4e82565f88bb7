//! LFU: drops the block with the fewest uses since it came in; of several, the one that has had that number the longest.

use super::{Eviction, EvictionPolicy, Lists, Setup};

pub(super) const POLICY: EvictionPolicy = EvictionPolicy::new::<Lfu>(
    "lfu",
    "drops the block with the fewest uses since it came in",
    "Shah, Mitra, Matani: An O(1) algorithm for implementing the LFU cache eviction scheme, 2010",
);

/// List `n` holds the blocks with `n + 1` uses, the newest in front.
#[derive(Debug)]
struct Lfu {
    lists: Lists,
    /// Uses less one, of resident blocks.
    uses: Vec<u32>,
    /// No list before this one has a block.
    least: u32,
    held: u32,
    capacity: u32,
}

impl Lfu {}

impl Eviction for Lfu {
    fn new(setup: &Setup<'_>) -> Lfu {
        Lfu {
            lists: Lists::new(setup.blocks, 1),
            uses: vec![0; setup.blocks as usize],
            least: 0,
            held: 0,
            capacity: setup.capacity,
        }
    }

    #[inline]
    fn hit(&mut self, block: u32) {
        let uses = &mut self.uses[block as usize];
        *uses += 1;
        self.lists.reserve(*uses);
        self.lists.remove(block);
        self.lists.push_front(*uses, block);
    }

    fn bring_in(&mut self, block: u32) {
        if self.capacity == 0 {
            return;
        }
        if self.held < self.capacity {
            self.held += 1;
        } else {
            // There is a block in some list, so this ends; a block of one use comes in each time, so it is mostly short.
            while self.lists.pop_back(self.least).is_none() {
                self.least += 1;
            }
        }
        self.least = 0;
        self.uses[block as usize] = 0;
        self.lists.push_front(0, block);
    }

    fn holds(&self, block: u32) -> bool {
        self.lists.contains(block)
    }
}
