//! The memory tier: entries on the heap under a byte budget.
//!
//! `quick_cache` keeps them: a sharded, scan-resistant clock. Expiry is ours: an entry carries the moment it ends and is dropped
//! when it is met after that. Moments are of the monotonic clock, so a wall clock that jumps neither kills nor
//! revives anything here.

use crate::{BackendStats, ByteSize, CacheBackend, CacheError, Entry, Invalidation, Listed, Metadata, Pattern, Result};
use async_trait::async_trait;
use bytes::Bytes;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter, sync::Cache};
use serde::Deserialize;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};

/// What an entry costs beside its key, value and metadata: slot, map entry and reference counts.
const ENTRY_OVERHEAD: u64 = 160;

/// A shard takes an entry of up to this share of its budget (the library's default for what may be hot).
const LARGEST_SHARE: f64 = 0.97;

/// A shard is never smaller than this, so that an entry of 31 MiB fits whatever the number of shards.
const SMALLEST_SHARD: u64 = 32 << 20;

const MAX_SHARDS: u64 = 64;

const NAME: &str = "memory";

/// Configuration of the memory tier.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemoryConfig {
    /// Budget for keys, values, metadata and about 160 bytes an entry. Default 256 MiB.
    pub max_size: ByteSize,
}

impl Default for MemoryConfig {
    fn default() -> MemoryConfig {
        MemoryConfig { max_size: ByteSize(256 << 20) }
    }
}

/// Entries on the heap. A hit shares the stored bytes; it copies nothing and waits for nobody but, for some nanoseconds, a
/// writer of the same shard.
///
/// An expired entry is never served. It keeps its place in the budget until it is met or evicted.
pub struct MemoryBackend {
    entries: Cache<Arc<str>, Stored, Weight, DefaultHashBuilder, CountEvictions>,
    largest: u64,
    expired: AtomicU64,
    evicted: Arc<AtomicU64>,
}

#[derive(Debug, Clone)]
struct Stored {
    value: Bytes,
    metadata: Metadata,
    ends: Option<Instant>,
}

impl Stored {
    /// What is left of the time to live: `None` when it is over.
    fn left(&self) -> Option<Option<Duration>> {
        match self.ends {
            None => Some(None),
            Some(ends) => {
                let left = ends.saturating_duration_since(Instant::now());
                (!left.is_zero()).then_some(Some(left))
            }
        }
    }

