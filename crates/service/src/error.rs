//! What can go wrong between a caller and the index.

use prefix_indexer_models::EventBatch;
use prefix_indexer_storage::StorageError;
use std::{io, path::PathBuf, sync::Arc};
use thiserror::Error;

/// Why the service fails.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The index failed. Shared, because one failed write answers every batch of its group.
    #[error(transparent)]
    Storage(Arc<StorageError>),
    /// The trace failed.
    #[error(transparent)]
    Trace(#[from] prefix_indexer_traces::TraceError),
    /// The system refused an operation on a file that is not part of the index.
    #[error("{}: {action}: {source}", path.display())]
    File {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The table for a Parquet file could not be written.
    #[error("{}: {reason}", path.display())]
    Parquet {
        /// Which file.
        path: PathBuf,
        /// What the writer said.
        reason: String,
    },
    /// A side file of the index is not what this program writes.
    #[error("side file `{name}`: {reason}")]
    SideFile {
        /// Which one.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such policy.
    #[error(transparent)]
    Policy(#[from] prefix_indexer_analytics::policies::PolicyError),
    /// A plan was asked for within limits that make no sense.
    #[error("no plan can be made: {reason}")]
    Plan {
        /// Why not.
        reason: String,
    },
    /// A feedback file has a bad line.
    #[error("{}: {source}", path.display())]
    Feedback {
        /// Which file.
        path: PathBuf,
        /// Which line, and why.
        source: crate::FeedbackError,
    },
    /// The ingestion thread has ended; why was said to whoever waited for it.
    #[error("the index is closed")]
    Closed,
}

impl From<StorageError> for ServiceError {
    fn from(error: StorageError) -> ServiceError {
        ServiceError::Storage(Arc::new(error))
    }
}

/// A batch that was not taken, given back.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TryIngestError {
    /// The queue is full: try again later.
    #[error("the ingestion queue is full")]
    Full(EventBatch),
    /// The index is closed.
    #[error("the index is closed")]
    Closed(EventBatch),
}

impl TryIngestError {
    /// The batch, unchanged.
    pub fn into_batch(self) -> EventBatch {
        match self {
            TryIngestError::Full(batch) | TryIngestError::Closed(batch) => batch,
        }
    }
}
