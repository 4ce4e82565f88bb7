//! Copies made on purpose: what they are, and what they never do.
#![expect(clippy::unwrap_used, reason = "tests")]

use prefix_indexer_cache::{ByteSize, CacheBackend, CacheManager, Entry, MemoryBackend, MemoryConfig, Promotion};
use std::{sync::Arc, time::Duration};

fn memory() -> Arc<dyn CacheBackend> {
    Arc::new(MemoryBackend::new(&MemoryConfig { max_size: ByteSize(1 << 20) }).unwrap())
}

fn tiers() -> (Arc<dyn CacheBackend>, Arc<dyn CacheBackend>, CacheManager) {
    let (first, second) = (memory(), memory());
    let cache = CacheManager::builder().tier(Arc::clone(&first)).tier(Arc::clone(&second)).build().unwrap();
    (first, second, cache)
}

#[tokio::test]
async fn what_a_lower_tier_has_is_copied_once() {
    let (first, second, cache) = tiers();
    second.set("key", Entry::new("value").with_ttl(Duration::from_secs(9))).await.unwrap();
    assert_eq!(cache.is_local(&["key", "other"]).await.unwrap(), [false, false]);
    let dress = |entry: Entry| Ok(Entry { metadata: [("source", "prefetch")].into_iter().collect(), ..entry });
    assert_eq!(cache.promote("key", dress).await.unwrap(), Promotion::Copied { bytes: 5 });
    assert_eq!(cache.promote("key", dress).await.unwrap(), Promotion::Resident);
    assert_eq!(cache.promote("other", dress).await.unwrap(), Promotion::Missing);
    let copy = first.get("key").await.unwrap().unwrap();
    assert_eq!((copy.value.as_ref(), copy.metadata.get("source")), (&b"value"[..], Some("prefetch")));
    assert!(copy.ttl.unwrap() <= Duration::from_secs(9));
    let stats = cache.stats().await;
    assert_eq!((stats.hits, stats.misses, stats.tiers[0].fills, stats.tiers[1].hits), (0, 0, 1, 0));
}

#[tokio::test]
async fn a_copy_that_was_overtaken_by_a_write_is_not_made() {
    let (first, second, cache) = tiers();
    second.set("key", Entry::new("old")).await.unwrap();
    let writer = cache.clone();
    let overtake = |entry: Entry| {
        if entry.value == "old" {
            // The write comes between the read of the cold tier and the copy.
            let writer = writer.clone();
            let write = async move { writer.set("key", Entry::new("new")).await.is_ok() };
            assert!(futures_util::future::FutureExt::now_or_never(write).is_none());
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(entry)
    };
    assert_eq!(cache.promote("key", overtake).await.unwrap(), Promotion::Resident);
    assert_eq!(first.get("key").await.unwrap().unwrap().value, "new");
}

#[tokio::test]
async fn what_does_not_fit_is_an_error_and_what_is_refused_too() {
    let (first, second, cache) = tiers();
    let small = Arc::new(MemoryBackend::new(&MemoryConfig { max_size: ByteSize(4096) }).unwrap());
    let narrow = CacheManager::builder().tier(small).tier(Arc::clone(&second)).build().unwrap();
    second.set("key", Entry::new(vec![0; 100_000])).await.unwrap();
    let error = narrow.promote("key", Ok).await.unwrap_err().to_string();
    assert!(error.contains("too large"), "{error}");
    let refuse = |_| Err(prefix_indexer_cache::CacheError::Corrupt { offset: 0, what: "not this one".into() });
    assert!(cache.promote("key", refuse).await.is_err());
    assert!(first.get("key").await.unwrap().is_none());
}
