//! What can go wrong with a trace, and where.

use prefix_indexer_models::EventError;
use std::{borrow::Cow, fmt, io, sync::Arc};
use thiserror::Error;

/// Why a trace cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TraceError {
    /// An input that is not there, or a pattern that matches nothing.
    #[error("{input}: no such file")]
    NoMatch {
        /// What was given.
        input: String,
    },
    /// Not a pattern of file names.
    #[error("{input}: not a pattern: {reason}")]
    Pattern {
        /// What was given.
        input: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The system refused an operation on a file.
    #[error("{file}: {action}: {source}")]
    Io {
        /// Which file.
        file: Arc<str>,
        /// What was being done, as in `cannot open`.
        action: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A file that breaks off or stops making sense within its compression.
    #[error("{file}: {codec} data broken after {offset} decompressed bytes ({lines} lines): {source}")]
    Compression {
        /// Which file.
        file: Arc<str>,
        /// Name of the compression.
        codec: &'static str,
        /// Bytes that could be decompressed.
        offset: u64,
        /// Complete lines in them.
        lines: u64,
        /// What is wrong with the next one.
        source: io::Error,
    },
    /// A line that no event can have.
    #[error("{file}:{line}: line longer than {max} bytes")]
    LineTooLong {
        /// Which file.
        file: Arc<str>,
        /// Number of the line, from 1.
        line: u64,
        /// The longest accepted line in bytes.
        max: usize,
    },
    /// A line that is not a valid event, where bad lines are not accepted.
    #[error("{0}")]
    BadLine(Box<BadLine>),
    /// Not the name of a format.
    #[error("`{name}` is not a format: expected auto, {known}")]
    UnknownFormat {
        /// What was given.
        name: String,
        /// What there is.
        known: String,
    },
    /// A file of none of the known formats.
    #[error("{file}:{line}: not a trace in any known format ({known}); name one if it is")]
    Unrecognised {
        /// Which file.
        file: Arc<str>,
        /// The line that was looked at.
        line: u64,
        /// What it was compared with.
        known: String,
    },
    /// A combination that cannot work.
    #[error("{file}: {reason}")]
    Unsupported {
        /// Which file.
        file: Arc<str>,
        /// What cannot be done with it.
        reason: &'static str,
    },
    /// A Parquet file whose columns are not those of events.
    #[error("{file}: column `{column}`: {reason}")]
    Column {
        /// Which file.
        file: Arc<str>,
        /// Which column.
        column: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A Parquet file that cannot be decoded.
    #[error("{file}: after row {row}: {reason}")]
    Parquet {
        /// Which file.
        file: Arc<str>,
        /// Rows before the trouble.
        row: u64,
        /// What the decoder says.
        reason: String,
    },
}

/// A line (or row) that is not a valid event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// File as it was given, or `standard input`.
    pub file: Arc<str>,
    /// Number of the line or row, from 1.
    pub line: u64,
    /// Field that is wrong, if it is one.
    pub field: Option<&'static str>,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if let Some(field) = self.field {
            write!(f, "field `{field}`: ")?;
        }
        f.write_str(&self.reason)
    }
}

/// What is wrong with one line, before anybody says which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) field: Option<&'static str>,
    pub(crate) reason: Cow<'static, str>,
}

impl Fault {
    pub(crate) fn new(field: &'static str, reason: impl Into<Cow<'static, str>>) -> Fault {
        Fault { field: Some(field), reason: reason.into() }
    }

    pub(crate) fn line(reason: impl Into<Cow<'static, str>>) -> Fault {
        Fault { field: None, reason: reason.into() }
    }

    pub(crate) fn missing(field: &'static str) -> Fault {
        Fault::new(field, "missing")
    }
}

impl From<EventError> for Fault {
    fn from(error: EventError) -> Fault {
        match error {
            EventError::Empty { field } => Fault::new(field, "must not be empty"),
            EventError::TooLarge { field, value, max } => Fault::new(field, format!("{value} is larger than {max}")),
            EventError::Latency { value } => {
                Fault::new("latency_ms", format!("{value} is not a finite number of at least 0"))
            }
            EventError::PageRange { start, end } => {
                Fault::new("page_end", format!("{end} is less than page_start {start}"))
            }
            EventError::SelfParent => Fault::new("parent_id", "a prefix cannot be its own parent"),
            EventError::TooLong { field, bytes, max } => {
                Fault::new(field, format!("{bytes} bytes, the longest id is {max}"))
            }
            other => Fault::line(other.to_string()),
        }
    }
}
