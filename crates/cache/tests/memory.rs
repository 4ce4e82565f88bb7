//! The memory tier keeps every promise of the suite, its byte budget, and its time.

use async_trait::async_trait;
use prefix_indexer_cache::{
    ByteSize, CacheBackend, CacheBackendExt, CacheError, Entry, MemoryBackend, MemoryConfig, Result,
    conformance::{self, Subject},
};
use std::{sync::Arc, time::Duration};

struct Memory;

#[async_trait]
impl Subject for Memory {
    async fn fresh(&self) -> Result<Arc<dyn CacheBackend>> {
        Ok(Arc::new(MemoryBackend::new(&MemoryConfig::default())?))
    }

    async fn pass(&self, time: Duration) {
        tokio::time::advance(time).await;
    }

    fn tick(&self) -> Duration {
        Duration::from_millis(1)
    }
}

#[tokio::test(start_paused = true)]
async fn it_conforms() {
    let failures = conformance::run_all(&Memory).await;
    assert!(failures.is_empty(), "{failures:#?}");
}

#[tokio::test]
async fn the_budget_holds_and_evictions_are_counted() {
    let memory = MemoryBackend::new(&MemoryConfig { max_size: ByteSize(1 << 20) }).unwrap();
    for i in 0..2_000 {
        memory.set(&format!("key-{i}"), Entry::new(vec![0; 2_000])).await.unwrap();
    }
    let stats = memory.stats().await.unwrap();
    assert!(stats.bytes.unwrap() <= 1 << 20, "{stats:?}");
    assert!(stats.entries.unwrap() > 400, "{stats:?}");
    assert_eq!(stats.evicted + stats.entries.unwrap(), 2_000);
}

#[tokio::test]
async fn a_value_that_can_never_fit_is_an_error_and_leaves_nothing_behind() {
    let memory = MemoryBackend::new(&MemoryConfig { max_size: ByteSize(10_000) }).unwrap();
    memory.set_value("key", "old".into()).await.unwrap();
    let error = memory.set_value("key", vec![0; 10_000].into()).await.unwrap_err();
    assert!(matches!(error, CacheError::TooLarge { size: 10_163, max: 9_700, .. }), "{error:?}");
    assert!(!error.is_outage());
    assert_eq!(memory.get("key").await.unwrap(), None);
}

#[tokio::test]
async fn a_hit_shares_the_bytes() {
    let memory = MemoryBackend::new(&MemoryConfig::default()).unwrap();
    let value = bytes::Bytes::from(vec![7; 1 << 20]);
    memory.set_value("key", value.clone()).await.unwrap();
    assert_eq!(memory.get_value("key").await.unwrap().unwrap().as_ptr(), value.as_ptr());
}

#[test]
fn no_budget_is_refused() {
    assert!(MemoryBackend::new(&MemoryConfig { max_size: ByteSize(0) }).is_err());
}
