//! Embeddings and query results over tiers.
#![expect(clippy::unwrap_used, reason = "tests")]

use prefix_indexer_cache::{
    CacheBackendExt, CacheManager, Codec, Compression, Embedding, EmbeddingCache, FilesystemBackend, FilesystemConfig,
    Framing, MemoryBackend, MemoryConfig, QueryKey, QueryResultCache,
};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, path::Path, sync::Arc, time::Duration};

fn memory() -> Arc<MemoryBackend> {
    Arc::new(MemoryBackend::new(&MemoryConfig::default()).unwrap())
}

async fn over_files(path: &Path) -> CacheManager {
    let config = FilesystemConfig { path: path.to_owned(), ..FilesystemConfig::default() };
    let files = Arc::new(FilesystemBackend::open(config).await.unwrap());
    CacheManager::builder().tier(memory()).tier(files).build().unwrap()
}

#[tokio::test]
async fn an_embedding_survives_its_process_and_loses_no_bit() {
    let root = tempfile::tempdir().unwrap();
    let numbers: Vec<f32> = (0..1_536).map(|i| (i as f32).sin() / 3.0).collect();
    let cache = EmbeddingCache::new(over_files(root.path()).await);
    assert!(cache.get("text", "model").await.is_none());
    assert!(cache.set("text", "model", &Embedding::vector(&numbers).unwrap()).await.unwrap().is_ok());
    drop(cache);
    let again = EmbeddingCache::new(over_files(root.path()).await);
    let found = again.get("text", "model").await.unwrap();
    assert_eq!(*found.as_f32().unwrap(), numbers[..]);
    assert_eq!(again.hits_and_misses(), (1, 0));
    assert!(again.get("text", "another model").await.is_none());
    assert!(again.get("another text", "model").await.is_none());
    assert_eq!(again.hits_and_misses(), (1, 2));
}

#[tokio::test]
async fn a_hit_in_memory_copies_nothing() {
    let cache = EmbeddingCache::new(CacheManager::builder().tier(memory()).build().unwrap());
    let report = cache.set("text", "model", &Embedding::vector(&[1.5; 768]).unwrap()).await.unwrap();
    assert!(report.is_ok());
    let (first, second) = (cache.get("text", "model").await.unwrap(), cache.get("text", "model").await.unwrap());
    assert_eq!(first.bytes().as_ptr(), second.bytes().as_ptr(), "both are the stored bytes");
    let numbers = first.as_f32().unwrap();
    assert!(matches!(numbers, Cow::Borrowed(_)));
    assert_eq!(numbers.as_ptr().cast(), first.bytes().as_ptr());
}

#[tokio::test(start_paused = true)]
async fn embeddings_live_for_a_day_unless_told_otherwise() {
    const HOUR: Duration = Duration::from_secs(3600);
    let cache = EmbeddingCache::new(CacheManager::builder().tier(memory()).build().unwrap());
    let embedding = Embedding::vector(&[1.0]).unwrap();
    assert!(cache.set("day", "model", &embedding).await.unwrap().is_ok());
    assert!(cache.clone().with_ttl(HOUR).set("hour", "model", &embedding).await.unwrap().is_ok());
    tokio::time::advance(HOUR * 2).await;
    assert!(cache.get("day", "model").await.is_some() && cache.get("hour", "model").await.is_none());
    tokio::time::advance(HOUR * 22).await;
    assert!(cache.get("day", "model").await.is_none());
}

#[tokio::test]
async fn all_embeddings_of_a_model_can_be_forgotten() {
    let cache = EmbeddingCache::new(CacheManager::builder().tier(memory()).build().unwrap());
    for (text, model) in [("a", "old"), ("b", "old"), ("a", "other")] {
        assert!(cache.set(text, model, &Embedding::vector(&[1.0]).unwrap()).await.unwrap().is_ok());
    }
    assert_eq!(cache.forget_model("old").await.into_result().unwrap(), [2]);
    assert!(cache.get("a", "old").await.is_none() && cache.get("a", "other").await.is_some());
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Hit {
    id: u64,
    score: f64,
}

#[tokio::test]
async fn results_of_queries_with_every_codec() {
    for codec in [Codec::Bincode, Codec::Json, Codec::MessagePack] {
        let tier = memory();
        let manager = CacheManager::builder().tier(tier.clone()).build().unwrap();
        let cache = QueryResultCache::new(manager, Framing { codec, compression: Compression::Lz4 });
        let key = QueryKey::new("q", [("lang", "de"), ("year", "2026")], "bm25");
        let hits = vec![Hit { id: 7, score: 0.5 }, Hit { id: u64::MAX, score: -1e300 }];
        assert!(cache.set(&key, &hits).await.unwrap().is_ok());
        let same = QueryKey::new("q", [("year", "2026"), ("lang", "de")], "bm25");
        assert_eq!(cache.get::<Vec<Hit>>(&same).await, Some(hits));
        for other in [
            QueryKey::new("q", [("lang", "de"), ("year", "2026")], "dense"),
            QueryKey::new("q", [("lang", "de")], "bm25"),
            QueryKey::new("p", [("lang", "de"), ("year", "2026")], "bm25"),
            QueryKey::new("q", [("langde", ""), ("year", "2026")], "bm25"),
        ] {
            assert_eq!(cache.get::<Vec<Hit>>(&other).await, None);
        }
        assert_eq!(cache.hits_and_misses(), (1, 4));
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_a_miss_dropped_and_made_anew() {
    let tier = memory();
    let cache = QueryResultCache::new(CacheManager::builder().tier(tier.clone()).build().unwrap(), Framing::default());
    let key = QueryKey::new("q", [("", ""); 0], "");
    for damage in [&b"no frame at all"[..], &Framing::default().encode("another type").unwrap()] {
        tier.set_value(key.as_str(), damage.to_vec().into()).await.unwrap();
        assert_eq!(cache.get::<Vec<Hit>>(&key).await, None);
        assert!(tier.get_value(key.as_str()).await.unwrap().is_none(), "dropped");
        tier.set_value(key.as_str(), damage.to_vec().into()).await.unwrap();
        let made = cache.get_or_run(&key, || async { Ok(vec![Hit { id: 1, score: 1.0 }]) }).await.unwrap();
        assert_eq!(made.len(), 1);
        assert_eq!(cache.get::<Vec<Hit>>(&key).await, Some(made));
    }
    assert_eq!(cache.hits_and_misses(), (2, 4));
}
