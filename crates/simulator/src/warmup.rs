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
    /// fit is skipped and the next one is tried, until `budget` blocks are in. What is resident already is neither loaded
    /// nor counted. Returns them in the order of loading.
    ///
    /// O(blocks looked at + blocks loaded), and for each chain that does not fit as many steps as there is room left.
    pub(crate) fn fill(
        &mut self,
        trace: &Trace,
        order: impl Iterator<Item = u32>,
        budget: u64,
        resident: impl Fn(u32) -> bool,
    ) -> &[u32] {
        self.plan += 1;
        let (plan, loaded_in) = (self.plan, &mut self.loaded_in);
        let lacks = |loaded_in: &[u32], block: u32| loaded_in[block as usize] != plan && !resident(block);
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
                at = trace.parent(missing).filter(|&parent| lacks(loaded_in, parent));
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
    use crate::TraceBuilder;
    use prefix_indexer_models::{EventBatch, PrefixEvent};

    /// Two chains from one root: 0 1 2 and 0 3 4; and 5 alone.
    fn trace() -> Trace {
        let event = |(time, id, parent): (u64, &str, Option<&str>)| PrefixEvent {
            prefix_id: id.to_owned(),
            tenant: "t".to_owned(),
            model_id: "m".to_owned(),
            timestamp_ms: time,
            parent_id: parent.map(str::to_owned),
            ..PrefixEvent::default()
        };
        let chains = [(0, "0", None), (0, "1", Some("0")), (0, "2", Some("1"))];
        let others = [(1, "0", None), (1, "3", Some("0")), (1, "4", Some("3")), (2, "5", None)];
        let mut builder = TraceBuilder::new();
        builder.push(&chains.into_iter().chain(others).map(event).collect::<EventBatch>()).unwrap();
        builder.finish()
    }

    #[test]
    fn fills() {
        let trace = trace();
        let mut warmup = Warmup::new(trace.unique_blocks());
        let mut check = |order: &[u32], budget, resident: &[u32], expect: &[u32]| {
            let loaded = warmup.fill(&trace, order.iter().copied(), budget, |block| resident.contains(&block));
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
