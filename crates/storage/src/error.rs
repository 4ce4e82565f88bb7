//! What can go wrong with an index.

use prefix_indexer_models::{LadderError, SpecError};
use std::{io, path::PathBuf};
use thiserror::Error;

/// Why a store refuses or fails.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The system refused an operation on a file.
    #[error("{}: {action}: {source}", path.display())]
    Io {
        /// What was being done, as in `cannot write`.
        action: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Bytes that are not what was once written.
    #[error("{}: corrupt at byte {offset}: {what}", path.display())]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// Where, in bytes from its start.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// A file of a format version that this program does not know.
    #[error("{}: format version {found}; this program reads versions {} to {}", path.display(), known.0, known.1)]
    Version {
        /// Which file.
        path: PathBuf,
        /// The version it has.
        found: u32,
        /// Oldest and newest known version.
        known: (u32, u32),
    },
    /// Another process writes to the index.
    #[error("{}: another process is writing to this index", path.display())]
    Locked {
        /// The index directory.
        path: PathBuf,
    },
    /// There is no index.
    #[error("{}: no index here", path.display())]
    Absent {
        /// The directory that was looked in.
        path: PathBuf,
    },
    /// The index was made with other settings than asked for.
    #[error("this index was made with other settings: {0}")]
    Spec(#[from] SpecError),
    /// A half-life that the index does not keep.
    #[error(transparent)]
    Ladder(#[from] LadderError),
    /// More than the format can hold.
    #[error("{what}: {count} is more than a segment can hold ({max})")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much.
        count: u64,
        /// The most that is possible.
        max: u64,
    },
    /// Not the name of a kind of store.
    #[error("`{name}` is not a kind of store: expected {known}")]
    UnknownKind {
        /// What was given.
        name: String,
        /// What there is.
        known: String,
    },
    /// Not a name for a side file.
    #[error("`{name}` cannot name a side file: expected 1 to 64 of a-z, 0-9, - and _")]
    SideName {
        /// What was given.
        name: String,
    },
    /// The learned state of a follower cannot be read or written.
    #[error("learned state `{name}`: {reason}")]
    Follower {
        /// Name of its side file.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// An earlier failure left it unknown what is on disk; opening the index again finds out.
    #[error("{what}; open the index again")]
    Halted {
        /// What failed.
        what: String,
    },
}
