//! A cache's counts in the Prometheus text.

use prefix_indexer_cache::{CacheManager, Entry, MemoryBackend, MemoryConfig};
use prefix_indexer_service::{IndexerOptions, PrefixIndexer};
use prefix_indexer_storage::{OpenOptions, StoreKind, open};
use std::{path::Path, sync::Arc};

#[tokio::test]
async fn tiers_are_exported_once_they_were_observed() {
    let store = open(StoreKind::Memory, Path::new("memory"), OpenOptions::default()).unwrap();
    let indexer = PrefixIndexer::start(store, IndexerOptions::default());
    assert!(!indexer.metrics().exposition().contains("cache_"));

    let memory = Arc::new(MemoryBackend::new(&MemoryConfig::default()).unwrap());
    let cache = CacheManager::builder().tier(memory).build().unwrap();
    assert!(cache.set("key", Entry::new("value")).await.is_ok());
    for key in ["key", "key", "absent"] {
        cache.get(key).await;
    }
    indexer.metrics().observe_cache(cache.stats().await);
    let text = indexer.metrics().exposition();
    for line in [
        "# TYPE prefix_indexer_cache_requests counter",
        "prefix_indexer_cache_requests_total{tier=\"memory\",result=\"hit\"} 2",
        "prefix_indexer_cache_requests_total{tier=\"memory\",result=\"miss\"} 1",
        "prefix_indexer_cache_requests_total{tier=\"memory\",result=\"behind\"} 0",
        "prefix_indexer_tier_up{tier=\"memory\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(text.contains("prefix_indexer_cache_bytes{tier=\"memory\"} "), "{text}");
    assert!(text.ends_with("# EOF\n"));
}
