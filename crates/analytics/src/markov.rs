//! What comes next, given what came before: a Markov chain of variable order.
//!
//! [`Markov`] counts, for each context of up to four symbols, what followed it. A prediction starts from the symbols'
//! plain frequencies and corrects them by ever longer contexts, each with the weight that its evidence deserves:
//! p(x | context) = (n(x) + d x p(x | shorter context)) / (n + d), where n counts what followed the context and d how many different
//! symbols did (interpolated Witten-Bell smoothing: Bell, Cleary and Witten's PPM method C; "The zero-frequency problem", 1991;
//! Chen and Goodman compare the kinds, 1998). What is left of the probability is for symbols never seen.
//!
//! Counts decay with the observations made since, so habits that change are followed; and there are never more than a
//! set number of them: the contexts with the least decayed evidence go first, of those who have more than their share.
//!
//! [`PrefixMarkov`] applies it to requests, apart for each tenant and along each session, with runs of blocks that only ever
//! follow each other as one symbol.

mod contexts;
mod lists;
mod prefixes;
mod runs;
mod shares;

pub use prefixes::PrefixMarkov;
pub use runs::Runs;
pub use shares::{Claim, beyond_share};

use contexts::Contexts;
use prefix_indexer_models::{KeyPolicy, PrefixKey};
use serde::{Deserialize, Serialize};

/// Longest context there is.
pub const MAX_ORDER: usize = 4;

/// How far a predictor looks back, and what it may keep.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MarkovConfig {
    /// Symbols in the longest context, 1 to [`MAX_ORDER`] (more count as that, 0 as 1). 3 unless set.
    pub order: usize,
    /// Observations after which a count is worth half. 100,000 unless set; at least 1.
    pub half_life: u32,
    /// Most pairs of a context and a symbol after it, each some 60 bytes. 200,000 unless set.
    pub max_pairs: usize,
    /// Most different symbols after one context; with more, the one with the least evidence goes. 64 unless set; at least 1.
    pub max_successors: usize,
    /// Most sessions whose last symbols are remembered; the one that was silent longest goes. 10,000 unless set.
    pub max_sessions: usize,
}

impl Default for MarkovConfig {
    fn default() -> MarkovConfig {
        MarkovConfig { order: 3, half_life: 100_000, max_pairs: 200_000, max_successors: 64, max_sessions: 10_000 }
    }
}

impl MarkovConfig {
    fn order(&self) -> usize {
        self.order.clamp(1, MAX_ORDER)
    }
}

/// Predicts the next symbol of sequences.
///
/// ```
/// use prefix_indexer_analytics::{Markov, MarkovConfig};
/// let mut markov = Markov::new(MarkovConfig::default());
/// markov.fit([["tea", "milk", "cake"], ["tea", "milk", "cake"], ["tea", "lemon", "cake"]]);
/// let next = markov.predict(&["tea"], 1);
/// assert_eq!(next[0].0, "milk");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound(serialize = "S: Serialize", deserialize = "S: Deserialize<'de> + Ord + Clone"))]
pub struct Markov<S> {
    contexts: Contexts<S>,
}

impl<S: Ord + Clone> Default for Markov<S> {
    fn default() -> Markov<S> {
        Markov::new(MarkovConfig::default())
    }
}

impl<S: Ord + Clone> Markov<S> {
    /// A predictor that has seen nothing.
    pub fn new(config: MarkovConfig) -> Markov<S> {
        Markov { contexts: Contexts::new(config) }
    }

    /// Learns from whole sequences, in the order given.
    pub fn fit<Q: AsRef<[S]>>(&mut self, sequences: impl IntoIterator<Item = Q>) {
        for sequence in sequences {
            let sequence = sequence.as_ref();
            for (position, next) in sequence.iter().enumerate() {
                self.observe(&sequence[..position], next);
            }
        }
    }

    /// Learns that `next` followed `context` (oldest symbol first; its last symbols count). Some microseconds.
    pub fn observe(&mut self, context: &[S], next: &S) {
        self.contexts.observe(NOBODY, context, next);
    }

    /// The `count` most probable symbols after `context`, most probable first, with their probabilities, which add up to at most 1. Ties
    /// go to the smaller symbol.
    pub fn predict(&self, context: &[S], count: usize) -> Vec<(S, f64)> {
        self.contexts.predict(NOBODY, context, count)
    }

    /// Pairs of a context and a symbol that are kept.
    pub fn pairs(&self) -> usize {
        self.contexts.pairs()
    }
}

/// Whose counts: a digest of a tenant, or of a session of one, that nobody can forge.
type Scope = [u8; 16];

const NOBODY: Scope = [0; 16];

fn scope(tenant: &str, session: &str) -> Scope {
    PrefixKey::new(KeyPolicy::default(), tenant, "", session, 0, 0).0
}
