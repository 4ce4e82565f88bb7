//! What can go wrong.

use std::{error::Error, sync::Arc, time::Duration};
use thiserror::Error;

/// Why something was not prefetched, or cannot be set up.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum PrefetchError {
    /// The fetcher failed.
    #[error("fetch failed: {0}")]
    Failed(#[source] Arc<dyn Error + Send + Sync>),
    /// The fetcher panicked.
    #[error("the fetcher panicked: {0}")]
    Panicked(Arc<str>),
    /// The fetch took longer than it may.
    #[error("not fetched within {0:?}")]
    TimedOut(Duration),
    /// The place to fetch from, or to store in, does not answer.
    #[error("no tier that has it answers")]
    Unavailable,
    /// It was fetched, and not taken in.
    #[error("fetched, but not stored: {0}")]
    NotStored(#[source] Arc<dyn Error + Send + Sync>),
    /// The pool was stopped first.
    #[error("called off")]
    Cancelled,
    /// A thread of an asynchronous runtime must not wait for a fetch.
    #[error("a fetch waits, and must not be called on a thread of an asynchronous runtime")]
    InsideRuntime,
    /// Where candidates come from failed.
    #[error("cannot rank candidates: {0}")]
    Source(#[source] Arc<dyn Error + Send + Sync>),
    /// A key template that cannot be read.
    #[error("key template, at character {position}: {what}")]
    Template {
        /// Character, from 1.
        position: usize,
        /// What is wrong there.
        what: String,
    },
    /// A setting that makes no sense.
    #[error("[prefetch] {field}: {what}")]
    Config {
        /// The setting.
        field: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// A thread that cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] Arc<std::io::Error>),
}

impl PrefetchError {
    /// A failure of a fetcher; for those who write one.
    pub fn failed(source: impl Error + Send + Sync + 'static) -> PrefetchError {
        PrefetchError::Failed(Arc::new(source))
    }

    /// A failure of a source of candidates; for those who write one.
    pub fn source_failed(source: impl Error + Send + Sync + 'static) -> PrefetchError {
        PrefetchError::Source(Arc::new(source))
    }

    /// Whether the same fetch may succeed a little later.
    pub fn is_passing(&self) -> bool {
        matches!(self, PrefetchError::Failed(_) | PrefetchError::TimedOut(_) | PrefetchError::Unavailable)
    }

    /// Whether it tells of the place that is fetched from, and not of the one thing that was asked for.
    pub fn is_outage(&self) -> bool {
        self.is_passing() || matches!(self, PrefetchError::Panicked(_))
    }
}
