//! A server that speaks TLS only, under an authority of its own.

use crate::server::config;
use prefix_indexer_cache::{CacheBackend, Entry};
use prefix_indexer_cache_redis::{RedisBackend, RedisConfig, RedisServer};
use std::fs;

#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test"]
async fn a_server_is_trusted_only_by_its_authority() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(path("cert.pem"), certified.cert.pem()).unwrap();
    fs::write(path("key.pem"), certified.signing_key.serialize_pem()).unwrap();
    let server = RedisServer::start(&[
        "--port",
        "0",
        "--tls-port",
        "{port}",
        "--tls-cert-file",
        &path("cert.pem"),
        "--tls-key-file",
        &path("key.pem"),
        "--tls-auth-clients",
        "no",
    ])
    .unwrap();
    let url = format!("rediss://localhost:{}", server.address().port());
    let trusting = RedisConfig { ca: Some(path("cert.pem").into()), ..config(url.clone()) };
    let tier = RedisBackend::open(trusting).await.unwrap();
    tier.set("key", Entry::new("value")).await.unwrap();
    assert_eq!(tier.get("key").await.unwrap(), Some(Entry::new("value")));

    let doubting = RedisBackend::open(config(url)).await.unwrap();
    let refused = doubting.get("key").await.unwrap_err().to_string();
    assert!(refused.contains("certificate"), "{refused}");
}
