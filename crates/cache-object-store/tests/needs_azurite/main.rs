//! The Azure tier against Azurite, which `cargo xtask test` starts.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../support/checks.rs"]
mod checks;

use base64::{Engine, prelude::BASE64_STANDARD};
use checks::Stores;
use prefix_indexer_cache::{BackendRegistry, CacheBackend, Entry};
use ring::hmac;
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const CONTAINER: &str = "tests";
const ACCOUNT: &str = "devstoreaccount1";

/// Where Azurite is; the container is made, by the one request that our client library has no call for.
async fn endpoint() -> String {
    let address = std::env::var("TEST_AZURITE").unwrap();
    let key = BASE64_STANDARD.decode(std::env::var("AZURE_STORAGE_ACCOUNT_KEY").unwrap()).unwrap();
    let headers = "x-ms-date:Fri, 02 Jan 2026 03:04:05 GMT\nx-ms-version:2023-11-03";
    let to_sign = format!("PUT{}{headers}\n/{ACCOUNT}/{ACCOUNT}/{CONTAINER}\nrestype:container", "\n".repeat(12));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), to_sign.as_bytes());
    let request = format!(
        "PUT /{ACCOUNT}/{CONTAINER}?restype=container HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\
         {}\r\nAuthorization: SharedKey {ACCOUNT}:{}\r\n\r\n",
        headers.replace('\n', "\r\n"),
        BASE64_STANDARD.encode(signature)
    );
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201") || answer.contains("ContainerAlreadyExists"), "{answer}");
    format!("http://{address}/{ACCOUNT}")
}

async fn azure() -> Stores {
    prefix_indexer_cache_object_store::install_tls_provider();
    let store = object_store::azure::MicrosoftAzureBuilder::from_env()
        .with_account(ACCOUNT)
        .with_container_name(CONTAINER)
        .with_endpoint(endpoint().await)
        .with_allow_http(true);
    Stores::new("azure", Arc::new(store.build().unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Azurite: cargo xtask test"]
async fn every_promise() {
    checks::conformance(&azure().await, &[]).await;
}

macro_rules! checked {
    ($($name:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = "needs Azurite: cargo xtask test"]
        async fn $name() {
            checks::$name(&azure().await).await;
        })*
    };
}
checked! {
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
    let endpoint = endpoint().await;
    for field in ["container", "bucket"] {
        let text = format!(
            "{field} = \"{CONTAINER}\"\naccount = \"{ACCOUNT}\"\nprefix = \"by-name\"\nendpoint = \"{endpoint}\""
        );
        let tier: Arc<dyn CacheBackend> = registry.create("azure", text.parse().unwrap()).await.unwrap();
        tier.set("key", Entry::new("value")).await.unwrap();
        assert_eq!(tier.get("key").await.unwrap().unwrap().value, "value");
    }
}
