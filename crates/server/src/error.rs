//! Why the service does not start, or ends.

use prefix_indexer::ServiceError;
use std::{io, path::PathBuf};
use thiserror::Error;

/// Why the service does not start, or ends with a failure.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which one.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// Other machines could connect, and nobody says who may do what.
    #[error("{address} can be reached from other machines: that needs a file of tokens ([server] tokens)")]
    NeedsTokens {
        /// Where it was to listen.
        address: String,
    },
    /// A file that the configuration names cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file of tokens is not what it should be.
    #[error("{}: {reason}", path.display())]
    Tokens {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Certificate and key are not what TLS needs.
    #[error("{}: {reason}", path.display())]
    Tls {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A setting that cannot be.
    #[error("[server] {key}: {reason}")]
    Setting {
        /// Which one.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The system gives no threads, timers or signals.
    #[error("cannot start the runtime: {0}")]
    Runtime(#[source] io::Error),
    /// The index could not be flushed at the end. What was acknowledged is in its log.
    #[error(transparent)]
    Index(#[from] ServiceError),
}
