//! What can go wrong with a cache.

use std::{error::Error, fmt, io, sync::Arc, time::Duration};
use thiserror::Error;

/// A cause that several waiters can hold.
pub type SharedError = Arc<dyn Error + Send + Sync + 'static>;

/// Why a cache refuses or fails. Cloned when one failed load has many waiters.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum CacheError {
    /// A backend could not do what it was asked.
    #[error("{backend}: {action}: {source}")]
    Backend {
        /// Which backend.
        backend: Arc<str>,
        /// What was being done, as in `cannot write`.
        action: &'static str,
        /// Why not.
        source: SharedError,
    },
    /// A tier did not answer within its time-out.
    #[error("tier {tier}: no answer within {after:?}")]
    TimedOut {
        /// Which tier.
        tier: Arc<str>,
        /// Its time-out.
        after: Duration,
    },
    /// A tier failed a short while ago and is left alone for now.
    #[error("tier {tier}: left alone after a failure")]
    Open {
        /// Which tier.
        tier: Arc<str>,
    },
    /// A tier is catching up on what it missed; this write has joined what will be replayed.
    #[error("tier {tier}: put off until what it missed is replayed")]
    Deferred {
        /// Which tier.
        tier: Arc<str>,
    },
    /// A value that a backend can never hold. What the key held before is gone.
    #[error("{backend}: {size} bytes are more than one entry may have ({max})")]
    TooLarge {
        /// Which backend.
        backend: Arc<str>,
        /// Size of the entry in bytes.
        size: u64,
        /// The most that is possible.
        max: u64,
    },
    /// A key that a backend cannot hold.
    #[error("{backend}: key {key:?}: {why}")]
    Key {
        /// Which backend.
        backend: Arc<str>,
        /// The key.
        key: Box<str>,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Bytes that are not what was once written.
    #[error("corrupt at byte {offset}: {what}")]
    Corrupt {
        /// Where, in bytes from the start of the value.
        offset: u64,
        /// What is wrong there.
        what: Box<str>,
    },
    /// A value that a codec cannot write or read.
    #[error("{codec}: {source}")]
    Codec {
        /// Which codec.
        codec: &'static str,
        /// Why not.
        source: SharedError,
    },
    /// A loader failed.
    #[error("load failed: {0}")]
    Load(#[source] SharedError),
    /// A loader panicked.
    #[error("the loader panicked: {0}")]
    LoadPanicked(Arc<str>),
    /// A load was ended before it had a result: its runtime is shutting down.
    #[error("the load was ended before it had a result")]
    LoadEnded,
    /// A load took longer than this waiter would wait. It goes on for the others.
    #[error("not loaded within {0:?}")]
    LoadTimedOut(Duration),
    /// No backend of that name is registered.
    #[error("`{name}` is not a known backend: expected {}{}", OneOf(known), Nearest(nearest))]
    UnknownBackend {
        /// What was asked for.
        name: Box<str>,
        /// What there is.
        known: Vec<String>,
        /// Perhaps meant.
        nearest: Option<Box<str>>,
    },
    /// A configuration has a field that nothing reads.
    #[error("{section}: unknown field `{field}`: expected {}{}", OneOf(known), Nearest(nearest))]
    UnknownField {
        /// In which section.
        section: Box<str>,
        /// The field.
        field: Box<str>,
        /// What there is.
        known: Vec<String>,
        /// Perhaps meant.
        nearest: Option<Box<str>>,
    },
    /// A configuration that says something impossible.
    #[error("{section}: {why}")]
    Config {
        /// In which section.
        section: Box<str>,
        /// What is wrong.
        why: Box<str>,
    },
}

impl CacheError {
    /// A failure of `backend` while doing `action` (as in `cannot write`).
    pub fn backend(backend: &str, action: &'static str, source: impl Error + Send + Sync + 'static) -> CacheError {
        CacheError::Backend { backend: backend.into(), action, source: Arc::new(source) }
    }

    /// A failure of a loader; for those who write one.
    pub fn load(source: impl Error + Send + Sync + 'static) -> CacheError {
        CacheError::Load(Arc::new(source))
    }

    /// A configuration error of `section`.
    pub fn config(section: &str, why: impl fmt::Display) -> CacheError {
        CacheError::Config { section: section.into(), why: why.to_string().into() }
    }

    /// Whether the backend is at fault: what its circuit breaker counts. An entry that no such backend could ever hold is
    /// the caller's business.
    pub fn is_outage(&self) -> bool {
        matches!(self, CacheError::Backend { .. } | CacheError::TimedOut { .. })
    }

    /// The kind of I/O error at the root, where there is one.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        let (CacheError::Backend { source, .. } | CacheError::Codec { source, .. } | CacheError::Load(source)) = self
        else {
            return None;
        };
        // Through the shared pointer: it is an error of its own to those who only see errors.
        let mut cause: Option<&(dyn Error + 'static)> = Some(&**source);
        while let Some(error) = cause {
            if let Some(io) = error.downcast_ref::<io::Error>() {
                return Some(io.kind());
            }
            cause = error.source();
        }
        None
    }
}

struct OneOf<'a>(&'a [String]);

impl fmt::Display for OneOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (index, name) in self.0.iter().enumerate() {
            write!(f, "{}{name}", if index > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

struct Nearest<'a>(&'a Option<Box<str>>);

impl fmt::Display for Nearest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |name| write!(f, " (perhaps `{name}` is meant)"))
    }
}

/// The result of everything a cache does.
pub type Result<T, E = CacheError> = std::result::Result<T, E>;
