//! Where in the known tree the next requests will leave it.
//!
//! A request walks down a chain of blocks that are known until it *diverges*: at its last known block, behind which comes
//! something new or nothing. Every request that uses a block diverges at it or below it. So with the hazard that the next
//! request diverges at each single block, the hazard that it uses a block is the sum over the block and everything below it: one pass
//! from the leaves to the roots, after which no block is less likely than its children, as a plan of whole chains
//! needs it.
//!
//! Conversations go on where they ended, so nearly all divergences happen at or just before the end of an earlier request. The
//! hazard at a block is therefore learned, as in [`LifeTable`](crate::LifeTable), by the time since a request last passed it or
//! left it behind, for classes of blocks: how far the block is from the end of the last request through it (0, 1, more; or left behind
//! by a later request of the conversation that diverged above it), how often requests have diverged there (0, 1, more), and how lively the
//! conversation is (time between the last request and the one it went on from).

use crate::lifetable::{Outcome, RiskTable};
use serde::{Deserialize, Serialize};

const DISTANCES: usize = 3;
/// The place, beside those by distance, of blocks that the conversation has left behind.
const LEFT_BEHIND: usize = DISTANCES;
const PLACES: usize = DISTANCES + 1;
const DIVERGENCES: usize = 3;
/// Bounds (exclusive, in milliseconds) of liveliness; before them a class for conversations of one request, behind them one
/// for slower ones.
const LIVELINESS_MS: [u64; 3] = [30_000, 120_000, 600_000];
const LIVELINESSES: usize = LIVELINESS_MS.len() + 2;
const CLASSES: usize = PLACES * DIVERGENCES * LIVELINESSES;

const NO_BLOCK: u32 = u32::MAX;

/// The tree of blocks as far as it is known, and the hazards of leaving it.
///
/// Blocks are numbers that count up from 0 in the order of first sight, root before leaf within a request: as an interner
/// gives them. Memory: 24 bytes a block and 170 KiB.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Divergence {
    table: Hazards,
    blocks: Vec<Block>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Hazards(RiskTable);

impl Default for Hazards {
    fn default() -> Hazards {
        Hazards(RiskTable::new(CLASSES))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Block {
    /// When a request last passed it, or left it behind.
    since_ms: u64,
    parent: u32,
    /// The child that a request last went on to.
    child: u32,
    place: u8,
    liveliness: u8,
    divergences: u8,
}

impl Block {
    fn class(&self) -> usize {
        let [place, liveliness, divergences] = [self.place, self.liveliness, self.divergences].map(usize::from);
        (divergences * PLACES + place) * LIVELINESSES + liveliness
    }
}

impl Divergence {
    /// Counts a request that uses a chain of blocks, root first. Some 20 ns a block.
    ///
    /// The first block that is not the next new number and not known either, and what follows it, is left out.
    pub fn observe(&mut self, time_ms: u64, chain: &[u32]) {
        let known = chain.iter().position(|&block| block as usize >= self.blocks.len()).unwrap_or(chain.len());
        let end = known.checked_sub(1).and_then(|last| chain.get(last).copied());
        let mut liveliness = 0;
        if let Some(end) = end.and_then(|end| self.blocks.get(end as usize)) {
            let gap_ms = time_ms.saturating_sub(end.since_ms);
            liveliness = 1 + LIVELINESS_MS.iter().map(|&bound| u8::from(gap_ms >= bound)).sum::<u8>();
            // Where requests have parted before, conversations fork: what one of them did says nothing about the others.
            if end.divergences == 0 {
                self.leave_behind(end.child, time_ms);
            }
        }
        let mut parent = NO_BLOCK;
        for (depth, &number) in chain.iter().enumerate() {
            let place = (chain.len() - 1 - depth).min(DISTANCES - 1) as u8;
            let child = chain.get(depth + 1).copied().unwrap_or(NO_BLOCK);
            let block = Block { since_ms: time_ms, parent, child, place, liveliness, divergences: 0 };
            if !self.pass(number, block, depth + 1 == known) {
                return;
            }
            parent = number;
        }
    }

    /// Marks a chain from a block down along what was last used, as far as that has not been done before.
    fn leave_behind(&mut self, mut number: u32, time_ms: u64) {
        let Hazards(table) = &mut self.table;
        while let Some(block) = self.blocks.get_mut(number as usize)
            && usize::from(block.place) != LEFT_BEHIND
        {
            table.end(block.class(), block.since_ms, time_ms, Outcome::Censored);
            block.since_ms = block.since_ms.max(time_ms);
            block.place = LEFT_BEHIND as u8;
            table.begin(block.class(), block.since_ms);
            number = block.child;
        }
    }

    /// Ends the wait at a block and begins the next one. False for a number that is neither known nor the next.
    #[inline]
    fn pass(&mut self, number: u32, new: Block, diverges: bool) -> bool {
        let Hazards(table) = &mut self.table;
        let Some(block) = self.blocks.get_mut(number as usize) else {
            if number as usize != self.blocks.len() || number == NO_BLOCK {
                return false;
            }
            table.begin(new.class(), new.since_ms);
            self.blocks.push(new);
            return true;
        };
        let outcome = if diverges { Outcome::Event } else { Outcome::Censored };
        table.end(block.class(), block.since_ms, new.since_ms, outcome);
        *block = Block {
            since_ms: block.since_ms.max(new.since_ms),
            parent: block.parent,
            // A request that ends here says nothing about what comes next.
            child: if new.child == NO_BLOCK { block.child } else { new.child },
            divergences: (block.divergences + u8::from(diverges)).min(DIVERGENCES as u8 - 1),
            ..new
        };
        table.begin(block.class(), block.since_ms);
        true
    }

    /// Number of blocks known.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether no block is known.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The place of a block (blocks to the end of the last request through it, at most 2; 3 for left behind), and how lively its
    /// conversation is (0 unknown, then from 1 the slower, the higher).
    #[inline]
    pub(crate) fn place(&self, number: u32) -> Option<(u8, u8)> {
        self.blocks.get(number as usize).map(|block| (block.place, block.liveliness))
    }

    /// For each block, the hazard of a use within `window_ms` after `now_ms`: minus the logarithm of the probability of none.
    /// A block's is at least that of each of its children. Some 15 ns a block, and 100 us.
    pub fn hazards(&self, now_ms: u64, window_ms: u64) -> Vec<f64> {
        let groups: [usize; CLASSES] = std::array::from_fn(|class| class / LIVELINESSES % PLACES);
        let Hazards(table) = &self.table;
        let classes = table.hazards(now_ms, &groups);
        let here = |block: &Block| {
            let age_ms = now_ms.saturating_sub(block.since_ms);
            classes.get(block.class()).map_or(0.0, |hazard| hazard.between(age_ms, window_ms))
        };
        let mut hazards: Vec<f64> = self.blocks.iter().map(here).collect();
        // Parents are seen before their children, so going backwards every block is complete when it is added to its parent.
        for number in (0..hazards.len()).rev() {
            let (above, below) = hazards.split_at_mut(number);
            let parent = self.blocks[number].parent as usize;
            if let (Some(parent), Some(child)) = (above.get_mut(parent), below.first()) {
                *parent += child;
            }
        }
        hazards
    }

    /// For each block, the probability of at least one use within `window_ms` after `now_ms`.
    pub fn probabilities(&self, now_ms: u64, window_ms: u64) -> Vec<f64> {
        let mut hazards = self.hazards(now_ms, window_ms);
        hazards.iter_mut().for_each(|hazard| *hazard = -(-*hazard).exp_m1());
        hazards
    }
}
