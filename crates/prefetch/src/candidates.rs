//! What a block prefetcher asks of an index: a small trait, so that it needs to know no index.

use crate::{Evidence, PrefetchError};
use prefix_indexer_analytics::{NextLimits, Presence};
use prefix_indexer_models::{PrefixKey, PrefixRecommendation};

/// A question for the next blocks of a ranking.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ask<'a> {
    /// Name of the scoring policy.
    pub policy: &'a str,
    /// The model being served, whose blocks some policies favour.
    pub active_model: Option<&'a str>,
    /// Now, in milliseconds; a source whose newest event is later takes that.
    pub now_ms: u64,
    /// How far ahead a use counts where scores are probabilities, in milliseconds.
    pub horizon_ms: u64,
    /// How many, and how far to look.
    pub limits: NextLimits,
    /// Blocks of a lower score are left out.
    pub min_score: f64,
}

/// A block to load.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Which one.
    pub key: PrefixKey,
    /// Its names and statistics; `score` is what the policy gave it, or gave the block that needs it.
    pub block: PrefixRecommendation,
}

/// The answer to an [`Ask`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Candidates {
    /// In the order of loading: best first, a parent before what extends it.
    pub chosen: Vec<Candidate>,
    /// Rows of the ranking that were looked at.
    pub scored: usize,
    /// Rows that were resident.
    pub resident: usize,
    /// Rows that are gone, or extend one that is.
    pub gone: usize,
}

/// The newest use of a block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlockUse {
    /// Which block.
    pub key: PrefixKey,
    /// When it was used last.
    pub at_ms: u64,
    /// When it was used first.
    pub first_ms: u64,
    /// What a use of it costs where it is not there, in milliseconds; 0 where nobody knows.
    pub latency_ms: f64,
}

/// Where candidates come from: an index.
pub trait CandidateSource: Send + Sync {
    /// The next blocks down the ranking that are not there, by `presence`.
    ///
    /// # Errors
    /// [`PrefetchError::Source`], for an unknown policy too.
    fn next(&self, ask: &Ask<'_>, presence: &dyn Fn(&PrefixKey) -> Presence) -> Result<Candidates, PrefetchError>;

    /// The blocks used after `since_ms`, newest use first, at most `limit`.
    ///
    /// # Errors
    /// [`PrefetchError::Source`].
    fn used_since(&self, since_ms: u64, limit: usize) -> Result<Vec<BlockUse>, PrefetchError>;

    /// What became of loaded blocks, as far as anybody has told the index: sums since it was made, all zero where nobody does.
    ///
    /// # Errors
    /// [`PrefetchError::Source`].
    fn reported(&self) -> Result<Evidence, PrefetchError>;
}