    fn weight(&self, key: &str) -> u64 {
        (key.len() + self.value.len()) as u64 + self.metadata.size() + ENTRY_OVERHEAD
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<Arc<str>, Stored> for Weight {
    fn weight(&self, key: &Arc<str>, stored: &Stored) -> u64 {
        stored.weight(key)
    }
}

#[derive(Clone)]
struct CountEvictions(Arc<AtomicU64>);

impl Lifecycle<Arc<str>, Stored> for CountEvictions {
    /// Holds what was evicted until the shard is unlocked: freeing it may take longer than storing it did.
    type RequestState = Vec<Stored>;

    fn on_evict(&self, evicted: &mut Vec<Stored>, _: Arc<str>, stored: Stored) {
        self.0.fetch_add(1, Relaxed);
        evicted.push(stored);
    }
}

impl MemoryBackend {
    /// An empty tier.
    ///
    /// # Errors
    /// [`CacheError::Config`] when the budget is zero.
    pub fn new(config: &MemoryConfig) -> Result<MemoryBackend> {
        let budget = config.max_size.0;
        if budget == 0 {
            return Err(CacheError::config(NAME, "max_size is zero"));
        }
        let options = OptionsBuilder::new()
            .weight_capacity(budget)
            .shards((budget / SMALLEST_SHARD).clamp(1, MAX_SHARDS).next_power_of_two().min(MAX_SHARDS) as usize)
            .estimated_items_capacity((budget / 4096).clamp(1_024, 1 << 22) as usize)
            .build()
            .map_err(|error| CacheError::config(NAME, error))?;
        let evicted = Arc::new(AtomicU64::new(0));
        let lifecycle = CountEvictions(Arc::clone(&evicted));
        let entries = Cache::with_options(options, Weight, DefaultHashBuilder::default(), lifecycle);
        let largest = (entries.shard_capacity() as f64 * LARGEST_SHARE) as u64;
        Ok(MemoryBackend { entries, largest, expired: AtomicU64::new(0), evicted })
    }

    fn get_now(&self, key: &str) -> Option<Entry> {
        let stored = self.entries.get(key)?;
        match stored.left() {
            Some(ttl) => Some(Entry { value: stored.value, ttl, metadata: stored.metadata }),
            None => {
                self.drop_expired(key);
                None
            }
        }
    }

    fn set_now(&self, key: &str, entry: Entry) -> Result<()> {
        if key.is_empty() {
            return Err(CacheError::Key { backend: NAME.into(), key: key.into(), why: "it is empty" });
        }
        let ends = match entry.ttl {
            Some(Duration::ZERO) => {
                self.entries.remove(key);
                return Ok(());
            }
            // A time to live beyond what the clock can count is for ever.
            Some(ttl) => Instant::now().checked_add(ttl),
            None => None,
        };
        let stored = Stored { value: entry.value, metadata: entry.metadata, ends };
        let size = stored.weight(key);
        if size > self.largest {
            self.entries.remove(key);
            return Err(CacheError::TooLarge { backend: NAME.into(), size, max: self.largest });
        }
        self.entries.insert(key.into(), stored);
        Ok(())
    }

    fn delete_now(&self, key: &str) -> bool {
        self.entries.remove(key).is_some_and(|(_, stored)| stored.left().is_some())
    }

    fn drop_expired(&self, key: &str) {
        // Only what is still expired: another thread may have set the key anew.
        if self.entries.remove_if(key, |stored| stored.left().is_none()).is_some() {
            self.expired.fetch_add(1, Relaxed);
        }
    }
}

#[async_trait]
impl CacheBackend for MemoryBackend {
    fn name(&self) -> &str {
        NAME
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        Ok(self.get_now(key))
    }

    async fn get_many(&self, keys: &[&str]) -> Vec<Result<Option<Entry>>> {
        keys.iter().map(|key| Ok(self.get_now(key))).collect()
    }

    async fn set(&self, key: &str, entry: Entry) -> Result<()> {
        self.set_now(key, entry)
    }

    async fn set_many(&self, entries: &[(&str, Entry)]) -> Vec<Result<()>> {
        entries.iter().map(|(key, entry)| self.set_now(key, entry.clone())).collect()
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        Ok(self.delete_now(key))
    }

    async fn delete_many(&self, keys: &[&str]) -> Vec<Result<bool>> {
        keys.iter().map(|key| Ok(self.delete_now(key))).collect()
    }

    async fn exists(&self, key: &str) -> Result<bool> {
        Ok(self.entries.peek(key).is_some_and(|stored| stored.left().is_some()))
    }

    async fn list(&self, pattern: &Pattern, limit: usize) -> Result<Vec<Listed>> {
        let live = self.entries.iter().filter(|(key, stored)| pattern.matches(key) && stored.left().is_some());
        let mut rows: Vec<Listed> =
            live.map(|(key, stored)| Listed { key: key.to_string(), size: stored.value.len() as u64 }).collect();
        rows.sort_unstable();
        rows.truncate(limit);
        Ok(rows)
    }

    async fn clear(&self, pattern: &Pattern) -> Result<u64> {
        let matching: Vec<Arc<str>> =
            self.entries.iter().map(|(key, _)| key).filter(|key| pattern.matches(key)).collect();
        Ok(matching.iter().filter(|key| self.delete_now(key)).count() as u64)
    }

    async fn stats(&self) -> Result<BackendStats> {
        Ok(BackendStats {
            entries: Some(self.entries.len() as u64),
            bytes: Some(self.entries.weight()),
            max_bytes: Some(self.entries.capacity()),
            evicted: self.evicted.load(Relaxed),
            expired: self.expired.load(Relaxed),
            corrupt: 0,
        })
    }

    fn invalidations(&self) -> Option<mpsc::Receiver<Invalidation>> {
        None
    }
}

impl fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBackend").field("bytes", &self.entries.weight()).finish_non_exhaustive()
    }
}
