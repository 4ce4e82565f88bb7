//! What can be wrong with a trace or a question.

use prefix_indexer_analytics::policies::PolicyError;
use prefix_indexer_models::LadderError;
use prefix_indexer_traces::TraceError;
use thiserror::Error;

/// Why something cannot be simulated.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SimulatorError {
    /// More of something than the dense 32-bit numbers of a [`Trace`](crate::Trace) can count.
    #[error("the trace has more than {max} {what}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How many there may be.
        max: u64,
    },
    /// Not a share.
    #[error("`{text}` is not a share: expected a percentage from 0% to 100%, as in 5% or 2.5%")]
    Share {
        /// What was given.
        text: String,
    },
    /// Not a list of shares.
    #[error("`{text}` is not a range of shares: expected FROM..TO/STEP with FROM at most TO, as in 40%..80%/1%")]
    Range {
        /// What was given.
        text: String,
    },
    /// Not a number of blocks.
    #[error("`{text}` is not a capacity: expected a number of blocks, or a percentage of the trace's unique blocks")]
    Capacity {
        /// What was given.
        text: String,
    },
    /// Not an eviction policy.
    #[error("`{name}` is not an eviction policy: expected one of {known}")]
    UnknownEviction {
        /// What was given.
        name: String,
        /// What there is.
        known: String,
    },
    /// An eviction policy where it cannot be used.
    #[error("eviction `{name}` looks into the future, which only works for a tier that is filled by requests alone")]
    Clairvoyant {
        /// Its name.
        name: &'static str,
    },
    /// A trace that cannot be read.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// Half-lives that make no ladder.
    #[error(transparent)]
    Ladder(#[from] LadderError),
    /// Not a scoring policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}
