//! The one place where threads meet the asynchronous cache.
//!
//! A fetch waits on a thread of its own pool while the cache's runtime does the work. It ends at the deadline and at once when
//! cancelled, and refuses to wait on a thread of a runtime, where it would hold up everything else.

use crate::{
    Destination, FetchCtx, Fetcher, PrefetchError, PrefetchRequest,
    fetcher::{Dress, Fetched},
};
use futures_util::future::{Either, select};
use prefix_indexer_cache::{CacheManager, Entry, Framing, Promotion};
use serde::Deserialize;
use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

/// What the values of blocks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlockValue {
    /// What an engine wrote, byte for byte.
    #[default]
    Raw,
    /// Framed by this project; a frame that cannot be read is not moved.
    Framed,
}

/// Moves values from the lower tiers of a cache to its first one.
///
/// The runtime must have threads of its own (it is not driven from here) and time enabled.
#[derive(Debug, Clone)]
pub struct TierFetcher {
    cache: CacheManager,
    runtime: Handle,
    value: BlockValue,
    dress: Dress,
}

impl TierFetcher {
    /// Moves within `cache`, whose tiers do their work on `runtime`.
    pub fn new(cache: CacheManager, runtime: Handle, value: BlockValue, dress: Dress) -> TierFetcher {
        TierFetcher { cache, runtime, value, dress }
    }
}

impl Fetcher for TierFetcher {
    fn fetch(&self, request: &PrefetchRequest, ctx: &FetchCtx) -> Result<Fetched, PrefetchError> {
        let dress = |entry: Entry| {
            if self.value == BlockValue::Framed {
                Framing::check(&entry.value)?;
            }
            Ok(self.dress.dress(request, entry))
        };
        match wait(&self.runtime, ctx, self.cache.promote(request.cache_key(), dress))? {
            Ok(Promotion::Copied { bytes }) => Ok(Fetched::Moved { bytes }),
            Ok(Promotion::Resident) => Ok(Fetched::Resident),
            Ok(Promotion::Missing) => Ok(Fetched::Missing),
            Ok(_) => Err(PrefetchError::Unavailable),
            Err(error) => Err(PrefetchError::NotStored(Arc::new(error))),
        }
    }
}

impl Destination for TierFetcher {
    fn holds(&self, keys: &[&str], ctx: &FetchCtx) -> Result<Vec<bool>, PrefetchError> {
        wait(&self.runtime, ctx, self.cache.is_local(keys))?.ok_or(PrefetchError::Unavailable)
    }

    /// Into every tier.
    fn store(&self, key: &str, entry: Entry, ctx: &FetchCtx) -> Result<(), PrefetchError> {
        let report = wait(&self.runtime, ctx, self.cache.set(key, entry))?;
        report.into_result().map(drop).map_err(|error| PrefetchError::NotStored(Arc::new(error)))
    }
}

/// Waits for `work`, until the deadline or the signal to stop. What is not waited for to its end is dropped.
fn wait<T>(runtime: &Handle, ctx: &FetchCtx, work: impl Future<Output = T>) -> Result<T, PrefetchError> {
    if Handle::try_current().is_ok() {
        return Err(PrefetchError::InsideRuntime);
    }
    if ctx.cancel.is_cancelled() {
        return Err(PrefetchError::Cancelled);
    }
    let left = ctx.deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(PrefetchError::TimedOut(left));
    }
    runtime.block_on(async {
        let (work, cancelled) = (pin!(work), ctx.cancel.cancelled());
        match tokio::time::timeout(left, select(work, cancelled)).await {
            Ok(Either::Left((done, _))) => Ok(done),
            Ok(Either::Right(_)) => Err(PrefetchError::Cancelled),
            Err(_) => Err(PrefetchError::TimedOut(round(left))),
        }
    })
}

/// Whole milliseconds, for people.
fn round(time: Duration) -> Duration {
    Duration::from_millis((time.as_secs_f64() * 1e3).round() as u64)
}
