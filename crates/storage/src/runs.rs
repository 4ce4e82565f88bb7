//! The runs of the memory table: small ranked segments on the heap, newest first for readers.
//!
//! Like the levels of a log-structured merge tree: as soon as there are [`FANOUT`] runs of one size class they become one. The
//! table holds the newest totals of all of them, so "merging" means ranking the union of their prefixes anew from the table.

use crate::{Segment, StorageError, TablePart};
use prefix_indexer_models::{IndexSpec, PrefixTable};
use std::sync::Arc;

/// Runs of a class that become one of the next.
const FANOUT: usize = 4;

#[derive(Default)]
pub(crate) struct Runs {
    /// Oldest, and as a rule largest, first.
    runs: Vec<Run>,
    /// By number of a prefix, the latest round of collecting numbers in which it was met.
    met: Vec<u32>,
    round: u32,
}

struct Run {
    segment: Arc<Segment>,
    numbers: Vec<u32>,
    class: u32,
}

impl Runs {
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.runs.iter().rev().map(|run| &run.segment)
    }

    /// Bytes of all segments.
    pub(crate) fn bytes(&self) -> usize {
        self.runs.iter().map(|run| run.segment.bytes() as usize + run.numbers.len() * 4).sum()
    }

    /// Makes a run of the prefixes with these numbers, repeats allowed, and empties the list. `fresh` of them no older
    /// run or segment holds.
    pub(crate) fn push(
        &mut self,
        spec: &IndexSpec,
        table: &PrefixTable,
        touched: &mut Vec<u32>,
        mut fresh: u64,
    ) -> Result<(), StorageError> {
        self.met.resize(table.len(), 0);
        self.round += 1;
        let mut numbers = Vec::with_capacity(touched.len());
        self.collect(touched, &mut numbers);
        touched.clear();
        let mut class = 0;
        // The classes that this run completes, at once: ranking only the final union.
        loop {
            let same = self.runs.iter().rev().take_while(|run| run.class <= class).count();
            if same + 1 < FANOUT {
                break;
            }
            for run in self.runs.split_off(self.runs.len() - same) {
                fresh += run.segment.fresh();
                self.collect(&run.numbers, &mut numbers);
            }
            class += 1;
        }
        let part = TablePart { table, numbers: Some(&numbers) };
        let segment = Arc::new(Segment::build(spec, &[part], fresh)?);
        self.runs.push(Run { segment, numbers, class });
        Ok(())
    }

    fn collect(&mut self, from: &[u32], into: &mut Vec<u32>) {
        for &number in from {
            if let Some(met) = self.met.get_mut(number as usize)
                && *met != self.round
            {
                *met = self.round;
                into.push(number);
            }
        }
    }
}
