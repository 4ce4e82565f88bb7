//! The S3 and GCS tiers against moto's server, which `cargo xtask test` starts. It checks no signature, and serves Google's requests but
//! for conditional writes.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../support/checks.rs"]
mod checks;

use checks::Stores;
use prefix_indexer_cache::{BackendRegistry, CacheBackend, Entry};
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const BUCKET: &str = "tests";

/// Where moto is; the bucket is made.
async fn endpoint() -> String {
    let address = std::env::var("TEST_MOTO").unwrap();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let request =
        format!("PUT /{BUCKET} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") || answer.contains("BucketAlreadyOwnedByYou"), "{answer}");
    format!("http://{address}")
}

async fn s3() -> Stores {
    prefix_indexer_cache_object_store::install_tls_provider();
    let store = object_store::aws::AmazonS3Builder::from_env()
        .with_bucket_name(BUCKET)
        .with_endpoint(endpoint().await)
        .with_allow_http(true);
    Stores::new("s3", Arc::new(store.build().unwrap()))
}

async fn gcs() -> Stores {
    prefix_indexer_cache_object_store::install_tls_provider();
    let store = object_store::gcp::GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(BUCKET)
        .with_base_url(&endpoint().await)
        .with_client_options(object_store::ClientOptions::new().with_allow_http(true));
    Stores::new("gcs", Arc::new(store.build().unwrap()))
}

macro_rules! checked {
    ($($service:ident: $($name:ident)*;)*) => {
        $(mod $service {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs moto: cargo xtask test"]
            async fn every_promise() {
                crate::checks::conformance(&super::$service().await, &[]).await;
            }

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs moto: cargo xtask test"]
            async fn $name() {
                crate::checks::$name(&super::$service().await).await;
            })*
        })*
    };
}
checked! {
    s3: raw_values_are_an_engines_own large_values_go_in_parts what_has_expired_is_deleted_when_met conditional_writes
        what_no_store_holds_is_refused;
    gcs: raw_values_are_an_engines_own large_values_go_in_parts what_has_expired_is_deleted_when_met
        what_no_store_holds_is_refused;
}

/// The way people open it: by configuration, with credentials from the environment.
#[tokio::test]
#[ignore = "needs moto: cargo xtask test"]
async fn configuration_names_them() {
    let mut registry = BackendRegistry::with_defaults();
    prefix_indexer_cache_object_store::register(&mut registry);
    let endpoint = endpoint().await;
    for name in ["s3", "gcs"] {
        let text = format!("bucket = \"{BUCKET}\"\nprefix = \"by-name/{name}\"\nendpoint = \"{endpoint}\"");
        let tier: Arc<dyn CacheBackend> = registry.create(name, text.parse().unwrap()).await.unwrap();
        tier.set("key", Entry::new(name)).await.unwrap();
        assert_eq!(tier.get("key").await.unwrap().unwrap().value, name);
    }
}
