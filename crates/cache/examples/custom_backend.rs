//! A backend of one's own: registered from outside, named in configuration, checked by the suite of the crate.
//!
//! `cargo run -p prefix-indexer-cache --example custom_backend`

use async_trait::async_trait;
use prefix_indexer_cache::{
    BackendRegistry, BackendStats, CacheBackend, CacheConfig, CacheError, CacheManager, Entry, Invalidation, Listed,
    Pattern, Result,
    conformance::{self, Subject},
    one_by_one, parse_section,
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// The simplest place there is: a map that keeps at most so many entries, the first by key leaving first.
#[derive(Debug)]
struct MapBackend {
    max_entries: usize,
    entries: Mutex<BTreeMap<String, (Entry, Option<Instant>)>>,
}

/// Its fields in `[[cache.tiers]]`. Unknown ones are refused with the list of these.
#[derive(Deserialize)]
struct MapConfig {
    max_entries: usize,
}

impl MapBackend {
    fn new(config: &MapConfig) -> Result<MapBackend> {
        if config.max_entries == 0 {
            return Err(CacheError::config("map", "max_entries is zero"));
        }
        Ok(MapBackend { max_entries: config.max_entries, entries: Mutex::default() })
    }

    /// The entries, without those that have expired.
    fn live(&self) -> MutexGuard<'_, BTreeMap<String, (Entry, Option<Instant>)>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, (_, ends)| ends.is_none_or(|ends| ends > Instant::now()));
        entries
    }
}

#[async_trait]
impl CacheBackend for MapBackend {
    fn name(&self) -> &str {
        "map"
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        let left = |ends: &Option<Instant>| ends.map(|ends| ends.saturating_duration_since(Instant::now()));
        Ok(self.live().get(key).map(|(entry, ends)| Entry { ttl: left(ends), ..entry.clone() }))
    }

    async fn set(&self, key: &str, entry: Entry) -> Result<()> {
        if key.is_empty() {
            return Err(CacheError::Key { backend: "map".into(), key: key.into(), why: "it is empty" });
        }
        let ends = entry.ttl.map(|ttl| Instant::now() + ttl);
        let mut entries = self.live();
        entries.insert(key.to_owned(), (entry, ends));
        while entries.len() > self.max_entries {
            entries.pop_first();
        }
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        Ok(self.live().remove(key).is_some())
    }

    async fn exists(&self, key: &str) -> Result<bool> {
        Ok(self.live().contains_key(key))
    }

    async fn list(&self, pattern: &Pattern, limit: usize) -> Result<Vec<Listed>> {
        let entries = self.live();
        let matching = entries.iter().filter(|(key, _)| pattern.matches(key)).take(limit);
        Ok(matching.map(|(key, (entry, _))| Listed { key: key.clone(), size: entry.value.len() as u64 }).collect())
    }

    async fn clear(&self, pattern: &Pattern) -> Result<u64> {
        let mut entries = self.live();
        let before = entries.len();
        entries.retain(|key, _| !pattern.matches(key));
        Ok((before - entries.len()) as u64)
    }

    async fn stats(&self) -> Result<BackendStats> {
        let mut stats = BackendStats::default();
        stats.entries = Some(self.live().len() as u64);
        Ok(stats)
    }

    // A map has no many-key commands of its own, and nobody else writes to it.

    async fn get_many(&self, keys: &[&str]) -> Vec<Result<Option<Entry>>> {
        one_by_one::get_many(self, keys).await
    }

    async fn set_many(&self, entries: &[(&str, Entry)]) -> Vec<Result<()>> {
        one_by_one::set_many(self, entries).await
    }

    async fn delete_many(&self, keys: &[&str]) -> Vec<Result<bool>> {
        one_by_one::delete_many(self, keys).await
    }

    fn invalidations(&self) -> Option<mpsc::Receiver<Invalidation>> {
        None
    }
}

/// How the suite gets fresh ones.
struct Maps;

#[async_trait]
impl Subject for Maps {
    async fn fresh(&self) -> Result<Arc<dyn CacheBackend>> {
        Ok(Arc::new(MapBackend::new(&MapConfig { max_entries: 10_000 })?))
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn tick(&self) -> Duration {
        Duration::from_millis(20)
    }
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "an example talks")]
async fn main() -> Result<()> {
    let failures = conformance::run_all(&Maps).await;
    println!("{} promises checked, {} broken", conformance::CHECKS.len(), failures.len());
    for failure in &failures {
        println!("  {failure}");
    }

    let mut registry = BackendRegistry::with_defaults();
    registry
        .register("map", async |config: MapConfig| Ok(Arc::new(MapBackend::new(&config)?) as Arc<dyn CacheBackend>));
    let configuration = toml::toml! {
        default_ttl = "10m"
        [[tiers]]
        backend = "memory"
        [[tiers]]
        backend = "map"
        max_entries = 100
    };
    let config: CacheConfig = parse_section("[cache]", configuration)?;
    let cache = CacheManager::from_config(&config, &registry).await?;
    cache.set("key", Entry::new("value")).await.into_result()?;
    println!("tiers: {:?}, value: {:?}", cache.tier_names().collect::<Vec<_>>(), cache.get("key").await);

    match registry.create("map", toml::toml! { max_entry = 1 }).await {
        Ok(_) => println!("that should have been refused"),
        Err(error) => println!("{error}"),
    }
    Ok(())
}
