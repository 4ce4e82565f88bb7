//! Where in the known tree the next requests will leave it.
//!
//! A request walks down a chain of blocks that are known until it *diverges*: at its last known block, behind which comes
//! something new or nothing. Every request that uses a block diverges at it or below it. So with the hazard that the next
//! request diverges at each single block, the hazard that it uses a block is the sum over the block and everything below it: one pass
//! from the leaves to the roots, after which no block is less likely than its children, as a plan of whole chains
//! needs it.
//!
//! Conversations go on where they ended, so nearly all divergences happen at or just before the end of an earlier request. The
//! hazard at a block is therefore learned, as in [`LifeTable`](crate::LifeTable), by the time since a request last passed, for classes
//! of blocks: how far the block is from the end of the last request through it (0, 1, more), how often requests have
//! diverged there (0, 1, more), and how lively the conversation is (time between the last request and the one it went on from).

use crate::lifetable::{Outcome, RiskTable};
use serde::{Deserialize, Serialize};

const DISTANCES: usize = 3;
const DIVERGENCES: usize = 3;
/// Bounds (exclusive, in milliseconds) of liveliness; before them a class for conversations of one request, behind them one
/// for slower ones.
const LIVELINESS_MS: [u64; 3] = [30_000, 120_000, 600_000];
const LIVELINESSES: usize = LIVELINESS_MS.len() + 2;
const CLASSES: usize = DISTANCES * DIVERGENCES * LIVELINESSES;

const NO_PARENT: u32 = u32::MAX;

/// The tree of blocks as far as it is known, and the hazards of leaving it.
///
/// Blocks are numbers that count up from 0 in the order of first sight, root before leaf within a request: as an interner
/// gives them. Memory: 16 bytes a block and 130 KiB.
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
    last_pass_ms: u64,
    parent: u32,
    class: u8,
    divergences: u8,
}

impl Divergence {
    /// Counts a request that uses a chain of blocks, root first. Some 20 ns a block.
    ///
    /// The first block that is not the next new number and not known either, and what follows it, is left out.
    pub fn observe(&mut self, time_ms: u64, chain: &[u32]) {
        let known = chain.iter().position(|&block| block as usize >= self.blocks.len()).unwrap_or(chain.len());
        let end = known.checked_sub(1).and_then(|last| chain.get(last).copied());
        let liveliness = end.and_then(|end| self.blocks.get(end as usize)).map_or(0, |block| {
            let gap_ms = time_ms.saturating_sub(block.last_pass_ms);
            1 + LIVELINESS_MS.iter().map(|&bound| usize::from(gap_ms >= bound)).sum::<usize>()
        });
        let mut parent = NO_PARENT;
        for (depth, &number) in chain.iter().enumerate() {
            let distance = (chain.len() - 1 - depth).min(DISTANCES - 1);
            let diverges = depth + 1 == known;
            if !self.pass(number, time_ms, diverges, parent, distance * LIVELINESSES + liveliness) {
                return;
            }
            parent = number;
        }
    }

    /// Ends the wait at a block and begins the next one. False for a number that is neither known nor the next.
    #[inline]
    fn pass(&mut self, number: u32, time_ms: u64, diverges: bool, parent: u32, place: usize) -> bool {
        let Hazards(table) = &mut self.table;
        let Some(block) = self.blocks.get_mut(number as usize) else {
            if number as usize != self.blocks.len() || number == NO_PARENT {
                return false;
            }
            self.blocks.push(Block { last_pass_ms: time_ms, parent, class: place as u8, divergences: 0 });
            table.begin(place, time_ms);
            return true;
        };
        let outcome = if diverges { Outcome::Event } else { Outcome::Censored };
        table.end(usize::from(block.class), block.last_pass_ms, time_ms, outcome);
        block.divergences = (block.divergences + u8::from(diverges)).min(DIVERGENCES as u8 - 1);
        block.last_pass_ms = block.last_pass_ms.max(time_ms);
        block.class = (usize::from(block.divergences) * DISTANCES * LIVELINESSES + place) as u8;
        table.begin(usize::from(block.class), block.last_pass_ms);
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

    /// For each block, the hazard of a use within `window_ms` after `now_ms`: minus the logarithm of the probability of none.
    /// A block's is at least that of each of its children. Some 15 ns a block, and 100 us.
    pub fn hazards(&self, now_ms: u64, window_ms: u64) -> Vec<f64> {
        let groups: [usize; CLASSES] = std::array::from_fn(|class| class % (DISTANCES * LIVELINESSES) / LIVELINESSES);
        let Hazards(table) = &self.table;
        let classes = table.hazards(now_ms, &groups);
        let here = |block: &Block| {
            let age_ms = now_ms.saturating_sub(block.last_pass_ms);
            classes.get(usize::from(block.class)).map_or(0.0, |hazard| hazard.between(age_ms, window_ms))
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
