//! What is known of each block.

use super::Model;
use crate::{Waiting, policies::PrefixFacts};
use prefix_indexer_models::Clock;
use serde::{Deserialize, Serialize};

const NO_BLOCK: u32 = u32::MAX;

/// The blocks seen so far.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Blocks {
    known: Vec<Known>,
    /// One sum a rung, block after block.
    sums: Vec<f64>,
    rungs: usize,
    #[serde(skip)]
    clock: Option<Clock>,
    newest_ms: u64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Known {
    uses: u64,
    first_ms: u64,
    waiting: Waiting,
    bytes: u64,
    parent: u32,
    depth: u32,
    /// The last block of the last request that used it.
    end: u32,
}

impl Blocks {
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = u32> {
        0..self.known.len() as u32
    }

    pub(super) fn newest_ms(&self) -> u64 {
        self.newest_ms
    }

    /// Counts a use of each block of a chain.
    pub(super) fn count(
        &mut self,
        model: &mut Model,
        time_ms: u64,
        parent: Option<u32>,
        chain: &[u32],
        bytes: impl Fn(u32) -> u64,
    ) {
        self.newest_ms = time_ms;
        self.rungs = model.ladder.len();
        let clock = self.clock.get_or_insert_with(|| Clock::new(&model.ladder));
        clock.set(time_ms);
        let mut parent = parent.unwrap_or(NO_BLOCK);
        let end = chain.last().copied().unwrap_or(NO_BLOCK);
        for &block in chain {
            let place = block as usize;
            if place >= self.known.len() {
                if place > self.known.len() || block == NO_BLOCK {
                    return;
                }
                let depth = self.known.get(parent as usize).map_or(0, |parent| parent.depth.saturating_add(1));
                let waiting = model.table.first_use(time_ms);
                self.known.push(Known { uses: 0, first_ms: time_ms, waiting, bytes: 0, parent, depth, end: block });
                self.sums.resize(self.sums.len() + self.rungs, 0.0);
            }
            let known = &mut self.known[place];
            let last_ms = (known.uses > 0).then_some(known.waiting.last_use_ms);
            clock.add(last_ms, &mut self.sums[place * self.rungs..(place + 1) * self.rungs], 1.0);
            known.waiting = model.table.reuse(&known.waiting, time_ms);
            known.uses += 1;
            known.end = end;
            known.bytes = bytes(block);
            parent = block;
        }
    }

    /// Sets the depth of a block whose chain is not known, to the least that anybody said.
    pub(super) fn lift(&mut self, block: u32, depth: Option<u32>) {
        if let (Some(known), Some(depth)) = (self.known.get_mut(block as usize), depth) {
            known.depth = if known.uses == 1 { depth } else { known.depth.min(depth) };
        }
    }

    /// Keeps some of the blocks, numbered anew in the same order: for each block its new number. A parent that goes is no
    /// parent any more.
    pub(super) fn retain(&mut self, model: &mut Model, keep: &[bool]) -> Vec<Option<u32>> {
        let kept = |block: usize| keep.get(block).copied().unwrap_or(false);
        let mut numbers = vec![NO_BLOCK; self.known.len()];
        let mut next = 0;
        for block in 0..self.known.len() {
            let mut known = self.known[block];
            if !kept(block) {
                model.table.forget(&known.waiting, self.newest_ms);
                continue;
            }
            known.parent = numbers.get(known.parent as usize).copied().unwrap_or(NO_BLOCK);
            known.end = next as u32;
            self.known[next] = known;
            self.sums.copy_within(block * self.rungs..(block + 1) * self.rungs, next * self.rungs);
            numbers[block] = next as u32;
            next += 1;
        }
        self.known.truncate(next);
        self.sums.truncate(next * self.rungs);
        numbers.into_iter().map(|number| (number != NO_BLOCK).then_some(number)).collect()
    }

    pub(super) fn check(&self, model: &Model) -> Result<(), &'static str> {
        let empty = self.known.is_empty() && self.sums.is_empty();
        let whole = self.rungs == model.ladder.len() && self.sums.len() == self.known.len() * self.rungs;
        let parents =
            self.known.iter().zip(0..).all(|(known, number)| known.parent == NO_BLOCK || known.parent < number);
        if (empty || whole) && parents { Ok(()) } else { Err("sums and a parent before it for each prefix") }
    }

    #[inline]
    pub(super) fn used_since(&self, block: u32, at_ms: u64) -> bool {
        self.known.get(block as usize).is_some_and(|known| known.waiting.last_use_ms >= at_ms)
    }

    pub(super) fn uses(&self, block: u32) -> u64 {
        self.known.get(block as usize).map_or(0, |known| known.uses)
    }

    pub(super) fn parent(&self, block: u32) -> Option<u32> {
        self.known.get(block as usize).map(|known| known.parent).filter(|&parent| parent != NO_BLOCK)
    }

    /// The last block of the last request that used a block.
    pub(super) fn end(&self, block: u32) -> u32 {
        self.known.get(block as usize).map_or(block, |known| known.end)
    }

    /// What orders blocks of equal rank: the newest use, then the least depth, then the first seen come first.
    pub(super) fn ties(&self, block: u32) -> (std::cmp::Reverse<u64>, u32, u32) {
        let known = self.known.get(block as usize);
        let (last_ms, depth) = known.map_or((0, 0), |known| (known.waiting.last_use_ms, known.depth));
        (std::cmp::Reverse(last_ms), depth, block)
    }

    /// The facts of a block that is known.
    #[inline]
    pub(super) fn facts(&self, block: u32) -> PrefixFacts<'_> {
        let place = block as usize;
        let known = &self.known[place];
        PrefixFacts {
            uses: known.uses,
            first_seen_ms: known.first_ms,
            last_seen_ms: known.waiting.last_use_ms,
            footprint_bytes: known.bytes,
            depth: Some(known.depth),
            active_model: false,
            waiting: known.waiting,
            sums: &self.sums[place * self.rungs..(place + 1) * self.rungs],
        }
    }
}
