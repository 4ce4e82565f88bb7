//! Filling a tier from an order of blocks: with ancestors, within a budget.

use crate::Trace;

/// Chooses what to load, again and again, with the memory of the last time.
#[derive(Debug, Clone)]
pub(crate) struct Warmup {
    /// Number of the plan in which a block was last loaded.
    loaded_in: Vec<u32>,
    plan: u32,
    chain: Vec<u32>,
    loaded: Vec<u32>,
}

impl Warmup {
    pub(crate) fn new(blocks: usize) -> Warmup {
        Warmup { loaded_in: vec![0; blocks], plan: 0, chain: Vec::new(), loaded: Vec::new() }
    }

    /// Takes the blocks in the order given, each with the ancestors that are not in yet, root first; a chain that does not
    /// fit is skipped and the next one is tried, until `budget` blocks are in. Returns them in the order of loading.
    ///
    /// O(blocks looked at + blocks loaded), and for each chain that does not fit as many steps as there is room left.
    pub(crate) fn fill(&mut self, trace: &Trace, order: impl Iterator<Item = u32>, budget: u64) -> &[u32] {
        self.plan += 1;
        self.loaded.clear();
        let mut room = usize::try_from(budget).unwrap_or(usize::MAX);
        for block in order {
            if room == 0 {
                break;
            }
            self.chain.clear();
            let mut at = Some(block).filter(|&block| !self.holds(block));
            while let Some(missing) = at.filter(|_| self.chain.len() <= room) {
                self.chain.push(missing);
                at = trace.parent(missing).filter(|&parent| !self.holds(parent));
            }
            if self.chain.len() > room {
                continue;
            }
            room -= self.chain.len();
            while let Some(missing) = self.chain.pop() {
                self.loaded_in[missing as usize] = self.plan;
                self.loaded.push(missing);
            }
        }
        &self.loaded
    }

    fn holds(&self, block: u32) -> bool {
        self.loaded_in[block as usize] == self.plan
    }
}
