//! Two nodes with a memory tier each over one Redis: what one changes, the other no longer serves from memory.

use crate::server::{self, config, url};
use prefix_indexer_cache::{
    CacheBackend, CacheManager, Entry, MemoryBackend, MemoryConfig, Pattern, TierOptions,
    fault_proxy::{Fault, FaultProxy},
};
use prefix_indexer_cache_redis::RedisBackend;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

async fn node(url: String) -> CacheManager {
    let memory = Arc::new(MemoryBackend::new(&MemoryConfig::default()).unwrap());
    let redis = Arc::new(RedisBackend::open(config(url)).await.unwrap());
    let options = TierOptions { retry_after: Duration::from_millis(200), ..TierOptions::default() };
    CacheManager::builder().tier(memory).tier_with(redis, options).build().unwrap()
}

/// What a node has in memory.
async fn copy(node: &CacheManager, key: &str) -> Option<Entry> {
    node.tier("memory").unwrap().get(key).await.unwrap()
}

/// Polls until it holds; news take a moment.
async fn soon(what: &str, condition: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < Duration::from_secs(15), "{what}");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test"]
async fn one_nodes_write_drops_the_others_copies() {
    let server = server::start();
    let (here, there) = (node(server.url()).await, node(server.url()).await);
    for key in ["set", "deleted", "cleared/1", "cleared/2", "many", "kept"] {
        assert!(here.set(key, Entry::new("old")).await.is_ok());
        soon("a copy each", async || there.get(key).await.is_some() && copy(&there, key).await.is_some()).await;
    }
    assert!(here.set("set", Entry::new("new")).await.is_ok());
    assert!(here.delete("deleted").await.is_ok());
    assert!(here.clear(&Pattern::new("cleared/*")).await.is_ok());
    for result in CacheBackend::set_many(&here, &[("many", Entry::new("new"))]).await {
        result.unwrap();
    }
    for key in ["set", "deleted", "cleared/1", "cleared/2", "many"] {
        soon(key, async || copy(&there, key).await.is_none_or(|entry| entry.value != "old")).await;
    }
    assert_eq!(there.get("set").await.unwrap().value, "new");
    assert_eq!((there.get("deleted").await, there.get("cleared/2").await), (None, None));
    // What was not changed keeps its copy, and so does the node that made the changes.
    assert_eq!(copy(&there, "kept").await.unwrap().value, "old");
    assert_eq!(copy(&here, "set").await.unwrap().value, "new");
}

#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test"]
async fn a_lost_subscription_drops_the_memory_tier() {
    let server = server::start();
    let proxy = FaultProxy::start(server.address()).await.unwrap();
    let (near, far) = (node(server.url()).await, node(url(proxy.address())).await);
    assert!(near.set("key", Entry::new("old")).await.is_ok());
    soon("a copy", async || far.get("key").await.is_some() && copy(&far, "key").await.is_some()).await;
    proxy.set(Fault::Reset);
    soon("dropped when it is lost", async || copy(&far, "key").await.is_none()).await;
    // This message reaches nobody.
    assert!(near.set("key", Entry::new("new")).await.is_ok());
    // A copy that was made meanwhile, from wherever, may be of before.
    far.tier("memory").unwrap().set("key", Entry::new("old")).await.unwrap();
    proxy.set(Fault::None);
    soon("dropped when it is back", async || copy(&far, "key").await.is_none_or(|entry| entry.value != "old")).await;
    soon("read again", async || far.get("key").await.is_some_and(|entry| entry.value == "new")).await;
    // And it hears again.
    soon("a copy", async || far.get("key").await.is_some() && copy(&far, "key").await.is_some()).await;
    assert!(near.delete("key").await.is_ok());
    soon("heard again", async || copy(&far, "key").await.is_none()).await;
}

/// A subscription that dies in silence is noticed too.
#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test"]
async fn a_silent_subscription_is_noticed() {
    let server = server::start();
    let proxy = FaultProxy::start(server.address()).await.unwrap();
    let (near, far) = (node(server.url()).await, node(url(proxy.address())).await);
    assert!(near.set("key", Entry::new("old")).await.is_ok());
    soon("a copy", async || far.get("key").await.is_some() && copy(&far, "key").await.is_some()).await;
    proxy.set(Fault::Stall);
    assert!(near.delete("key").await.is_ok());
    soon("dropped", async || copy(&far, "key").await.is_none()).await;
}

#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test"]
async fn a_node_starts_while_its_server_is_down() {
    let server = server::start();
    let address = server.address();
    drop(server);
    let node = node(url(address)).await;
    assert!(!node.set("key", Entry::new("value")).await.is_ok());
    assert_eq!(node.get("key").await.unwrap().value, "value");
    let server = server::start_again(address);
    let mut bare = server::bare(&server).await;
    let began = Instant::now();
    loop {
        let found: Option<String> = redis::cmd("GET").arg("test/key").query_async(&mut bare).await.unwrap();
        if found.as_deref() == Some("value") {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(15), "what it missed is replayed");
        sleep(Duration::from_millis(20)).await;
    }
}
