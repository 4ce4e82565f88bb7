//! Tiers in front of each other, as one cache.
//!
//! A read asks the tiers in order; a hit copies the value into the tiers before it. A write goes to all of them. What makes it more
//! than a loop is that tiers fail and that things happen at once; the parts of the answer, a file each:
//! - `tier`, `reading`: every call has a time-out and goes through a `breaker`, so a dead tier costs little and is passed by;
//! - `journal`: what a tier missed is remembered and replayed before the tier is asked for it again, so that it never
//!   serves what was overwritten or deleted meanwhile;
//! - `order`: writes of a key take turns, and a copy of what a lower tier had is made only if the key was not written since;
//! - `flight`: a load is shared by all who ask for the key;
//! - `promote`: the first tier gets what a lower one has before anyone asks.
//!
//! No lock is held across an await but a key's turn to be written, which no read waits for.

mod breaker;
mod flight;
mod journal;
mod nested;
mod order;
mod promote;
mod read;
mod reading;
mod replay;
mod stats;
mod tier;
mod write;

pub use promote::Promotion;
pub(crate) use stats::Counter;
pub use stats::{CacheStats, TierStats};
pub use tier::TierOptions;
pub use write::WriteReport;

use crate::{BackendRegistry, CacheBackend, CacheConfig, CacheError, Result};
use flight::Flights;
use futures_util::future::join_all;
use order::Order;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tier::Tier;
use tokio::sync::Semaphore;

/// How long an entry lives for which nobody says how long.
pub const DEFAULT_TTL: Duration = Duration::from_secs(3600);

/// How many copies to higher tiers may be under way at once; beyond, they are not made and counted as refused.
const MAX_FILLS: usize = 64;

/// A cache of several tiers. Clones share it. Needs a tokio runtime with time enabled.
///
/// ```
/// # use prefix_indexer_cache::*;
/// # use std::sync::Arc;
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let fast = Arc::new(MemoryBackend::new(&MemoryConfig { max_size: ByteSize(64 << 20) })?);
/// let large = Arc::new(MemoryBackend::new(&MemoryConfig { max_size: ByteSize(256 << 20) })?);
/// let cache = CacheManager::builder().tier(fast).tier(large).build()?;
///
/// assert!(cache.set("key", Entry::new("value")).await.is_ok());
/// assert_eq!(cache.get("key").await.unwrap().value, "value");
/// let loaded = cache.get_or_load("other", None, || async { Ok(Entry::new("loaded once")) }).await?;
/// assert_eq!(loaded.value, "loaded once");
/// # Ok::<(), CacheError>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct CacheManager {
    inner: Arc<Inner>,
}

struct Inner {
    tiers: Vec<Arc<Tier>>,
    default_ttl: Option<Duration>,
    order: Order,
    flights: Flights,
    fills: Arc<Semaphore>,
    misses: Counter,
    loads: AtomicU64,
    load_errors: AtomicU64,
    loads_shared: AtomicU64,
}

/// Builds a [`CacheManager`].
#[derive(Debug)]
pub struct CacheManagerBuilder {
    tiers: Vec<(Arc<dyn CacheBackend>, TierOptions)>,
    default_ttl: Option<Duration>,
    immutable: bool,
}

impl CacheManagerBuilder {
    /// Adds a tier, asked after those added before, with the default options.
    pub fn tier(self, backend: Arc<dyn CacheBackend>) -> CacheManagerBuilder {
        self.tier_with(backend, TierOptions::default())
    }

    /// Adds a tier with options of its own.
    pub fn tier_with(mut self, backend: Arc<dyn CacheBackend>, options: TierOptions) -> CacheManagerBuilder {
        self.tiers.push((backend, options));
        self
    }

    /// The time to live of what is set without one; `None`: for ever. Default: [`DEFAULT_TTL`].
    pub fn default_ttl(self, default_ttl: Option<Duration>) -> CacheManagerBuilder {
        CacheManagerBuilder { default_ttl, ..self }
    }

    /// Whether a value never changes under its key (blocks that are named by their content): then nobody has to be told of changes, and
    /// copies in higher tiers outlive a lower tier that goes away. Default: no.
    pub fn immutable(self, immutable: bool) -> CacheManagerBuilder {
        CacheManagerBuilder { immutable, ..self }
    }

