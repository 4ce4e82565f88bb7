//! Blocks that only ever follow their parent, as one.
//!
//! A prompt of a hundred blocks is not a hundred decisions: as long as every request that has one block has the next too, they are a
//! *run*. The tree of blocks with its runs contracted is a radix tree; a run is named after its first block. When a
//! request leaves a run in its middle, the part behind gets a name of its own, and the part before keeps the old one.

use serde::{Deserialize, Serialize};

const NONE: u32 = u32::MAX;
const SEVERAL: u32 = u32::MAX - 1;

/// The tree of blocks, contracted.
///
/// Blocks are numbers that count up from 0 in the order of first sight, root before leaf within a request. Memory:
/// 12 bytes a block.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Runs {
    blocks: Vec<Block>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Block {
    parent: u32,
    /// The only child, or [`NONE`], or [`SEVERAL`].
    child: u32,
    /// First block of the run.
    head: u32,
}

impl Runs {
    /// Adds the blocks of a request, root first, and says how many of them were known. A number that is neither known nor the next
    /// new one ends the chain.
    pub fn add(&mut self, chain: &[u32]) -> usize {
        let known = chain.iter().position(|&block| block as usize >= self.blocks.len()).unwrap_or(chain.len());
        let mut parent = known.checked_sub(1).and_then(|last| chain.get(last).copied());
        for &block in chain.iter().skip(known) {
            if block as usize != self.blocks.len() || block >= SEVERAL {
                break;
            }
            self.grow(parent, block);
            parent = Some(block);
        }
        known
    }

    fn grow(&mut self, parent: Option<u32>, block: u32) {
        let mut head = block;
        let above = parent.and_then(|parent| self.blocks.get_mut(parent as usize));
        if let Some(above) = above {
            match above.child {
                NONE => {
                    above.child = block;
                    head = above.head;
                }
                SEVERAL => {}
                sibling => {
                    above.child = SEVERAL;
                    self.rename(sibling);
                }
            }
        }
        self.blocks.push(Block { parent: parent.unwrap_or(NONE), child: NONE, head });
    }

    /// Makes a block the first of its run.
    fn rename(&mut self, head: u32) {
        let mut next = head;
        while let Some(block) = self.blocks.get_mut(next as usize) {
            block.head = head;
            next = block.child;
        }
    }

    /// The run that a block belongs to, by its first block.
    pub fn run_of(&self, block: u32) -> Option<u32> {
        Some(self.blocks.get(block as usize)?.head)
    }

    /// The blocks of a run, given by any of its blocks, in order.
    pub fn blocks(&self, block: u32) -> impl Iterator<Item = u32> + '_ {
        let head = self.run_of(block);
        std::iter::successors(head, move |&block| {
            let child = self.blocks.get(block as usize)?.child;
            // A run ends where there are several children or none: neither is a block.
            self.blocks.get(child as usize).map(|_| child)
        })
    }

    /// A block's parent.
    pub fn parent(&self, block: u32) -> Option<u32> {
        let parent = self.blocks.get(block as usize)?.parent;
        (parent != NONE).then_some(parent)
    }

    /// Forgets the blocks that `keep` says no to (those it does not reach, too); the others are numbered anew in the same order. For each
    /// block its new number. A run that loses its first block is named after the first that is left, one that loses its parent is a
    /// root; where blocks have parted once, they stay apart.
    pub fn retain(&mut self, keep: &[bool]) -> Vec<Option<u32>> {
        let mut numbers = vec![None; self.blocks.len()];
        let number = |numbers: &[Option<u32>], block: u32| numbers.get(block as usize).copied().flatten();
        let mut kept: Vec<Block> = Vec::new();
        for (place, block) in self.blocks.iter().enumerate() {
            if !keep.get(place).copied().unwrap_or(false) {
                continue;
            }
            let new = kept.len() as u32;
            // Parents and first blocks of runs have smaller numbers, so theirs are known.
            let parent = number(&numbers, block.parent);
            let in_same_run = self.blocks.get(block.parent as usize).is_some_and(|parent| parent.head == block.head);
            let inherited = parent.filter(|_| in_same_run).and_then(|parent| kept.get(parent as usize));
            let head = number(&numbers, block.head).or(inherited.map(|parent| parent.head)).unwrap_or(new);
            kept.push(Block { parent: parent.unwrap_or(NONE), child: block.child, head });
            if let Some(slot) = numbers.get_mut(place) {
                *slot = Some(new);
            }
        }
        for block in &mut kept {
            if block.child != SEVERAL {
                block.child = number(&numbers, block.child).unwrap_or(NONE);
            }
        }
        self.blocks = kept;
        numbers
    }

    /// Number of blocks known.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether no block is known.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_split_where_requests_part() {
        let mut runs = Runs::default();
        let check = |runs: &Runs, block, expect: &[u32]| {
            assert_eq!(runs.blocks(block).collect::<Vec<_>>(), expect, "run of {block}");
        };
        assert_eq!(runs.add(&[0, 1, 2, 3]), 0);
        check(&runs, 2, &[0, 1, 2, 3]);
        assert_eq!(runs.add(&[0, 1, 2, 3, 4]), 4); // longer: the same run
        check(&runs, 4, &[0, 1, 2, 3, 4]);
        assert_eq!(runs.add(&[0, 1, 5, 6]), 2);
        check(&runs, 0, &[0, 1]);
        check(&runs, 3, &[2, 3, 4]);
        check(&runs, 6, &[5, 6]);
        assert_eq!(runs.add(&[0, 1, 7]), 2); // a third child: nothing to split
        check(&runs, 5, &[5, 6]);
        check(&runs, 7, &[7]);
        assert_eq!(runs.add(&[8, 9]), 0); // another root
        check(&runs, 9, &[8, 9]);
        assert_eq!((runs.parent(2), runs.parent(0), runs.parent(99)), (Some(1), None, None));
        assert_eq!(runs.run_of(99), None);
        assert_eq!(runs.blocks(99).count(), 0);
    }

    #[test]
    fn what_is_left_keeps_its_runs() {
        let mut runs = Runs::default();
        runs.add(&[0, 1, 2, 3]);
        runs.add(&[0, 1, 4, 5, 6]);
        let check = |runs: &Runs, block, expect: &[u32]| {
            assert_eq!(runs.blocks(block).collect::<Vec<_>>(), expect, "run of {block}");
        };
        // Without 3 and 4: 5 is a root now, and the first of its run.
        let numbers = runs.retain(&[true, true, true, false, false, true, true]);
        assert_eq!(numbers, [Some(0), Some(1), Some(2), None, None, Some(3), Some(4)]);
        check(&runs, 0, &[0, 1]);
        check(&runs, 2, &[2]);
        check(&runs, 4, &[3, 4]);
        assert_eq!((runs.parent(3), runs.parent(2), runs.len()), (None, Some(1), 5));
        // It grows on.
        assert_eq!(runs.add(&[0, 1, 2, 5]), 3);
        check(&runs, 2, &[2, 5]);
        // Less is said than there is: the rest goes.
        runs.retain(&[true]);
        check(&runs, 0, &[0]);
    }

    #[test]
    fn odd_chains() {
        let mut runs = Runs::default();
        assert_eq!(runs.add(&[]), 0);
        assert_eq!(runs.add(&[5]), 0);
        assert!(runs.is_empty());
        assert_eq!(runs.add(&[0, 0, 1, 1, 7, 2]), 0);
        assert_eq!(runs.len(), 1);
    }
}
