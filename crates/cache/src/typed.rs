//! Caches of one kind of value, over a [`CacheManager`].

mod embedding;
mod query;

pub use embedding::{Dtype, EMBEDDING_TTL, Embedding, EmbeddingCache};
pub use query::{QueryKey, QueryResultCache};

use crate::{CacheError, CacheManager, Entry, Result, WriteReport, manager::Counter};
use bytes::Bytes;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// What typed caches have in common: framed values that live for a time, and counts.
#[derive(Debug, Clone)]
struct Typed {
    cache: CacheManager,
    ttl: Duration,
    hits: Arc<Counter>,
    misses: Arc<Counter>,
}

impl Typed {
    fn new(cache: CacheManager, ttl: Duration) -> Typed {
        Typed { cache, ttl, hits: Arc::default(), misses: Arc::default() }
    }

    fn with_ttl(self, ttl: Duration) -> Typed {
        Typed { ttl, ..self }
    }

    fn cache(&self) -> &CacheManager {
        &self.cache
    }

    /// A value that cannot be read is dropped, so that it is not met again, and counts as a miss.
    async fn get<T>(&self, key: &str, read: impl Fn(&Bytes) -> Result<T>) -> Option<T> {
        let value = match self.cache.get(key).await.map(|entry| read(&entry.value)) {
            None => None,
            Some(Ok(value)) => Some(value),
            Some(Err(error)) => {
                tracing::warn!(key, %error, "a value that cannot be read was dropped");
                drop(self.cache.delete(key).await);
                None
            }
        };
        self.count(value.is_some());
        value
    }

    async fn set(&self, key: &str, framed: Bytes) -> WriteReport<()> {
        self.cache.set(key, Entry::new(framed).with_ttl(self.ttl)).await
    }

    /// A hit is a call that did not have to load: the key was there, or another caller's load was joined.
    async fn get_or_load<T, F>(
        &self,
        key: &str,
        load: impl FnOnce() -> F + Send + 'static,
        read: impl Fn(&Bytes) -> Result<T>,
    ) -> Result<T>
    where
        F: Future<Output = Result<Bytes>> + Send + 'static,
    {
        // Taken by whichever call comes to load; it is not run twice.
        let load = Arc::new(Mutex::new(Some(load)));
        let get_or_load = async || {
            let own = Arc::clone(&load);
            let entry = self.cache.get_or_load(key, Some(self.ttl), move || async move {
                let load = own.lock().unwrap_or_else(PoisonError::into_inner).take();
                match load {
                    Some(load) => load().await.map(Entry::new),
                    None => Err(CacheError::LoadEnded),
                }
            });
            entry.await.and_then(|entry| read(&entry.value))
        };
        let mut result = get_or_load().await;
        let not_run = || load.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if matches!(result, Err(CacheError::Corrupt { .. } | CacheError::Codec { .. })) && not_run() {
            drop(self.cache.delete(key).await);
            result = get_or_load().await;
        }
        self.count(not_run());
        result
    }

    fn count(&self, hit: bool) {
        if hit { &self.hits } else { &self.misses }.add(1);
    }

    fn hits_and_misses(&self) -> (u64, u64) {
        (self.hits.get(), self.misses.get())
    }
}
