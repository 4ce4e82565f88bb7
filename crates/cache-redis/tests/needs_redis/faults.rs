//! A Redis that fails: it costs little, loses nothing, and never serves what was overwritten or deleted meanwhile.

use crate::server::{Server, config, url};
use prefix_indexer_cache::{
    CacheBackend, CacheManager, Entry, MemoryBackend, MemoryConfig, Period, TierOptions,
    fault_proxy::{Fault, FaultProxy},
};
use prefix_indexer_cache_redis::{RedisBackend, RedisConfig};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

const TIMEOUT: Duration = Duration::from_millis(300);
const RETRY_AFTER: Duration = Duration::from_millis(600);

async fn cache(proxy: &FaultProxy) -> CacheManager {
    let config = RedisConfig {
        response_timeout: Period(Duration::from_millis(800)),
        connect_timeout: Period(Duration::from_millis(800)),
        ..config(url(proxy.address()))
    };
    let redis = Arc::new(RedisBackend::open(config).await.unwrap());
    let options = TierOptions { timeout: TIMEOUT, retry_after: RETRY_AFTER, ..TierOptions::default() };
    let memory = Arc::new(MemoryBackend::new(&MemoryConfig::default()).unwrap());
    CacheManager::builder().tier(memory).tier_with(redis, options).build().unwrap()
}

fn faults() -> Vec<Fault> {
    let slow = Fault::Slow { bytes: 1, pause: Duration::from_millis(100) };
    vec![Fault::Reset, Fault::Stall, Fault::Mute, Fault::HalfAnswers(3), slow]
}

/// With each fault: reads during it cost at most the time-out once a window, and a delete and a set that Redis missed, or
/// got without anyone knowing, hold afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server: cargo xtask test"]
async fn every_fault_is_survived() {
    for fault in faults() {
        let server = Server::start();
        let proxy = FaultProxy::start(server.address).await.unwrap();
        let cache = cache(&proxy).await;
        for key in ["deleted", "set", "kept"] {
            assert!(cache.set(key, Entry::new("old")).await.is_ok(), "{fault:?}");
        }
        proxy.set(fault.clone());
        assert!(!cache.delete("deleted").await.is_ok(), "{fault:?}");
        assert!(!cache.set("set", Entry::new("new")).await.is_ok(), "{fault:?}");
        let memory = cache.tier("memory").unwrap();
        memory.clear(&prefix_indexer_cache::Pattern::all()).await.unwrap();

        // So many reads that each window has some.
        let began = Instant::now();
        let mut slowest = Duration::ZERO;
        let mut spent = Duration::ZERO;
        while began.elapsed() < 3 * RETRY_AFTER {
            let read = Instant::now();
            for key in ["deleted", "set", "kept"] {
                let found = cache.get(key).await.map(|entry| entry.value);
                let allowed: &[&str] = match key {
                    "deleted" => &[],
                    "set" => &["new"],
                    _ => &["old"],
                };
                assert!(
                    found.as_ref().is_none_or(|value| allowed.iter().any(|allowed| value == allowed)),
                    "{fault:?} {key}"
                );
                memory.clear(&prefix_indexer_cache::Pattern::all()).await.unwrap();
            }
            spent += read.elapsed();
            slowest = slowest.max(read.elapsed());
            sleep(Duration::from_millis(5)).await;
        }
        // Machines that are busy sleep longer than told.
        let windows = began.elapsed().as_secs_f64() / RETRY_AFTER.as_secs_f64() + 1.0;
        assert!(slowest < TIMEOUT * 2, "{fault:?}: one read took {slowest:?}");
        assert!(spent < TIMEOUT.mul_f64(windows) + TIMEOUT, "{fault:?}: {spent:?} in {windows:.1} windows");

        proxy.set(Fault::None);
        let began = Instant::now();
        loop {
            memory.clear(&prefix_indexer_cache::Pattern::all()).await.unwrap();
            let found = cache.get_many(&["deleted", "set", "kept"]).await;
            let values: Vec<_> = found.into_iter().map(|entry| entry.map(|entry| entry.value)).collect();
            assert_eq!(values[0], None, "{fault:?}: deleted is deleted");
            assert_ne!(values[1], Some("old".into()), "{fault:?}");
            if values[1..] == [Some("new".into()), Some("old".into())] {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{fault:?}: nothing is lost: {values:?}");
            sleep(Duration::from_millis(20)).await;
        }
        let began = Instant::now();
        while cache.stats().await.tiers[1].pending > 0 {
            assert!(began.elapsed() < Duration::from_secs(30), "{fault:?}: all is replayed");
            sleep(Duration::from_millis(20)).await;
        }
        let mut bare = server.bare().await;
        let left: bool = redis::cmd("EXISTS").arg("test/deleted").query_async(&mut bare).await.unwrap();
        assert!(!left, "{fault:?}");
        assert!(cache.stats().await.tiers[1].up, "{fault:?}");
    }
}

/// A connection whose answers never come is given up for a new one, also when nobody waits for them any more.
#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test"]
async fn a_silent_connection_is_replaced() {
    let server = Server::start();
    let proxy = FaultProxy::start(server.address).await.unwrap();
    let config = RedisConfig { invalidation: false, ..config(url(proxy.address())) };
    let tier = RedisBackend::open(config).await.unwrap();
    tier.set("key", Entry::new("value")).await.unwrap();
    assert_eq!(proxy.accepted(), 1);
    proxy.set(Fault::Mute);
    assert!(tokio::time::timeout(Duration::from_millis(600), tier.get("key")).await.is_err());
    proxy.set(Fault::None);
    // Over the old connection every answer would be the one before.
    assert_eq!(tier.get("key").await.unwrap(), Some(Entry::new("value")));
    assert_eq!(proxy.accepted(), 2);
}
