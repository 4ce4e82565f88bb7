//! What to load: the most expected saving that fits a byte budget.
//!
//! A block of a prompt is of use only with everything before it, so what may be loaded together is a set of blocks that is
//! *closed under ancestors*: a knapsack with precedence on a forest. [`choose`] solves it in three steps.
//!
//! 1. *Sidney's decomposition* merges densities (saving a byte) up the trees: a block that is worth more than what it stands on
//!    is loaded together with it, as one segment. Segments, densest first, never come before their ancestors, and every
//!    prefix of their sequence is the best closed set of its size (Sidney 1975; Horn 1972 for trees; Ibarra and Kim 1978
//!    for the knapsack). O(n log n).
//! 2. The sequence is taken as far as it fits, then filled up with what still does.
//! 3. Around the place where the budget ends, where taking the densest first goes wrong, the blocks are chosen exactly. An
//!    instance of up to 64 blocks is solved exactly as a whole.
//!
//! Everything is a pure function of its arguments, ties included: they go to the block that was given first.

mod exact;
mod forest;
mod greedy;
mod sidney;

use forest::Forest;
use greedy::Room;

/// Sums of the same numbers in another order differ by less than this share.
const ROUNDING: f64 = 1e-9;

/// One block that may be loaded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Block {
    /// What it extends.
    pub parent: Parent,
    /// What loading it takes.
    pub bytes: u64,
    /// Milliseconds that having it is expected to save; at least 0.
    pub saving_ms: f64,
    /// Milliseconds of computing it instead of loading it; none where nobody knows.
    pub recompute_ms: Option<f64>,
    /// Whether it is there already. It takes no bytes, and where all that it extends is there too it counts for nothing.
    pub resident: bool,
    /// Which of [`Limits::quotas`] it counts against.
    pub quota: Option<u32>,
}

/// What a block extends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// Nothing, or what is resident anyway.
    None,
    /// Another block, by its number.
    Block(u32),
    /// Something that cannot be loaded; so the block is of no use.
    Unknown,
}

/// What a plan has to keep to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Limits {
    /// All blocks together, in bytes.
    pub bytes: u64,
    /// Bytes a second at which blocks are loaded. Blocks that are computed faster than that are left out.
    pub bytes_per_second: Option<f64>,
    /// Most bytes of the blocks of each quota.
    pub quotas: Vec<u64>,
}

/// What to load.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Numbers of blocks in the order of loading: each behind what it extends, the densest first.
    pub blocks: Vec<u32>,
    /// Blocks left out because something that they extend is unknown, or because they extend each other in a circle.
    pub unreachable: usize,
    /// Blocks left out because computing them (and what extends them) takes less time than loading.
    pub recomputed: usize,
}

/// The set of blocks with the most expected saving, as far as is known: closed under ancestors, within the limits.
///
/// O(n log n) in the number of blocks, and at most some milliseconds more for the exact part.
pub fn choose(blocks: &[Block], limits: &Limits) -> Selection {
    let mut forest = Forest::new(blocks);
    let unreachable = blocks.len() - forest.len();
    let recomputed = limits.bytes_per_second.map_or(0, |rate| forest.leave_recomputed(blocks, rate));
    let room = Room::new(limits);
    let (mut chosen, sequence) = greedy::fill(&forest, Vec::new(), &room);
    if let Some(exact) = exact::around_the_end(&forest, &sequence.nodes, &room) {
        let (exact, _) = greedy::fill(&forest, exact, &room);
        if exact.saving > chosen.saving * (1.0 + ROUNDING) {
            chosen = exact;
        }
    }
    let order = sidney::sequence(&forest, |node| chosen.nodes[node as usize]).nodes;
    let blocks = order.into_iter().filter(|&node| !forest.is_resident(node)).map(|node| forest.block(node)).collect();
    Selection { blocks, unreachable, recomputed }
}
