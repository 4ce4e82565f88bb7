//! What can be wrong with plain data.

use thiserror::Error;

/// Why an event is refused. `field` is the name it has in the native JSON format.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum EventError {
    /// A required string is empty.
    #[error("field `{field}`: must not be empty")]
    Empty {
        /// Native name of the field.
        field: &'static str,
    },
    /// An integer is larger than the field can hold.
    #[error("field `{field}`: {value} is larger than {max}")]
    TooLarge {
        /// Native name of the field.
        field: &'static str,
        /// What was given.
        value: u64,
        /// The largest accepted value.
        max: u64,
    },
    /// `latency_ms` is not a finite number of at least zero.
    #[error("field `latency_ms`: {value} is not a finite number of at least 0")]
    Latency {
        /// What was given.
        value: f64,
    },
    /// `page_end` is before `page_start`.
    #[error("field `page_end`: {end} is less than page_start {start}")]
    PageRange {
        /// First page.
        start: u32,
        /// Last page.
        end: u32,
    },
    /// A prefix names itself as its parent.
    #[error("field `parent_id`: a prefix cannot be its own parent")]
    SelfParent,
    /// A string is longer than an index can hold (16 MiB).
    #[error("field `{field}`: {bytes} bytes, the longest id is {max}")]
    TooLong {
        /// Native name of the field.
        field: &'static str,
        /// Its length in bytes.
        bytes: usize,
        /// The longest accepted length in bytes.
        max: usize,
    },
}

/// Why a list of half-lives is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LadderError {
    /// Not a duration such as `500ms`, `90s`, `5m`, `6h` or `30d`.
    #[error("`{text}` is not a duration: expected a number and ms, s, m, h or d, as in `5m`")]
    Duration {
        /// What was given.
        text: String,
    },
    /// No half-life, or more than [`MAX_RUNGS`](crate::MAX_RUNGS).
    #[error("{count} half-lives: an index keeps 1 to {max}")]
    Count {
        /// How many were given.
        count: usize,
        /// How many are possible.
        max: usize,
    },
    /// A half-life of zero, or longer than ten years.
    #[error("half-life of {half_life_ms} ms: must be at least 1 ms and at most ten years")]
    OutOfRange {
        /// The half-life in milliseconds.
        half_life_ms: u64,
    },
    /// The half-lives are not strictly ascending.
    #[error("half-lives must be given in ascending order without repeats")]
    Order,
    /// A half-life that the index does not keep.
    #[error("this index keeps no half-life of {asked}; it keeps {kept}")]
    Unknown {
        /// What was asked for, as a duration.
        asked: String,
        /// What there is, as a comma-separated list.
        kept: String,
    },
}

/// Why an index specification is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SpecError {
    /// Two parts that should make one index were made with different settings.
    #[error("{what} differ: {left} and {right}")]
    Mismatch {
        /// Which setting.
        what: &'static str,
        /// Its value on one side.
        left: String,
        /// Its value on the other.
        right: String,
    },
    /// Not the name of a utility.
    #[error("`{text}` is not a utility: expected hits, bytes or latency")]
    Utility {
        /// What was given.
        text: String,
    },
}
