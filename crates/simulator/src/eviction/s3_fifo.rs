//! S3-FIFO: a small queue where new blocks prove themselves, a main queue for those that did, and a ghost queue of the
//! names of those that did not: one that comes back from there goes to the main queue at once.
//!
//! As in the paper: the small queue is a tenth of the tier, the ghost queue as long as the main one. A block that was used
//! more than once in the small queue moves to the main queue, with its count cleared; the main queue gives a block another
//! round for each of at most three uses. libCacheSim differs in two points, which docs/replay.md names.

use super::{Eviction, EvictionPolicy, Lists, Setup};
use std::collections::VecDeque;

pub(super) const POLICY: EvictionPolicy = EvictionPolicy::new::<S3Fifo>(
    "s3-fifo",
    "three FIFO queues: new blocks, blocks that were used again, and the names of dropped new ones",
    "Yang, Zhang, Qiu, Yue, Vigfusson: FIFO queues are all you need for cache eviction, SOSP 2023",
);

/// Share of the small queue: one in ten.
const SMALL: u32 = 10;
/// Uses in the small queue, beside the first, that a block needs to get into the main queue.
const TO_MAIN: u8 = 2;
/// The highest count of uses.
const MOST: u8 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Out,
    Small,
    Main,
}

#[derive(Debug)]
struct S3Fifo {
    small: VecDeque<u32>,
    main: VecDeque<u32>,
    ghosts: Lists,
    ghost_count: u32,
    places: Vec<Place>,
    uses: Vec<u8>,
    capacity: usize,
    main_capacity: usize,
    ghost_capacity: u32,
}

impl S3Fifo {
    fn evict(&mut self) {
        if self.main.len() > self.main_capacity || self.small.is_empty() {
            self.evict_from_main();
        } else {
            self.evict_from_small();
        }
    }

    fn evict_from_small(&mut self) {
        while let Some(block) = self.small.pop_front() {
            if self.uses[block as usize] >= TO_MAIN {
                self.uses[block as usize] = 0;
                self.places[block as usize] = Place::Main;
                self.main.push_back(block);
                continue;
            }
            self.places[block as usize] = Place::Out;
            self.remember(block);
            return;
        }
    }

    fn evict_from_main(&mut self) {
        while let Some(block) = self.main.pop_front() {
            let uses = &mut self.uses[block as usize];
            if *uses == 0 {
                self.places[block as usize] = Place::Out;
                return;
            }
            *uses -= 1;
            self.main.push_back(block);
        }
    }

    fn remember(&mut self, block: u32) {
        if self.ghost_count < self.ghost_capacity {
            self.ghost_count += 1;
        } else if self.ghosts.pop_back(0).is_none() {
            return;
        }
        self.ghosts.push_front(0, block);
    }
}

impl Eviction for S3Fifo {
    fn new(setup: &Setup<'_>) -> S3Fifo {
        let main_capacity = setup.capacity - setup.capacity / SMALL;
        S3Fifo {
            small: VecDeque::new(),
            main: VecDeque::new(),
            ghosts: Lists::new(setup.blocks, 1),
            ghost_count: 0,
            places: vec![Place::Out; setup.blocks as usize],
            uses: vec![0; setup.blocks as usize],
            capacity: setup.capacity as usize,
            main_capacity: main_capacity as usize,
            ghost_capacity: main_capacity,
        }
    }

    #[inline]
    fn hit(&mut self, block: u32) {
        let uses = &mut self.uses[block as usize];
        *uses = (*uses + 1).min(MOST);
    }

    fn bring_in(&mut self, block: u32) {
        if self.capacity == 0 {
            return;
        }
        let known = self.ghosts.contains(block);
        if known {
            self.ghosts.remove(block);
            self.ghost_count -= 1;
        }
        // Moving blocks to the main queue frees no room, so it can take several rounds.
        while self.small.len() + self.main.len() >= self.capacity {
            self.evict();
        }
        self.uses[block as usize] = 0;
        if known {
            self.places[block as usize] = Place::Main;
            self.main.push_back(block);
        } else {
            self.places[block as usize] = Place::Small;
            self.small.push_back(block);
        }
    }

    fn holds(&self, block: u32) -> bool {
        self.places[block as usize] != Place::Out
    }
}
