//! A tiered cache with pluggable backends.

mod backend;
mod clock;
mod codec;
mod config;
pub mod conformance;
mod entry;
mod error;
mod filesystem;
mod manager;
mod memory;
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
pub use manager::{CacheManager, CacheManagerBuilder, CacheStats, DEFAULT_TTL, TierOptions, TierStats, WriteReport};
pub use memory::{MemoryBackend, MemoryConfig};
pub use pattern::Pattern;
pub use registry::BackendRegistry;
pub use typed::{Dtype, EMBEDDING_TTL, Embedding, EmbeddingCache, QueryKey, QueryResultCache};
