//! ARC: one LRU list of blocks used once and one of blocks used again, each with a ghost list of what it dropped; a
//! reference to a ghost shifts room towards the list that should have kept it.
//!
//! As in the paper, figure 4, with the target size a real number.

use super::{Eviction, EvictionPolicy, Lists, Setup};

pub(super) const POLICY: EvictionPolicy = EvictionPolicy::new::<Arc>(
    "arc",
    "balances a list of blocks used once and one of blocks used again by what each dropped too early",
    "Megiddo, Modha: ARC: a self-tuning, low overhead replacement cache, FAST 2003",
);

// The lists, with their names in the paper.
const T1: u32 = 0;
const T2: u32 = 1;
const B1: u32 = 2;
const B2: u32 = 3;
const OUT: u8 = 4;

#[derive(Debug)]
struct Arc {
    lists: Lists,
    places: Vec<u8>,
    lengths: [u32; 4],
    /// How long T1 should be.
    target: f64,
    capacity: u32,
}

impl Arc {
    fn length(&self, list: u32) -> u32 {
        self.lengths[list as usize]
    }

    fn put(&mut self, list: u32, block: u32) {
        self.lists.push_front(list, block);
        self.places[block as usize] = list as u8;
        self.lengths[list as usize] += 1;
    }

    fn take(&mut self, block: u32) {
        self.lists.remove(block);
        self.lengths[self.places[block as usize] as usize] -= 1;
    }

    fn drop_last(&mut self, list: u32) {
        if let Some(block) = self.lists.back(list) {
            self.take(block);
            self.places[block as usize] = OUT;
        }
    }

    /// REPLACE of the paper: moves the last block of T1 or T2 to its ghost list.
    fn replace(&mut self, known_in_b2: bool) {
        let ones = f64::from(self.length(T1));
        let from_ones = ones > 0.0 && (ones > self.target || (known_in_b2 && ones == self.target));
        let (list, ghosts) = if from_ones || self.length(T2) == 0 { (T1, B1) } else { (T2, B2) };
        if let Some(block) = self.lists.back(list) {
            self.take(block);
            self.put(ghosts, block);
        }
    }
}

impl Eviction for Arc {
    fn new(setup: &Setup<'_>) -> Arc {
        Arc {
            lists: Lists::new(setup.blocks, 4),
            places: vec![OUT; setup.blocks as usize],
            lengths: [0; 4],
            target: 0.0,
            // More than all blocks changes nothing, and twice the capacity has to fit a number.
            capacity: setup.capacity.min(setup.blocks),
        }
    }

    #[inline]
    fn hit(&mut self, block: u32) {
        self.take(block);
        self.put(T2, block);
    }

    /// Cases II to IV of the paper.
    fn bring_in(&mut self, block: u32) {
        if self.capacity == 0 {
            return;
        }
        let (b1, b2) = (f64::from(self.length(B1)), f64::from(self.length(B2)));
        match u32::from(self.places[block as usize]) {
            B1 => {
                self.target = (self.target + (b2 / b1).max(1.0)).min(f64::from(self.capacity));
                self.replace(false);
                self.take(block);
                self.put(T2, block);
            }
            B2 => {
                self.target = (self.target - (b1 / b2).max(1.0)).max(0.0);
                self.replace(true);
                self.take(block);
                self.put(T2, block);
            }
            _ => {
                let once = self.length(T1) + self.length(B1);
                let all = once + self.length(T2) + self.length(B2);
                if once == self.capacity {
                    if self.length(T1) < self.capacity {
                        self.drop_last(B1);
                        self.replace(false);
                    } else {
                        self.drop_last(T1);
                    }
                } else if all >= self.capacity {
                    if all == self.capacity * 2 {
                        self.drop_last(B2);
                    }
                    self.replace(false);
                }
                self.put(T1, block);
            }
        }
    }

    fn holds(&self, block: u32) -> bool {
        u32::from(self.places[block as usize]) <= T2
    }
}
