//! What the plugin cache could do (docs/parity.md, part D), row by row.
#![expect(clippy::unwrap_used, reason = "tests")]

use prefix_indexer_cache::{
    BackendRegistry, ByteSize, CacheConfig, CacheManager, Codec, Compression, DEFAULT_TTL, EMBEDDING_TTL, Entry,
    Eviction, FilesystemConfig, Metadata, Pattern, parse_section,
};
use std::time::Duration;

async fn two_tiers() -> (tempfile::TempDir, CacheManager) {
    let root = tempfile::tempdir().unwrap();
    let text = format!(
        "[[tiers]]\nbackend = \"memory\"\n[[tiers]]\nbackend = \"filesystem\"\npath = \"{}\"",
        root.path().display()
    );
    let config: CacheConfig = parse_section("[cache]", text.parse().unwrap()).unwrap();
    let cache = CacheManager::from_config(&config, &BackendRegistry::with_defaults()).await.unwrap();
    (root, cache)
}

/// Backend: get, set(ttl), delete, exists, clear(pattern) -> count, stats.
#[tokio::test]
async fn d1_backend() {
    let (_root, cache) = two_tiers().await;
    for name in ["memory", "filesystem"] {
        let backend = cache.tier(name).unwrap();
        backend.set("a/1", Entry::new("value").with_ttl(Duration::from_secs(60))).await.unwrap();
        assert_eq!(backend.get("a/1").await.unwrap().unwrap().value, "value");
        assert!(backend.exists("a/1").await.unwrap());
        assert_eq!(backend.stats().await.unwrap().entries, Some(1));
        assert!(backend.delete("a/1").await.unwrap());
        backend.set("a/2", Entry::new("value")).await.unwrap();
        assert_eq!(backend.clear(&Pattern::new("a/*")).await.unwrap(), 1);
    }
}

/// Manager: tiers in order; a hit fills the higher ones; set writes all, with a result per tier; get_or_load.
#[tokio::test]
async fn d2_manager() {
    let (_root, cache) = two_tiers().await;
    let report = cache.set("key", Entry::new("value")).await;
    assert_eq!(
        report.tiers().map(|(tier, result)| (tier, result.is_ok())).collect::<Vec<_>>(),
        [("memory", true), ("filesystem", true)]
    );
    let memory = cache.tier("memory").unwrap();
    assert!(memory.delete("key").await.unwrap());
    assert_eq!(cache.get("key").await.unwrap().value, "value");
    cache.settle().await;
    assert!(memory.exists("key").await.unwrap());
    let loaded = cache.get_or_load("new", None, || async { Ok(Entry::new("loaded")) }).await.unwrap();
    assert_eq!(loaded.value, "loaded");
}

/// Filesystem: 1000 MB, LRU and FIFO. Default TTL 3600 s; compression on by default; bincode, JSON, MessagePack.
#[test]
fn d3_defaults() {
    let files = FilesystemConfig::default();
    assert_eq!((files.max_size, files.eviction), (ByteSize(1_000_000_000), Eviction::Lru));
    assert_eq!(toml::toml! { eviction = "fifo" }.try_into::<FilesystemConfig>().unwrap().eviction, Eviction::Fifo);
    let config = CacheConfig::default();
    assert_eq!((config.default_ttl.0, DEFAULT_TTL), (Duration::from_secs(3600), Duration::from_secs(3600)));
    assert_ne!(config.compression, Compression::None);
    for (name, codec) in [("bincode", Codec::Bincode), ("json", Codec::Json), ("messagepack", Codec::MessagePack)] {
        let config: CacheConfig = format!("format = \"{name}\"").parse::<toml::Table>().unwrap().try_into().unwrap();
        assert_eq!(config.format, codec);
    }
    assert_eq!(EMBEDDING_TTL, Duration::from_secs(24 * 3600));
}

/// Statistics on by default; metadata travels with a value through the tiers.
#[tokio::test]
async fn d4_statistics_and_metadata() {
    let (_root, cache) = two_tiers().await;
    let metadata: Metadata = [("source", "prefetch"), ("confidence", "0.8")].into_iter().collect();
    assert!(cache.set("key", Entry::new("value").with_metadata(metadata.clone())).await.is_ok());
    cache.tier("memory").unwrap().clear(&Pattern::all()).await.unwrap();
    assert_eq!(cache.get("key").await.unwrap().metadata, metadata);
    assert!(cache.get("absent").await.is_none());
    let stats = cache.stats().await;
    assert_eq!((stats.hits, stats.misses, stats.hit_ratio()), (1, 1, 0.5));
    assert_eq!(stats.tiers[1].backend.unwrap().entries, Some(1));
}

/// Registry: an unknown name is an error that lists the known.
#[tokio::test]
async fn d5_registry() {
    let error = BackendRegistry::with_defaults().create("tape", toml::Table::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "`tape` is not a known backend: expected filesystem, memory");
}
