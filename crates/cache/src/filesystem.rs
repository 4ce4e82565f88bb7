//! The flat tier: a file a value, in a directory that survives restarts and that several processes share.
//!
//! A value is written to a temporary file and renamed, so a reader sees all of it or none; a checksum before it tells a torn or
//! flipped file, which is dropped, counted and never served. The directory is the truth and needs no repair after a crash: on
//! opening, its files are found again by reading directories, and what a dead process left half-written is swept up.
//!
//! | file | what it knows |
//! |---|---|
//! | `layout` | where the file of a key is |
//! | `header` | what stands before a value |
//! | `index` | which files there are, and which goes first |
//! | `turns` | which of several changes of one key stays |
//! | `members` | which processes share the directory |
//! | `scan` | how to find out what is there |
//! | `nowait` | how to read without waiting |
//! | `judge` | whether the bytes of a file are a value |
//! | `store`, `write`, `room` | how these make a cache, with I/O that may wait |
//!
//! Here that meets async: what may wait runs on the runtime's blocking pool; files of up to a mebibyte that the system has in memory are read
//! where the caller stands.
//!
//! # Several processes
//! Each counts what it finds and writes. One at a time makes room (it holds `evictor.lock`); for the others a vanished
//! file is a miss. A process that is not alone looks for what others wrote after it has itself written 1/32 of the
//! budget. So the directory exceeds its budget by at most (processes x (1/32 of the budget + the largest value)) and what is
//! written during a scan. How recently others used a file is known to the minute.

mod header;
mod index;
mod judge;
mod layout;
mod marker;
mod members;
#[cfg_attr(not(target_os = "linux"), path = "filesystem/nowait_unknown.rs")]
mod nowait;
mod room;
mod scan;
mod store;
mod turns;
mod write;

pub use index::Eviction;
pub use layout::{Escape, Layout};

use crate::{
    BackendStats, ByteSize, CacheBackend, CacheError, Clock, Entry, Invalidation, Listed, Pattern, Result, SystemClock,
};
use async_trait::async_trait;
use layout::Id;
use serde::Deserialize;
use std::{path::PathBuf, sync::Arc};
use store::{MAX_INLINE, MAX_INLINE_OF_MANY, Store};
use tokio::sync::mpsc;

const NAME: &str = "filesystem";

/// Configuration of the flat tier.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilesystemConfig {
    /// The directory; made if need be. Required.
    pub path: PathBuf,
    /// Budget for the files' lengths. Default 1000 MB.
    pub max_size: ByteSize,
    /// Which file goes first. Default `lru`.
    pub eviction: Eviction,
    /// How files are named and what is in them. Default `hashed`.
    pub layout: Layout,
    /// How a key becomes a file name in the plain layout. Default `percent`.
    pub escape: Escape,
    /// Whether a set waits until the value would survive a power failure. Default no: then a power failure may cost recent values,
    /// which the checksum tells. A process that dies costs nothing either way.
    pub fsync: bool,
}

impl Default for FilesystemConfig {
    fn default() -> FilesystemConfig {
        FilesystemConfig {
            path: PathBuf::new(),
            max_size: ByteSize(1_000_000_000),
            eviction: Eviction::Lru,
            layout: Layout::Hashed,
            escape: Escape::Percent,
            fsync: false,
        }
    }
}

/// Files in a directory. Clones share it.
#[derive(Debug, Clone)]
pub struct FilesystemBackend {
    store: Arc<Store>,
}

impl FilesystemBackend {
    /// Opens the directory, reading its index anew: some 2 us a file.
    ///
    /// # Errors
    /// [`CacheError::Config`] without a path or budget, or for a directory of another layout; [`CacheError::Backend`] when it
    /// cannot be made or read.
    pub async fn open(config: FilesystemConfig) -> Result<FilesystemBackend> {
        FilesystemBackend::open_with_clock(config, Arc::new(SystemClock)).await
    }

