//! A tiered cache with pluggable backends.
//!
//! A [`CacheManager`] asks its tiers in order, copies what a lower one had into those above, and writes to all. A tier that fails is
//! passed by and left alone for a while; what it missed is replayed before it is asked for it again, so that it never serves
//! what was overwritten or deleted meanwhile. However many ask for a key that nobody has, it is loaded once.
//!
//! ```
//! use prefix_indexer_cache::{CacheBackend, CacheManager, Entry, FilesystemBackend, FilesystemConfig, MemoryBackend, MemoryConfig};
//! use std::{sync::Arc, time::Duration};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let directory = tempfile::tempdir()?;
//! let memory = MemoryBackend::new(&MemoryConfig::default())?;
//! let files = FilesystemBackend::open(FilesystemConfig { path: directory.path().into(), ..Default::default() }).await?;
//! let cache = CacheManager::builder().tier(Arc::new(memory)).tier(Arc::new(files)).build()?;
//!
//! // Ok only if every tier took it; `tiers()` says which did.
//! assert!(cache.set("greeting", Entry::new("hello").with_ttl(Duration::from_secs(60))).await.is_ok());
//! assert_eq!(cache.get("greeting").await.unwrap().value, "hello");
//!
//! // Runs once, however many tasks ask at the same time.
//! let page = cache.get_or_load("page", None, || async { Ok(Entry::new("made with much effort")) }).await?;
//! assert_eq!(page.value, "made with much effort");
//!
//! assert!(cache.delete("greeting").await.is_ok());
//! assert_eq!(cache.stats().await.hits, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Values are [`Bytes`](bytes::Bytes). What an engine wrote is kept as it is; typed values go through a [`Framing`], as those
//! of [`EmbeddingCache`] and [`QueryResultCache`] do. Backends are created by name from configuration by a [`BackendRegistry`], in which
//! other crates register theirs; whoever writes one implements [`CacheBackend`] and calls the [`conformance`] suite.
//!
//! This crate knows nothing of prefixes, plans or networks: keys are texts, and backends that reach over a network live in crates
//! of their own. What it promises and what not is in `docs/cache.md`.

mod backend;
mod clock;
mod codec;
mod config;
pub mod conformance;
mod entry;
mod error;
#[cfg(feature = "test-kit")]
pub mod fault_proxy;
mod filesystem;
mod manager;
mod memory;
#[cfg(feature = "test-kit")]
pub mod outages;
mod pattern;
mod registry;
mod typed;

pub use backend::{CacheBackend, CacheBackendExt, Invalidation, one_by_one};
pub use clock::{Clock, ManualClock, SystemClock};
pub use codec::{Codec, Compression, Framing};
pub use config::{ByteSize, CacheConfig, Period, TierConfig, parse_section};
pub use entry::{BackendStats, Entry, Listed, Metadata};
pub use error::{CacheError, Result, SharedError};
pub use filesystem::{Escape, Eviction, FilesystemBackend, FilesystemConfig, Layout};
pub use manager::{
    CacheManager, CacheManagerBuilder, CacheStats, DEFAULT_TTL, Promotion, TierOptions, TierStats, WriteReport,
};
pub use memory::{MemoryBackend, MemoryConfig};
pub use pattern::Pattern;
pub use registry::BackendRegistry;
pub use typed::{Dtype, EMBEDDING_TTL, Embedding, EmbeddingCache, QueryKey, QueryResultCache};
