//! Stack distances: the hits of LRU tiers of all sizes, from one pass.
//!
//! A tier with LRU eviction holds the blocks used last, as many as fit: a smaller tier holds a part of what a larger one
//! holds. So a reference is a hit in exactly the tiers that hold more blocks than other ones were used since its block was
//! (Mattson, Gecsei, Slutz, Traiger: Evaluation techniques for storage hierarchies, IBM Systems Journal 1970). Counted here with
//! a binary indexed tree over the times of last uses (Bennett, Kruskal: LRU stack processing, 1975; Fenwick, 1994).

use crate::trace::NONE;

/// Tells the distance of one reference after the other. O(log blocks) each; 16 bytes a block.
#[derive(Debug, Clone)]
pub(crate) struct StackDistances {
    /// Place of each block's last use; [`NONE`] before the first.
    places: Vec<u32>,
    /// The block used at a place; it is the place of its last use, or of no interest any more.
    blocks: Vec<u32>,
    /// Binary indexed tree: how many places of last uses there are, in ranges of places.
    tree: Vec<u32>,
    next: usize,
    used: u32,
}

impl StackDistances {
    pub(crate) fn new(blocks: usize) -> StackDistances {
        // Twice as many places as blocks, so that half of them are free each time they are numbered anew.
        let places = (2 * blocks).max(2);
        StackDistances {
            places: vec![NONE; blocks],
            blocks: vec![NONE; places],
            tree: vec![0; places + 1],
            next: 0,
            used: 0,
        }
    }

    /// How many other blocks were used since this one was; none at its first use. A tier that holds more blocks hits.
    pub(crate) fn touch(&mut self, block: u32) -> Option<u32> {
        if self.next == self.blocks.len() {
            self.renumber();
        }
        let before = std::mem::replace(&mut self.places[block as usize], self.next as u32);
        let distance = (before != NONE).then(|| self.used - self.count_up_to(before as usize));
        if before == NONE {
            self.used += 1;
        } else {
            self.add(before as usize, u32::MAX);
        }
        self.add(self.next, 1);
        self.blocks[self.next] = block;
        self.next += 1;
        distance
    }

    /// Adds to a place, modulo 2^32, so that the largest number takes one away.
    fn add(&mut self, place: usize, change: u32) {
        let mut node = place + 1;
        while let Some(count) = self.tree.get_mut(node) {
            *count = count.wrapping_add(change);
            node += node & node.wrapping_neg();
        }
    }

    /// Last uses at a place or before it.
    fn count_up_to(&self, place: usize) -> u32 {
        let (mut node, mut count) = (place + 1, 0_u32);
        while node > 0 {
            count = count.wrapping_add(self.tree[node]);
            node &= node - 1;
        }
        count
    }

    /// Moves the last uses to the first places, in their order. O(blocks), once in at least as many references.
    fn renumber(&mut self) {
        self.next = 0;
        for place in 0..self.blocks.len() {
            let block = self.blocks[place];
            if self.places[block as usize] == place as u32 {
                self.places[block as usize] = self.next as u32;
                self.blocks[self.next] = block;
                self.next += 1;
            }
        }
        for node in 1..self.tree.len() {
            // A node counts the places from where its lowest bit says to itself.
            let from = node & (node - 1);
            self.tree[node] = (node.min(self.next) - from.min(self.next)) as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn distances_are_places_in_a_list(blocks in prop::collection::vec(0..12_u32, 0..400)) {
            let mut stack = StackDistances::new(12);
            let mut list: Vec<u32> = Vec::new();
            for &block in &blocks {
                let place = list.iter().position(|&other| other == block);
                prop_assert_eq!(stack.touch(block), place.map(|place| place as u32));
                place.map(|place| list.remove(place));
                list.insert(0, block);
            }
        }
    }
}