    /// As [`open`](Self::open), by another clock than the system's.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_with_clock(config: FilesystemConfig, clock: Arc<dyn Clock>) -> Result<FilesystemBackend> {
        if config.path.as_os_str().is_empty() {
            return Err(CacheError::config(NAME, "path is missing"));
        }
        if config.max_size.0 == 0 {
            return Err(CacheError::config(NAME, "max_size is zero"));
        }
        let store = blocking(move || Store::open(&config, clock)).await?;
        Ok(FilesystemBackend { store: Arc::new(store) })
    }

    /// Finds out anew what is in the directory, and makes room. It happens by itself when others write there.
    ///
    /// # Errors
    /// [`CacheError::Backend`] when the runtime is shutting down.
    pub async fn rescan(&self) -> Result<()> {
        self.run(|store| {
            store.rescan();
            Ok(())
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Arc<Store>) -> Result<T> + Send + 'static) -> Result<T> {
        let store = Arc::clone(&self.store);
        blocking(move || work(&store)).await
    }

    /// Runs work that gives a result for each of `count` keys.
    async fn run_many<T: Send + 'static>(
        &self,
        count: usize,
        work: impl FnOnce(&Arc<Store>) -> Vec<Result<T>> + Send + 'static,
    ) -> Vec<Result<T>> {
        let results = self.run(|store| Ok(work(store))).await;
        results.unwrap_or_else(|error| (0..count).map(|_| Err(error.clone())).collect())
    }
}

/// Runs what may wait where waiting hurts nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let result = tokio::task::spawn_blocking(work).await;
    result.unwrap_or_else(|error| Err(CacheError::backend(NAME, "work ended early", error)))
}

#[async_trait]
impl CacheBackend for FilesystemBackend {
    fn name(&self) -> &str {
        NAME
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        if let Some(answer) = self.store.get_inline(key, MAX_INLINE) {
            return answer;
        }
        let key = key.to_owned();
        self.run(move |store| store.get(&key)).await
    }

    async fn get_many(&self, keys: &[&str]) -> Vec<Result<Option<Entry>>> {
        let mut answers: Vec<_> = keys.iter().map(|key| self.store.get_inline(key, MAX_INLINE_OF_MANY)).collect();
        let open: Vec<(usize, String)> =
            (0..keys.len()).filter(|&at| answers[at].is_none()).map(|at| (at, keys[at].to_owned())).collect();
        if !open.is_empty() {
            let places: Vec<usize> = open.iter().map(|(at, _)| *at).collect();
            let work = move |store: &Arc<Store>| open.iter().map(|(_, key)| store.get(key)).collect();
            let found = self.run_many(places.len(), work).await;
            for (at, answer) in places.into_iter().zip(found) {
                answers[at] = Some(answer);
            }
        }
        answers.into_iter().map(|answer| answer.unwrap_or(Ok(None))).collect()
    }

    async fn set(&self, key: &str, entry: Entry) -> Result<()> {
        // Taken here, in the order of the calls.
        let ticket = self.store.turns.ticket(Id::of(key));
        let key = key.to_owned();
        self.run(move |store| store.set(&key, &entry, &ticket)).await
    }

    async fn set_many(&self, entries: &[(&str, Entry)]) -> Vec<Result<()>> {
        let work: Vec<_> = entries
            .iter()
            .map(|(key, entry)| (self.store.turns.ticket(Id::of(key)), (*key).to_owned(), entry.clone()))
            .collect();
        let set =
            move |store: &Arc<Store>| work.iter().map(|(ticket, key, entry)| store.set(key, entry, ticket)).collect();
        self.run_many(entries.len(), set).await
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        let ticket = self.store.turns.ticket(Id::of(key));
        let key = key.to_owned();
        self.run(move |store| store.delete(&key, &ticket)).await
    }

    async fn delete_many(&self, keys: &[&str]) -> Vec<Result<bool>> {
        let work: Vec<_> = keys.iter().map(|key| (self.store.turns.ticket(Id::of(key)), (*key).to_owned())).collect();
        let delete = move |store: &Arc<Store>| work.iter().map(|(ticket, key)| store.delete(key, ticket)).collect();
        self.run_many(keys.len(), delete).await
    }

    async fn exists(&self, key: &str) -> Result<bool> {
        let key = key.to_owned();
        self.run(move |store| store.exists(&key)).await
    }

    /// Reads the header of every file.
    async fn list(&self, pattern: &Pattern, limit: usize) -> Result<Vec<Listed>> {
        let pattern = pattern.clone();
        self.run(move |store| store.list(&pattern, limit)).await
    }

    /// Reads the header of every file.
    async fn clear(&self, pattern: &Pattern) -> Result<u64> {
        self.store.turns.clear(pattern);
        let pattern = pattern.clone();
        self.run(move |store| store.clear(&pattern)).await
    }

    async fn stats(&self) -> Result<BackendStats> {
        Ok(self.store.stats())
    }

    /// Nobody tells of what other processes write: their files are found when asked for.
    fn invalidations(&self) -> Option<mpsc::Receiver<Invalidation>> {
        None
    }
}
