//! The trait of a place that holds values.
//!
//! Everything that a backend must decide is a required method, so that a decorator that forgets one does not compile: a
//! default would silently lose what the wrapped backend does better. Comfort is in [`CacheBackendExt`], which nobody
//! implements; a store with no many-key commands of its own calls [`one_by_one`] for them and so says that it has none.
//!
//! The futures are boxed by `async_trait`: a backend outside this crate is then written with ordinary `async fn` and one attribute,
//! and what the compiler makes of it is the `Pin<Box<dyn Future + Send>>` one would have boxed by hand (20 to 30 ns of a
//! memory hit; nothing beside any other medium). Native `async fn` in traits cannot be called through `dyn`.

use crate::{BackendStats, Entry, Listed, Pattern, Result};
use async_trait::async_trait;
use bytes::Bytes;
use std::{fmt, time::Duration};
use tokio::sync::mpsc;

/// A place that holds values under keys: one tier of a cache, or a cache by itself.
///
/// What every backend promises, and [`conformance`](crate::conformance) checks:
/// - a key is any non-empty text; a backend that cannot hold one says [`Key`](crate::CacheError::Key);
/// - a value comes back byte for byte with the metadata it was set with, or not at all. What is damaged, expired or gone
///   is absent (`None`, `false`), not an error; an error means that the backend cannot tell;
/// - a set replaces value, metadata and time to live together; a reader sees all of the old or all of the new;
/// - a time to live of zero makes the key absent;
/// - when a set fails, the key is absent or holds what it held before or the new value, nothing else; after
///   [`TooLarge`](crate::CacheError::TooLarge) and [`Key`](crate::CacheError::Key) it is absent;
/// - a call whose future is dropped may or may not take effect, but never after a later call on the same key has.
///   A backend that cannot promise this for its medium says so in its documentation;
/// - nothing blocks the thread for longer than a memory access or two would.
#[async_trait]
pub trait CacheBackend: fmt::Debug + Send + Sync + 'static {
    /// The name it is registered under, as in `filesystem`.
    fn name(&self) -> &str;

    /// The entry of `key`, with what is left of its time to live.
    async fn get(&self, key: &str) -> Result<Option<Entry>>;

    /// The entries of many keys: one result a key, in the order of the keys.
    async fn get_many(&self, keys: &[&str]) -> Vec<Result<Option<Entry>>>;

    /// Sets `key` to `entry`.
    async fn set(&self, key: &str, entry: Entry) -> Result<()>;

    /// Sets many keys: one result a key, in the order given. Of the same key given twice the last one stays.
    async fn set_many(&self, entries: &[(&str, Entry)]) -> Vec<Result<()>>;

    /// Makes `key` absent. Says whether it was there (and not expired), as far as the medium can tell.
    async fn delete(&self, key: &str) -> Result<bool>;

    /// Deletes many keys: one result a key, in the order of the keys.
    async fn delete_many(&self, keys: &[&str]) -> Vec<Result<bool>>;

    /// Whether `key` is there, without moving its value. A damaged value may be counted as there until it is read.
    async fn exists(&self, key: &str) -> Result<bool>;

    /// At most `limit` of the keys that match, in order of key where the medium has one. May take time in proportion to
    /// all keys.
    async fn list(&self, pattern: &Pattern, limit: usize) -> Result<Vec<Listed>>;

    /// Deletes the keys that match and were there when it was called; says how many. May take time in proportion to all
    /// keys.
    async fn clear(&self, pattern: &Pattern) -> Result<u64>;

    /// What the backend says of itself.
    async fn stats(&self) -> Result<BackendStats>;

    /// What others change in this place, if it is shared and can tell: each message makes a manager drop its copies of
    /// those keys in the tiers above. `None`: not shared, or cannot tell. Called once; a second call may give `None`.
    /// A sender that falls behind or loses its connection sends [`Invalidation::All`] when it is back.
    fn invalidations(&self) -> Option<mpsc::Receiver<Invalidation>>;
}

/// News of a change that somebody else made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invalidation {
    /// This key was set or deleted.
    Key(String),
    /// The keys that match were cleared.
    Matching(Pattern),
    /// Anything may have changed.
    All,
}

/// Comfort over any backend.
#[async_trait]
pub trait CacheBackendExt: CacheBackend {
    /// The value of `key` alone.
    async fn get_value(&self, key: &str) -> Result<Option<Bytes>> {
        Ok(self.get(key).await?.map(|entry| entry.value))
    }

    /// Sets `key` to a value that lives for ever.
    async fn set_value(&self, key: &str, value: Bytes) -> Result<()> {
        self.set(key, Entry::new(value)).await
    }

    /// Sets `key` to a value that lives for `ttl`.
    async fn set_for(&self, key: &str, value: Bytes, ttl: Duration) -> Result<()> {
        self.set(key, Entry::new(value).with_ttl(ttl)).await
    }

    /// Deletes everything.
    async fn clear_all(&self) -> Result<u64> {
        self.clear(&Pattern::all()).await
    }
}

impl<B: CacheBackend + ?Sized> CacheBackendExt for B {}

/// The many-key forms of a backend that has none of its own: one key after the other.
pub mod one_by_one {
    use super::{CacheBackend, Entry, Result};

    /// For [`CacheBackend::get_many`].
    pub async fn get_many(backend: &dyn CacheBackend, keys: &[&str]) -> Vec<Result<Option<Entry>>> {
        let mut results = Vec::with_capacity(keys.len());
        for key in keys {
            results.push(backend.get(key).await);
        }
        results
    }

    /// For [`CacheBackend::set_many`].
    pub async fn set_many(backend: &dyn CacheBackend, entries: &[(&str, Entry)]) -> Vec<Result<()>> {
        let mut results = Vec::with_capacity(entries.len());
        for (key, entry) in entries {
            results.push(backend.set(key, entry.clone()).await);
        }
        results
    }

    /// For [`CacheBackend::delete_many`].
    pub async fn delete_many(backend: &dyn CacheBackend, keys: &[&str]) -> Vec<Result<bool>> {
        let mut results = Vec::with_capacity(keys.len());
        for key in keys {
            results.push(backend.delete(key).await);
        }
        results
    }
}
