//! An upload that is called off. What a store that fails must not do is checked as of any other.

use crate::service::{Service, store};
use prefix_indexer_cache::{ByteSize, CacheBackend, Entry, fault_proxy::FaultProxy};
use prefix_indexer_cache_object_store::{ObjectStoreBackend, Settings};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

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
