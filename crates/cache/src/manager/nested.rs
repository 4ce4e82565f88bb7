//! A cache of tiers is a backend too: it can be a tier of another, and passes the same suite.

use super::CacheManager;
use crate::{BackendStats, CacheBackend, Entry, Invalidation, Listed, Pattern, Result};
use async_trait::async_trait;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use tokio::sync::mpsc;

#[async_trait]
impl CacheBackend for CacheManager {
    fn name(&self) -> &str {
        "tiered"
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        Ok(CacheManager::get(self, key).await)
    }

    async fn get_many(&self, keys: &[&str]) -> Vec<Result<Option<Entry>>> {
        CacheManager::get_many(self, keys).await.into_iter().map(Ok).collect()
    }

    /// Ok only if every tier took it.
    async fn set(&self, key: &str, entry: Entry) -> Result<()> {
        CacheManager::set(self, key, entry).await.into_result().map(drop)
    }

    /// The keys' writes go on at once, but those of one key take turns in the order given.
    async fn set_many(&self, entries: &[(&str, Entry)]) -> Vec<Result<()>> {
        let last: BTreeMap<&str, usize> = entries.iter().enumerate().map(|(at, (key, _))| (*key, at)).collect();
        let writes = entries.iter().enumerate().map(async |(at, (key, entry))| {
            // Of the same key given twice only the last one needs to be written.
            if last.get(key) == Some(&at) { CacheBackend::set(self, key, entry.clone()).await } else { Ok(()) }
        });
        join_all(writes).await
    }

    /// Whether any tier had it.
    async fn delete(&self, key: &str) -> Result<bool> {
        Ok(CacheManager::delete(self, key).await.into_result()?.into_iter().any(|had| had))
    }

    async fn delete_many(&self, keys: &[&str]) -> Vec<Result<bool>> {
        join_all(keys.iter().map(|key| CacheBackend::delete(self, key))).await
    }

    async fn exists(&self, key: &str) -> Result<bool> {
        for tier in &self.inner.tiers {
            if tier.may_read(key) && matches!(tier.read(1, tier.backend.exists(key)).await, Some(Ok(true))) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What the tiers that answer have, once each.
    async fn list(&self, pattern: &Pattern, limit: usize) -> Result<Vec<Listed>> {
        let mut rows = BTreeMap::new();
        for tier in &self.inner.tiers {
            if let Some(Ok(listed)) = tier.read(1, tier.backend.list(pattern, limit)).await {
                let current = listed.into_iter().filter(|row| !tier.journal.is_behind(&row.key));
                for row in current {
                    rows.entry(row.key).or_insert(row.size);
                }
            }
        }
        Ok(rows.into_iter().take(limit).map(|(key, size)| Listed { key, size }).collect())
    }

    /// The largest count of any tier: tiers hold copies of the same keys.
    async fn clear(&self, pattern: &Pattern) -> Result<u64> {
        Ok(CacheManager::clear(self, pattern).await.into_result()?.into_iter().max().unwrap_or(0))
    }

    /// Sums of what the tiers count. How many entries there are in all nobody knows: tiers hold copies.
    async fn stats(&self) -> Result<BackendStats> {
        let mut sum = BackendStats::default();
        for backend in CacheManager::stats(self).await.tiers.into_iter().filter_map(|tier| tier.backend) {
            sum.evicted += backend.evicted;
            sum.expired += backend.expired;
            sum.corrupt += backend.corrupt;
        }
        Ok(sum)
    }

    fn invalidations(&self) -> Option<mpsc::Receiver<Invalidation>> {
        None
    }
}
