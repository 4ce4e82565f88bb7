//! The S3 and GCS tiers against moto's server, which `cargo xtask test` starts. It checks no signature. Of Google's requests it serves
//! those that are like Amazon's, but for the names of metadata and conditions (see `google`).
#![expect(clippy::unwrap_used, reason = "tests")]

#[macro_use]
#[path = "../support/checks.rs"]
mod checks;
mod google;
#[path = "../support/request.rs"]
mod request;

use checks::{Served, Stores};
use prefix_indexer_cache::{BackendRegistry, CacheBackend, Entry, Period};
use prefix_indexer_cache_object_store::{GcsConfig, S3Config};
use std::{sync::Arc, time::Duration};

const BUCKET: &str = "tests";

/// How long a request may take where it is made to fail.
const SOON: Period = Period(Duration::from_secs(3));

/// Where moto is; the bucket is made.
async fn address() -> String {
    let address = std::env::var("TEST_MOTO").unwrap();
    let answer = request::put(&address, &format!("/{BUCKET}"), "").await;
    assert!(answer.starts_with("HTTP/1.1 200") || answer.contains("BucketAlreadyOwnedByYou"), "{answer}");
    address
}

async fn endpoint() -> String {
    format!("http://{}", address().await)
}

async fn s3() -> Stores {
    prefix_indexer_cache_object_store::install_tls_provider();
    let store = object_store::aws::AmazonS3Builder::from_env()
        .with_bucket_name(BUCKET)
        .with_endpoint(endpoint().await)
        .with_allow_http(true);
    Stores::new("s3", Arc::new(store.build().unwrap()))
}

/// Google's client, whose metadata and conditions are translated on the way.
async fn gcs() -> Stores {
    prefix_indexer_cache_object_store::install_tls_provider();
    let store = object_store::gcp::GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(BUCKET)
        .with_base_url(&format!("http://{}", google::translator(&address().await).await))
        .with_client_options(object_store::ClientOptions::new().with_allow_http(true));
    Stores::new("gcs", Arc::new(store.build().unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs moto: cargo xtask test"]
async fn every_promise_of_s3() {
    checks::conformance(&s3().await, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs moto: cargo xtask test"]
async fn every_promise_of_gcs() {
    checks::conformance(&gcs().await, &[]).await;
}

mod of_gcs {
    use super::{checks, gcs};

    checked! { #[ignore = "needs moto: cargo xtask test"] gcs().await;
        raw_values_are_an_engines_own
        large_values_go_in_parts
        what_has_expired_is_deleted_when_met
        conditional_writes
        what_no_store_holds_is_refused
    }
}

checked! { #[ignore = "needs moto: cargo xtask test"] s3().await;
    raw_values_are_an_engines_own
    large_values_go_in_parts
    what_has_expired_is_deleted_when_met
    conditional_writes
    what_no_store_holds_is_refused
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs moto: cargo xtask test"]
async fn every_fault_is_survived_by_s3() {
    let open = |address, prefix: &str| {
        let endpoint = Some(format!("http://{address}"));
        let (bucket, prefix) = (BUCKET.into(), prefix.into());
        S3Config { bucket, prefix, endpoint, retries: 1, request_timeout: SOON, ..S3Config::default() }.open()
    };
    checks::every_fault_is_survived(&Served { server: address().await.parse().unwrap(), open }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs moto: cargo xtask test"]
async fn every_fault_is_survived_by_gcs() {
    let open = |address, prefix: &str| {
        let endpoint = Some(format!("http://{address}"));
        let (bucket, prefix) = (BUCKET.into(), prefix.into());
        GcsConfig { bucket, prefix, endpoint, retries: 1, request_timeout: SOON, ..GcsConfig::default() }.open()
    };
    checks::every_fault_is_survived(&Served { server: address().await.parse().unwrap(), open }).await;
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
