//! A tiered cache with pluggable backends.

mod backend;
mod config;
pub mod conformance;
mod entry;
mod error;
mod memory;
mod pattern;
mod registry;

pub use backend::{CacheBackend, CacheBackendExt, Invalidation, one_by_one};
pub use config::{ByteSize, Period, parse_section};
pub use entry::{BackendStats, Entry, Listed, Metadata};
pub use error::{CacheError, Result, SharedError};
pub use memory::{MemoryBackend, MemoryConfig};
pub use pattern::Pattern;
pub use registry::BackendRegistry;
