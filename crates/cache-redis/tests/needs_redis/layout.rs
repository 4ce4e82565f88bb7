//! What an engine finds in Redis, and what it leaves there.

use crate::server::{self, config};
use prefix_indexer_cache::{
    BackendRegistry, CacheBackend, CacheConfig, CacheError, CacheManager, Entry, Metadata, Pattern, parse_section,
};
use prefix_indexer_cache_redis::{RedisBackend, RedisConfig, RedisServer};
use std::time::Duration;

#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test"]
async fn raw_values_are_an_engines_own() {
    let server = server::start();
    let mut engine = server::bare(&server).await;
    let tier = RedisBackend::open(config(server.url())).await.unwrap();
    let value: Vec<u8> = (0..=255).collect();

    tier.set("ours", Entry::new(value.clone()).with_ttl(Duration::from_secs(60))).await.unwrap();
    let found: Vec<u8> = redis::cmd("GET").arg("test/ours").query_async(&mut engine).await.unwrap();
    assert_eq!(found, value);
    let left: i64 = redis::cmd("PTTL").arg("test/ours").query_async(&mut engine).await.unwrap();
    assert!((59_000..=60_000).contains(&left), "{left}");

    let () = redis::cmd("SET").arg("test/theirs").arg(&value).arg("EX").arg(60).query_async(&mut engine).await.unwrap();
    let entry = tier.get("theirs").await.unwrap().unwrap();
    assert_eq!((&entry.value[..], entry.metadata.len()), (&value[..], 0));
    assert!(entry.ttl.unwrap() > Duration::from_secs(59));
}

/// Value and metadata are one key, so nothing ever has one without the other; and an engine's write replaces both.
#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test"]
async fn metadata_and_value_are_one_key() {
    let server = server::start();
    let mut engine = server::bare(&server).await;
    let tier = RedisBackend::open(config(server.url())).await.unwrap();
    let metadata: Metadata = [("v", "1"), ("m:v", "2"), ("", "")].into_iter().collect();
    tier.set("key", Entry::new("value").with_metadata(metadata.clone())).await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut engine).await.unwrap();
    assert_eq!(keys, ["test/key"]);
    assert_eq!(tier.get("key").await.unwrap().unwrap().metadata, metadata);
    let () = redis::cmd("SET").arg("test/key").arg("theirs").query_async(&mut engine).await.unwrap();
    assert_eq!(tier.get("key").await.unwrap(), Some(Entry::new("theirs")));
}

#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test"]
async fn what_is_no_value_is_a_miss_and_is_counted() {
    let server = server::start();
    let mut engine = server::bare(&server).await;
    let tier = RedisBackend::open(config(server.url())).await.unwrap();
    let () = redis::cmd("RPUSH").arg("test/list").arg("x").query_async(&mut engine).await.unwrap();
    let () = redis::cmd("HSET").arg("test/hash").arg("x").arg("y").query_async(&mut engine).await.unwrap();
    let () = redis::cmd("SET").arg(&b"test/\xff"[..]).arg("y").query_async(&mut engine).await.unwrap();
    tier.set("good", Entry::new("value")).await.unwrap();
    let found: Vec<_> = tier.get_many(&["list", "good", "hash"]).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(found, [None, Some(Entry::new("value")), None]);
    assert_eq!(tier.stats().await.unwrap().corrupt, 2);
    let keys: Vec<String> = tier.list(&Pattern::all(), 10).await.unwrap().into_iter().map(|row| row.key).collect();
    assert_eq!(keys, ["good"]);
    // A set replaces whatever is there.
    tier.set("list", Entry::new("value")).await.unwrap();
    assert_eq!(tier.get("list").await.unwrap(), Some(Entry::new("value")));
}

#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test"]
async fn prefixes_keep_apart_and_clear_stays_within() {
    let server = server::start();
    let tier = async |prefix: &str| {
        RedisBackend::open(RedisConfig { prefix: prefix.into(), ..config(server.url()) }).await.unwrap()
    };
    let (a, b) = (tier("a*/").await, tier("ab/").await);
    for tier in [&a, &b] {
        tier.set("key", Entry::new("value")).await.unwrap();
    }
    assert_eq!(a.clear(&Pattern::all()).await.unwrap(), 1);
    assert!(b.exists("key").await.unwrap() && !a.exists("key").await.unwrap());
}

/// A full server says so, and what the key held stays whole.
#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test"]
async fn a_full_server_refuses_and_loses_nothing() {
    let server = RedisServer::start(&["--port", "{port}", "--maxmemory", "8mb"]).unwrap();
    let tier = RedisBackend::open(config(server.url())).await.unwrap();
    tier.set("key", Entry::new("old")).await.unwrap();
    let mut filled = 0;
    let full = loop {
        match tier.set(&format!("fill/{filled}"), Entry::new(vec![7; 1 << 20])).await {
            Ok(()) => filled += 1,
            Err(error) => break error,
        }
        assert!(filled < 20);
    };
    assert!(matches!(full, CacheError::Backend { .. }) && full.to_string().contains("OOM"), "{full}");
    assert!(tier.set("key", Entry::new(vec![8; 1 << 20])).await.is_err());
    assert_eq!(tier.get("key").await.unwrap(), Some(Entry::new("old")));
    assert_eq!(tier.stats().await.unwrap().max_bytes, Some(8 << 20));
    assert_eq!(tier.clear(&Pattern::new("fill/*")).await.unwrap(), filled);
}

#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test"]
async fn configuration_names_it() {
    let server = RedisServer::start(&["--port", "{port}", "--requirepass", "secret"]).unwrap();
    let url = format!("redis://:secret@{}/3", server.address());
    let text = format!("[[tiers]]\nbackend = \"redis\"\nurl = \"{url}\"\nprefix = \"p/\"\ntimeout = \"900ms\"");
    let mut registry = BackendRegistry::with_defaults();
    prefix_indexer_cache_redis::register(&mut registry);
    let config: CacheConfig = parse_section("[cache]", text.parse().unwrap()).unwrap();
    let cache = CacheManager::from_config(&config, &registry).await.unwrap();
    assert!(cache.set("key", Entry::new("value")).await.is_ok());
    assert_eq!(cache.get("key").await.unwrap().value, "value");
    assert!(!format!("{cache:?} {:?}", cache.tier("redis")).contains("secret"));
    // Without the password nothing is served, and the node starts all the same.
    let open = RedisBackend::open(RedisConfig { url: server.url(), ..RedisConfig::default() }).await.unwrap();
    assert!(open.get("p/key").await.unwrap_err().to_string().contains("NOAUTH"));
}
