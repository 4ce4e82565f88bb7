//! Hits by size of the tier and slice of time, and sums over slices that were drawn.

use super::{Estimate, Options};
use crate::{Trace, bootstrap::interval, rng::Rng, scenarios::scale_out, stack::StackDistances};

/// Slices of time that are drawn.
const SLICES: usize = 50;
/// Draws of the bootstrap.
const DRAWS: usize = 1_000;
/// Neighbouring sizes are at most so many times as large as each other, or one block apart.
const GROWTH: f64 = 1.01;

/// Hits of tiers of some sizes, slice after slice, size after size.
pub(super) struct Curves {
    /// Blocks, ascending; the last tier holds everything.
    pub(super) sizes: Vec<u64>,
    /// References, by slice.
    references: Vec<f64>,
    /// Block hits.
    pub(super) blocks: Vec<f64>,
    /// Prefix hits.
    pub(super) prefixes: Vec<f64>,
    /// Milliseconds that the latter spare.
    pub(super) saved_ms: Vec<f64>,
}

impl Curves {
    pub(super) fn new(trace: &Trace, options: &Options, asked: &[u64], block_ms: Option<&[f64]>) -> Curves {
        let sizes = sizes(trace.unique_blocks() as u64, asked);
        let cells = vec![0.0; SLICES * sizes.len()];
        let (blocks, prefixes, saved_ms) = (cells.clone(), cells.clone(), cells);
        let mut curves = Curves { sizes, references: vec![0.0; SLICES], blocks, prefixes, saved_ms };
        let replicas = options.replicas.max(1);
        for replica in 0..replicas {
            curves.count(trace, block_ms, |index| {
                replicas == 1 || scale_out::replica(&trace.request(index), replicas, options.seed) == replica
            });
        }
        for cells in [&mut curves.blocks, &mut curves.prefixes, &mut curves.saved_ms] {
            for slice in cells.chunks_mut(curves.sizes.len()) {
                for size in 1..slice.len() {
                    slice[size] += slice[size - 1];
                }
            }
        }
        curves
    }

    /// Sends the requests of one replica through its tiers. Each hit is counted at the smallest size that has it.
    fn count(&mut self, trace: &Trace, block_ms: Option<&[f64]>, serves: impl Fn(usize) -> bool) {
        let (first_ms, last_ms) = trace.span_ms().unwrap_or_default();
        let span_ms = u128::from(last_ms - first_ms) + 1;
        let mut stack = StackDistances::new(trace.unique_blocks());
        for request in trace.requests().filter(|request| serves(request.index)) {
            let slice = (u128::from(request.time_ms - first_ms) * SLICES as u128 / span_ms) as usize;
            // The smallest tier that has all of the request up to here; none once a block is new.
            let mut whole = Some(0);
            for &block in request.blocks {
                self.references[slice] += 1.0;
                let Some(distance) = stack.touch(block) else {
                    whole = None;
                    continue;
                };
                let size = self.sizes.partition_point(|&size| size <= u64::from(distance));
                let cell = |size: usize| slice * self.sizes.len() + size;
                self.blocks[cell(size)] += 1.0;
                whole = whole.map(|smallest: usize| smallest.max(size));
                if let Some(smallest) = whole {
                    self.prefixes[cell(smallest)] += 1.0;
                    self.saved_ms[cell(smallest)] += block_ms.map_or(0.0, |block_ms| block_ms[block as usize]);
                }
            }
        }
    }

    /// Place of a size that was asked for.
    pub(super) fn place(&self, blocks: u64) -> usize {
        self.sizes.partition_point(|&size| size < blocks)
    }

    /// A count at one size, summed over slices.
    pub(super) fn sum(&self, cells: &[f64], size: usize, slices: &[u8]) -> f64 {
        slices.iter().map(|&slice| cells[usize::from(slice) * self.sizes.len() + size]).sum()
    }

    /// The same over the references of those slices; 0 without any.
    pub(super) fn ratio(&self, cells: &[f64], size: usize, slices: &[u8]) -> f64 {
        let references = self.references(slices);
        if references > 0.0 { self.sum(cells, size, slices) / references } else { 0.0 }
    }

    fn references(&self, slices: &[u8]) -> f64 {
        slices.iter().map(|&slice| self.references[usize::from(slice)]).sum()
    }

    /// Place of the smallest size with the largest rest after each block has cost so many references (as a share of all): from
    /// there on no growth brings as much as it costs.
    pub(super) fn worth(&self, cost: f64, slices: &[u8]) -> usize {
        let references = self.references(slices);
        let mut rests: Vec<f64> = self.sizes.iter().map(|&size| -cost * size as f64 * references).collect();
        for &slice in slices {
            let hits = &self.prefixes[usize::from(slice) * self.sizes.len()..][..self.sizes.len()];
            rests.iter_mut().zip(hits).for_each(|(rest, hits)| *rest += hits);
        }
        (1..rests.len()).fold(0, |best, size| if rests[size] > rests[best] { size } else { best })
    }
}

/// The sizes that were asked for, and others so near to each other that it makes no difference.
fn sizes(unique: u64, asked: &[u64]) -> Vec<u64> {
    let grown =
        |&size: &u64| Some(((size as f64 * GROWTH) as u64).max(size + 1).min(unique)).filter(|&next| next > size);
    let mut sizes: Vec<u64> = std::iter::successors(Some(0), grown).chain(asked.iter().copied()).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// Slices drawn with replacement, again and again.
pub(super) struct Draws(Vec<u8>);

impl Draws {
    pub(super) fn new(seed: u64) -> Draws {
        let mut rng = Rng::new(seed);
        Draws((0..DRAWS * SLICES).map(|_| rng.below(SLICES as u64) as u8).collect())
    }

    /// The trace as it was.
    pub(super) fn each_once() -> [u8; SLICES] {
        std::array::from_fn(|slice| slice as u8)
    }

    /// What comes out of the trace, and of the draws.
    pub(super) fn estimate(&self, of: impl Fn(&[u8]) -> f64) -> Estimate {
        let value = of(&Draws::each_once());
        let (low, high) = interval(self.0.chunks(SLICES).map(&of));
        Estimate { value, low: low.unwrap_or(value), high: high.unwrap_or(value) }
    }
}
