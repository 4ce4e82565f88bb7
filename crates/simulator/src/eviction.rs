//! The one list of eviction policies: what a full tier drops.
//!
//! Help, documentation, tests and scenarios walk [`EVICTIONS`]. A new policy is one file and one line here. Blocks are dense
//! numbers of equal size, so the queues of a policy are vectors ([`Lists`]), not hash tables: a touch costs a few loads.
//!
//! LRU, FIFO, SIEVE and MIN are exact: the same references give the same hits in every correct implementation, and they are
//! compared with another one, libCacheSim. The others have parameters or ties that papers leave open; each file says
//! what it does.

mod arc;
mod fifo;
mod lfu;
mod lists;
mod lru;
mod min;
mod s3_fifo;
mod sieve;

pub use lru::Lru;

use crate::{SimulatorError, Trace};
use lists::Lists;

/// A tier that keeps some blocks and chooses which to drop.
pub trait Eviction {
    /// An empty tier.
    fn new(setup: &Setup<'_>) -> Self
    where
        Self: Sized;

    /// Whether a block is resident.
    fn holds(&self, block: u32) -> bool;

    /// A reference to a resident block.
    fn hit(&mut self, block: u32);

    /// Takes in a block that is not resident; another one may have to go.
    fn bring_in(&mut self, block: u32);

    /// A reference to a block: whether it is resident. If not, it is brought in.
    #[inline]
    fn touch(&mut self, block: u32) -> bool {
        let hit = self.holds(block);
        if hit {
            self.hit(block);
        } else {
            self.bring_in(block);
        }
        hit
    }

    /// Brings a block in that nobody asked for, as if it were touched; a resident block stays as it is.
    fn load(&mut self, block: u32) {
        if !self.holds(block) {
            self.bring_in(block);
        }
    }
}

/// What a tier is made for.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// Blocks it can hold. A tier of 0 never hits.
    pub capacity: u32,
    /// Block numbers are below this.
    pub blocks: u32,
    /// All references that will be made to it, in order. Only a policy that looks into the future reads them.
    pub references: &'a [u32],
}

/// An eviction policy, and what people are told of it.
#[derive(Debug)]
pub struct EvictionPolicy {
    /// What it is called on the command line and in reports.
    pub name: &'static str,
    /// One line for help texts.
    pub help: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    /// Whether it looks into the future: a bound, not a policy that anyone can run.
    pub clairvoyant: bool,
    make: fn(&Setup<'_>) -> Box<dyn Eviction>,
    replay: Replay,
}

type Replay = fn(&Trace, u32, Option<&[f64]>) -> Hits;

/// All eviction policies.
pub static EVICTIONS: &[EvictionPolicy] =
    &[lru::POLICY, fifo::POLICY, lfu::POLICY, s3_fifo::POLICY, sieve::POLICY, arc::POLICY, min::POLICY];

impl EvictionPolicy {
    /// An entry of the list.
    const fn new<E: Eviction + 'static>(
        name: &'static str,
        help: &'static str,
        source: &'static str,
    ) -> EvictionPolicy {
        let make = |setup: &Setup<'_>| -> Box<dyn Eviction> { Box::new(E::new(setup)) };
        EvictionPolicy { name, help, source, clairvoyant: false, make, replay: replay::<E> }
    }

    /// The policy of a name.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownEviction`] lists what there is.
    pub fn by_name(name: &str) -> Result<&'static EvictionPolicy, SimulatorError> {
        let known = || EVICTIONS.iter().map(|policy| policy.name).collect::<Vec<_>>().join(", ");
        let found = EVICTIONS.iter().find(|policy| policy.name == name);
        found.ok_or_else(|| SimulatorError::UnknownEviction { name: name.to_owned(), known: known() })
    }

    /// An empty tier with this policy.
    pub fn tier(&self, setup: &Setup<'_>) -> Box<dyn Eviction> {
        (self.make)(setup)
    }

    /// Sends a whole trace through one empty tier. `block_ms` says what each block spares, if that is to be summed.
    /// O(references), for MIN times a logarithm.
    pub fn replay(&self, trace: &Trace, capacity: u32, block_ms: Option<&[f64]>) -> Hits {
        (self.replay)(trace, capacity, block_ms)
    }
}

/// How many references found their block.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Hits {
    /// All references.
    pub references: u64,
    /// Those whose block was resident.
    pub blocks: u64,
    /// Those whose ancestors in the request were all resident, too: only these spare a prefill.
    pub prefixes: u64,
    /// Milliseconds spared by the latter.
    pub saved_ms: f64,
}

fn replay<E: Eviction>(trace: &Trace, capacity: u32, block_ms: Option<&[f64]>) -> Hits {
    let references = trace.references();
    let mut tier = E::new(&Setup { capacity, blocks: trace.unique_blocks() as u32, references });
    let mut hits = Hits { references: references.len() as u64, ..Hits::default() };
    for request in trace.requests() {
        let mut whole = true;
        for &block in request.blocks {
            let hit = tier.touch(block);
            whole &= hit;
            hits.blocks += u64::from(hit);
            hits.prefixes += u64::from(whole);
            if let Some(block_ms) = block_ms.filter(|_| whole) {
                hits.saved_ms += block_ms[block as usize];
            }
        }
    }
    hits
}
