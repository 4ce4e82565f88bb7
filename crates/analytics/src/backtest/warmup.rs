//! Filling a tier from an order of blocks: with ancestors, within a budget.

/// Chooses what to load, again and again, with the memory of the last time.
#[derive(Debug, Clone, Default)]
pub struct Warmup {
    /// Number of the plan in which a block was last loaded.
    loaded_in: Vec<u32>,
    plan: u32,
    chain: Vec<u32>,
    loaded: Vec<u32>,
}

impl Warmup {
    /// Takes the blocks (numbers below `blocks`) in the order given, each with the ancestors that are not in yet, root first; a
    /// chain that does not fit is skipped and the next one is tried, until `budget` blocks are in. What is resident already is
    /// neither loaded nor counted. Returns them in the order of loading.
    ///
    /// O(blocks looked at + blocks loaded), and for each chain that does not fit as many steps as there is room left.
    pub fn fill(
        &mut self,
        blocks: usize,
        order: impl Iterator<Item = u32>,
        budget: u64,
        parent: impl Fn(u32) -> Option<u32>,
        resident: impl Fn(u32) -> bool,
    ) -> &[u32] {
        self.loaded_in.resize(blocks.max(self.loaded_in.len()), 0);
        self.plan += 1;
        let (plan, loaded_in) = (self.plan, &mut self.loaded_in);
        let lacks = |loaded_in: &[u32], block: u32| {
            loaded_in.get(block as usize).is_some_and(|&loaded| loaded != plan) && !resident(block)
        };
        self.loaded.clear();
        let mut room = usize::try_from(budget).unwrap_or(usize::MAX);
        for block in order {
            if room == 0 {
                break;
            }
            self.chain.clear();
            let mut at = Some(block).filter(|&block| lacks(loaded_in, block));
            while let Some(missing) = at.filter(|_| self.chain.len() <= room) {
                self.chain.push(missing);
                at = parent(missing).filter(|&parent| lacks(loaded_in, parent));
            }
            if self.chain.len() > room {
                continue;
            }
            room -= self.chain.len();
            while let Some(missing) = self.chain.pop() {
                loaded_in[missing as usize] = plan;
                self.loaded.push(missing);
            }
        }
        &self.loaded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills() {
        // Two chains from one root: 0 1 2 and 0 3 4; and 5 alone.
        let parents = [None, Some(0), Some(1), Some(0), Some(3), None];
        let mut warmup = Warmup::default();
        let mut check = |order: &[u32], budget, resident: &[u32], expect: &[u32]| {
            let parent = |block: u32| parents[block as usize];
            let loaded =
                warmup.fill(parents.len(), order.iter().copied(), budget, parent, |block| resident.contains(&block));
            assert_eq!(loaded, expect, "{order:?} into {budget} beside {resident:?}");
        };
        check(&[2, 4, 5], 6, &[], &[0, 1, 2, 3, 4, 5]);
        check(&[2, 4, 5], 4, &[], &[0, 1, 2, 5]);
        check(&[2, 5, 3], 2, &[], &[5]);
        check(&[2, 3, 0], 2, &[], &[0, 3]);
        check(&[4, 0, 3, 4], u64::MAX, &[], &[0, 3, 4]);
        check(&[4, 5], 0, &[], &[]);
        // What is resident closes chains and costs nothing.
        check(&[2, 4, 0], 2, &[0], &[1, 2]);
        check(&[0, 4], 2, &[0, 3], &[4]);
    }
}
