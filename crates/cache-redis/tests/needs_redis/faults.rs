//! A Redis that fails: it costs little, loses nothing, and never serves what was overwritten or deleted meanwhile.

use crate::server::{self, config, url};
use async_trait::async_trait;
use prefix_indexer_cache::{
    CacheBackend, Entry, Period, Result,
    fault_proxy::{Fault, FaultProxy},
    outages::{self, Remote},
};
use prefix_indexer_cache_redis::{RedisBackend, RedisConfig, RedisServer};
use std::{net::SocketAddr, sync::Arc, time::Duration};

struct Redis(RedisServer);

#[async_trait]
impl Remote for Redis {
    fn server(&self) -> SocketAddr {
        self.0.address()
    }

    async fn open(&self, address: SocketAddr, place: &str) -> Result<Arc<dyn CacheBackend>> {
        let second = Period(Duration::from_secs(1));
        let config = RedisConfig { prefix: place.to_owned(), url: url(address), ..RedisConfig::default() };
        let config = RedisConfig { response_timeout: second, connect_timeout: second, ..config };
        Ok(Arc::new(RedisBackend::open(config).await?))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server: cargo xtask test"]
async fn every_fault_is_survived() {
    let failures = outages::run_all(&Redis(server::start())).await;
    assert!(failures.is_empty(), "{failures:#?}");
}

/// A connection whose answers never come is given up for a new one, also when nobody waits for them any more.
#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test"]
async fn a_silent_connection_is_replaced() {
    let server = server::start();
    let proxy = FaultProxy::start(server.address()).await.unwrap();
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

/// A server that refused to be connected to is asked again.
#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test"]
async fn a_refused_connection_is_tried_again() {
    let server = RedisServer::start(&["--port", "{port}", "--requirepass", "old"]).unwrap();
    let with = |password: &str| format!("redis://:{password}@{}/0", server.address());
    let tier = RedisBackend::open(RedisConfig { invalidation: false, ..config(with("new")) }).await.unwrap();
    tier.get("key").await.unwrap_err();
    let administrator = redis::Client::open(with("old")).unwrap();
    let mut administrator = administrator.get_multiplexed_async_connection().await.unwrap();
    let change = ["SET", "requirepass", "new"];
    let () = redis::cmd("CONFIG").arg(&change).query_async(&mut administrator).await.unwrap();
    tier.set("key", Entry::new("value")).await.unwrap();
    assert_eq!(tier.get("key").await.unwrap(), Some(Entry::new("value")));
}
