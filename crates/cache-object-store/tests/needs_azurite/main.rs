//! The Azure tier against Azurite, which `cargo xtask test` starts.
#![expect(clippy::unwrap_used, reason = "tests")]

#[macro_use]
#[path = "../support/checks.rs"]
mod checks;
#[path = "../support/request.rs"]
mod request;

use base64::{Engine, prelude::BASE64_STANDARD};
use checks::{Served, Stores};
use prefix_indexer_cache::{BackendRegistry, CacheBackend, Entry, Period};
use prefix_indexer_cache_object_store::AzureConfig;
use ring::hmac;
use std::{sync::Arc, time::Duration};

const CONTAINER: &str = "tests";
const ACCOUNT: &str = "devstoreaccount1";

/// Where Azurite is; the container is made.
async fn address() -> String {
    let address = std::env::var("TEST_AZURITE").unwrap();
    let key = BASE64_STANDARD.decode(std::env::var("AZURE_STORAGE_ACCOUNT_KEY").unwrap()).unwrap();
    let headers = "x-ms-date:Fri, 02 Jan 2026 03:04:05 GMT\nx-ms-version:2023-11-03";
    let to_sign = format!("PUT{}{headers}\n/{ACCOUNT}/{ACCOUNT}/{CONTAINER}\nrestype:container", "\n".repeat(12));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), to_sign.as_bytes());
    let headers = format!(
        "{}\r\nAuthorization: SharedKey {ACCOUNT}:{}\r\n",
        headers.replace('\n', "\r\n"),
        BASE64_STANDARD.encode(signature)
    );
    let answer = request::put(&address, &format!("/{ACCOUNT}/{CONTAINER}?restype=container"), &headers).await;
    assert!(answer.starts_with("HTTP/1.1 201") || answer.contains("ContainerAlreadyExists"), "{answer}");
    address
}

async fn azure() -> Stores {
    prefix_indexer_cache_object_store::install_tls_provider();
    let store = object_store::azure::MicrosoftAzureBuilder::from_env()
        .with_account(ACCOUNT)
        .with_container_name(CONTAINER)
        .with_endpoint(format!("http://{}/{ACCOUNT}", address().await))
        .with_allow_http(true);
    Stores::new("azure", Arc::new(store.build().unwrap()))
}

async fn served() -> Served {
    let open = |address, prefix: &str| {
        let config = AzureConfig {
            container: CONTAINER.into(),
            account: Some(ACCOUNT.into()),
            endpoint: Some(format!("http://{address}/{ACCOUNT}")),
            prefix: prefix.into(),
            retries: 1,
            request_timeout: Period(Duration::from_secs(3)),
            ..AzureConfig::default()
        };
        config.open()
    };
    Served { server: address().await.parse().unwrap(), open }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Azurite: cargo xtask test"]
async fn every_promise() {
    checks::conformance(&azure().await, &[]).await;
}

checked! { #[ignore = "needs Azurite: cargo xtask test"] served().await;
    every_fault_is_survived
}
checked! { #[ignore = "needs Azurite: cargo xtask test"] azure().await;
    raw_values_are_an_engines_own
    large_values_go_in_parts
    what_has_expired_is_deleted_when_met
    conditional_writes
    what_no_store_holds_is_refused
}

/// The way people open it: by configuration, with credentials from the environment.
#[tokio::test]
#[ignore = "needs Azurite: cargo xtask test"]
async fn configuration_names_it() {
    let mut registry = BackendRegistry::with_defaults();
    prefix_indexer_cache_object_store::register(&mut registry);
    let endpoint = format!("http://{}/{ACCOUNT}", address().await);
    for field in ["container", "bucket"] {
        let text = format!(
            "{field} = \"{CONTAINER}\"\naccount = \"{ACCOUNT}\"\nprefix = \"by-name\"\nendpoint = \"{endpoint}\""
        );
        let tier: Arc<dyn CacheBackend> = registry.create("azure", text.parse().unwrap()).await.unwrap();
        tier.set("key", Entry::new("value")).await.unwrap();
        assert_eq!(tier.get("key").await.unwrap().unwrap().value, "value");
    }
}
