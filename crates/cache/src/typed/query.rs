//! Results of queries.

use super::Typed;
use crate::{CacheManager, Framing, Result, WriteReport};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt, time::Duration};

/// What a result depends on: the query, its filters in any order, and how it was ranked.
///
/// ```
/// use prefix_indexer_cache::QueryKey;
/// let key = QueryKey::new("cheap flights", [("from", "BER"), ("to", "LIS")], "bm25");
/// assert_eq!(key, QueryKey::new("cheap flights", [("to", "LIS"), ("from", "BER")], "bm25"));
/// assert_ne!(key, QueryKey::new("cheap flights", [("to", "BER"), ("from", "LIS")], "bm25"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct QueryKey(String);

impl QueryKey {
    /// The key of a query. Filters of the same name may be several; their order matters no more than that of the others.
    pub fn new<N: AsRef<str>, V: AsRef<str>>(
        query: &str,
        filters: impl IntoIterator<Item = (N, V)>,
        ranking: &str,
    ) -> QueryKey {
        let filters: Vec<(N, V)> = filters.into_iter().collect();
        let mut filters: Vec<(&str, &str)> =
            filters.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
        filters.sort_unstable();
        let mut hasher = blake3::Hasher::new();
        // Lengths go before texts, so that no two lists of texts run together to the same bytes.
        let texts = [query, ranking].into_iter().chain(filters.into_iter().flat_map(|(name, value)| [name, value]));
        for text in texts {
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        }
        QueryKey(format!("query/{}", hasher.finalize().to_hex()))
    }

    /// The key in the cache.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for QueryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Results of queries, of any type that serde knows, in a cache of any tiers.
///
/// ```
/// # use prefix_indexer_cache::*;
/// # use std::sync::Arc;
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let cache = CacheManager::builder().tier(Arc::new(MemoryBackend::new(&MemoryConfig::default())?)).build()?;
/// let results = QueryResultCache::new(cache, Framing::default());
/// let key = QueryKey::new("cheap flights", [("from", "BER")], "bm25");
/// let ids: Vec<u32> = results.get_or_run(&key, || async { Ok(vec![7, 3, 9]) }).await?;
/// assert_eq!(results.get(&key).await, Some(ids));
/// # Ok::<(), CacheError>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct QueryResultCache {
    typed: Typed,
    framing: Framing,
}

impl QueryResultCache {
    /// Results in `cache`, framed as told, each for the default time to live.
    pub fn new(cache: CacheManager, framing: Framing) -> QueryResultCache {
        QueryResultCache { typed: Typed::new(cache, crate::DEFAULT_TTL), framing }
    }

    /// The same with another time to live.
    pub fn with_ttl(self, ttl: Duration) -> QueryResultCache {
        QueryResultCache { typed: self.typed.with_ttl(ttl), ..self }
    }

    /// The result kept for `key`. One that is not a `T` (its type has changed) is dropped and absent.
    pub async fn get<T: DeserializeOwned>(&self, key: &QueryKey) -> Option<T> {
        self.typed.get(key.as_str(), Framing::decode).await
    }

    /// Keeps a result.
    ///
    /// # Errors
    /// As [`Framing::encode`]; what tiers failed is in the report.
    pub async fn set<T: Serialize + ?Sized>(&self, key: &QueryKey, result: &T) -> Result<WriteReport<()>> {
        Ok(self.typed.set(key.as_str(), self.framing.encode(result)?).await)
    }

    /// The result, from `run` when there is none. As [`CacheManager::get_or_load`].
    ///
    /// # Errors
    /// What `run` returned, or its panic; as [`Framing::encode`].
    pub async fn get_or_run<T, F>(&self, key: &QueryKey, run: impl FnOnce() -> F + Send + 'static) -> Result<T>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let framing = self.framing;
        let load = move || async move { framing.encode(&run().await?) };
        self.typed.get_or_load(key.as_str(), load, Framing::decode).await
    }

    /// Hits and misses since it was made; clones count together.
    pub fn hits_and_misses(&self) -> (u64, u64) {
        self.typed.hits_and_misses()
    }
}