    /// The cache. Must be called within a tokio runtime when a backend tells of what others change.
    ///
    /// # Errors
    /// [`CacheError::Config`] when there is no tier, two have the same name, or a time-out is zero.
    pub fn build(self) -> Result<CacheManager> {
        const SECTION: &str = "[[cache.tiers]]";
        if self.tiers.is_empty() {
            return Err(CacheError::config(SECTION, "there is no tier"));
        }
        let mut tiers: Vec<Arc<Tier>> = Vec::with_capacity(self.tiers.len());
        for (backend, options) in self.tiers {
            if options.timeout.is_zero() || options.clear_timeout.is_zero() {
                return Err(CacheError::config(SECTION, "a time-out is zero"));
            }
            let taken = |name: &str| tiers.iter().any(|tier| &*tier.name == name);
            let name = match &options.name {
                Some(name) if taken(name) => {
                    return Err(CacheError::config(SECTION, format_args!("two tiers are named `{name}`")));
                }
                Some(name) => name.clone(),
                None => {
                    let numbered = (2..).map(|n| format!("{}-{n}", backend.name()));
                    let mut names = std::iter::once(backend.name().to_owned()).chain(numbered);
                    names.find(|name| !taken(name)).unwrap_or_default()
                }
            };
            tiers.push(Arc::new(Tier::new(name.into(), backend, options)));
        }
        let inner = Inner {
            tiers,
            default_ttl: self.default_ttl,
            order: Order::new(),
            flights: Flights::default(),
            fills: Arc::new(Semaphore::new(MAX_FILLS)),
            misses: Counter::default(),
            loads: AtomicU64::new(0),
            load_errors: AtomicU64::new(0),
            loads_shared: AtomicU64::new(0),
        };
        let manager = CacheManager { inner: Arc::new(inner) };
        if self.immutable {
            // Who tells of changes stops when nobody listens.
            manager.inner.tiers.iter().for_each(|tier| drop(tier.backend.invalidations()));
        } else {
            manager.follow_invalidations();
        }
        Ok(manager)
    }
}

impl CacheManager {
    /// A cache without tiers yet.
    pub fn builder() -> CacheManagerBuilder {
        CacheManagerBuilder { tiers: Vec::new(), default_ttl: Some(DEFAULT_TTL), immutable: false }
    }

    /// The cache that `config` describes, its backends created by `registry`.
    ///
    /// # Errors
    /// As [`BackendRegistry::create`] and [`CacheManagerBuilder::build`].
    pub async fn from_config(config: &CacheConfig, registry: &BackendRegistry) -> Result<CacheManager> {
        CacheManager::builder_from_config(config, registry).await?.build()
    }

    /// Likewise, to be changed before it is built.
    ///
    /// # Errors
    /// As [`BackendRegistry::create`].
    pub async fn builder_from_config(config: &CacheConfig, registry: &BackendRegistry) -> Result<CacheManagerBuilder> {
        let mut builder = CacheManager::builder().default_ttl(Some(config.default_ttl.0));
        for tier in &config.tiers {
            builder = builder.tier_with(tier.create(registry).await?, tier.options());
        }
        Ok(builder)
    }

    /// The names of the tiers, in the order in which they are asked.
    pub fn tier_names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.inner.tiers.iter().map(|tier| &*tier.name)
    }

    /// The backend of a tier: for what concerns that tier alone. Writes to it go past the other tiers.
    pub fn tier(&self, name: &str) -> Option<&Arc<dyn CacheBackend>> {
        self.inner.tiers.iter().find(|tier| &*tier.name == name).map(|tier| &tier.backend)
    }

    /// Counts since the cache was made, and what the backends say of themselves. A tier that is down is not asked.
    pub async fn stats(&self) -> CacheStats {
        let inner = &self.inner;
        let tiers = join_all(inner.tiers.iter().map(|tier| tier.stats())).await;
        CacheStats {
            // Whoever finds a key finds it in one tier.
            hits: tiers.iter().map(|tier| tier.hits).sum(),
            misses: inner.misses.get(),
            loads: inner.loads.load(Relaxed),
            load_errors: inner.load_errors.load(Relaxed),
            loads_shared: inner.loads_shared.load(Relaxed),
            tiers,
        }
    }

    /// Waits until the copies to higher tiers that are under way are made.
    pub async fn settle(&self) {
        // All permits are free exactly when nothing is under way.
        drop(self.inner.fills.acquire_many(MAX_FILLS as u32).await);
    }
}

impl fmt::Debug for CacheManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheManager").field("tiers", &self.tier_names().collect::<Vec<_>>()).finish_non_exhaustive()
    }
}
