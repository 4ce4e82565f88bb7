//! A store that fails: it costs little, loses nothing, and never serves what was overwritten or deleted meanwhile.

use crate::service::{Service, store};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use prefix_indexer_cache::{
    ByteSize, CacheBackend, CacheManager, Entry, MemoryBackend, MemoryConfig, Pattern, TierOptions,
    fault_proxy::{Fault, FaultProxy},
};
use prefix_indexer_cache_object_store::{ObjectStoreBackend, Settings};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

const TIMEOUT: Duration = Duration::from_millis(400);
const RETRY_AFTER: Duration = Duration::from_millis(800);

fn faults() -> Vec<Fault> {
    vec![
        Fault::Reset,
        Fault::Stall,
        Fault::Mute,
        Fault::HalfAnswers(40),
        Fault::Slow { bytes: 1, pause: Duration::from_millis(50) },
        Fault::http("500 Internal Server Error"),
        Fault::http("503 Service Unavailable"),
    ]
}

fn cache(store: Arc<dyn ObjectStore>) -> CacheManager {
    let tier = Arc::new(ObjectStoreBackend::over("s3", store, Settings::default()).unwrap());
    let options = TierOptions { timeout: TIMEOUT, retry_after: RETRY_AFTER, ..TierOptions::default() };
    let memory = Arc::new(MemoryBackend::new(&MemoryConfig::default()).unwrap());
    CacheManager::builder().tier(memory).tier_with(tier, options).build().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_is_survived() {
    for fault in faults() {
        let service = Service::start().await;
        let proxy = FaultProxy::start(service.address).await.unwrap();
        let cache = cache(Arc::new(store(proxy.address())));
        for key in ["deleted", "set", "kept"] {
            cache.set(key, Entry::new("old")).await.into_result().unwrap();
        }
        proxy.set(fault.clone());
        assert!(!cache.delete("deleted").await.is_ok(), "{fault:?}");
        assert!(!cache.set("set", Entry::new("new")).await.is_ok(), "{fault:?}");
        let memory = cache.tier("memory").unwrap();

        let began = Instant::now();
        let (mut slowest, mut spent) = (Duration::ZERO, Duration::ZERO);
        while began.elapsed() < 3 * RETRY_AFTER {
            for (key, allowed) in [("deleted", ""), ("set", "new"), ("kept", "old")] {
                memory.clear(&Pattern::all()).await.unwrap();
                let read = Instant::now();
                let found = cache.get(key).await.map(|entry| entry.value);
                (slowest, spent) = (slowest.max(read.elapsed()), spent + read.elapsed());
                assert!(found.is_none_or(|value| value == allowed), "{fault:?} {key}");
            }
            sleep(Duration::from_millis(5)).await;
        }
        let windows = began.elapsed().as_secs_f64() / RETRY_AFTER.as_secs_f64() + 1.0;
        assert!(slowest < TIMEOUT * 2, "{fault:?}: one read took {slowest:?}");
        assert!(spent < TIMEOUT.mul_f64(windows) + TIMEOUT, "{fault:?}: {spent:?} in {windows:.1} windows");

        proxy.set(Fault::None);
        let began = Instant::now();
        loop {
            memory.clear(&Pattern::all()).await.unwrap();
            let found = cache.get_many(&["deleted", "set", "kept"]).await;
            let values: Vec<_> = found.into_iter().map(|entry| entry.map(|entry| entry.value)).collect();
            assert_eq!(values[0], None, "{fault:?}: deleted is deleted");
            assert_ne!(values[1], Some("old".into()), "{fault:?}");
            if values[1..] == [Some("new".into()), Some("old".into())] {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{fault:?}: nothing is lost: {values:?}");
            sleep(Duration::from_millis(20)).await;
        }
        let began = Instant::now();
        while cache.stats().await.tiers[1].pending > 0 {
            assert!(began.elapsed() < Duration::from_secs(30), "{fault:?}: all is replayed");
            sleep(Duration::from_millis(20)).await;
        }
        let bare = store(service.address);
        assert!(bare.head(&Path::parse("deleted").unwrap()).await.is_err(), "{fault:?}");
    }
}

/// A large value that is broken off in the middle is not there, and neither are its parts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_breaks_leaves_nothing() {
    let service = Service::start().await;
    let proxy = FaultProxy::start(service.address).await.unwrap();
    let settings = Settings { multipart_threshold: ByteSize(5 << 20), ..Settings::default() };
    let tier = Arc::new(ObjectStoreBackend::over("s3", Arc::new(store(proxy.address())), settings).unwrap());
    let large = Entry::new(vec![7; 40 << 20]);
    let writer = tokio::spawn({
        let (tier, large) = (Arc::clone(&tier), large.clone());
        async move { tier.set("large", large).await }
    });
    // The first part's connection is there.
    let began = Instant::now();
    while proxy.accepted() < 2 && began.elapsed() < Duration::from_secs(10) {
        sleep(Duration::from_millis(1)).await;
    }
    writer.abort();
    drop(writer.await);
    assert_eq!(tier.get("large").await.unwrap(), None);
    tier.set("large", large.clone()).await.unwrap();
    assert!(tier.get("large").await.unwrap() == Some(large));
}
