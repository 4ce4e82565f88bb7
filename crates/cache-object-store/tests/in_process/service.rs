//! S3 on a free port, for as long as a test lasts.

use crate::checks::{Served, Stores};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use object_store::{
    ClientOptions, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
};
use prefix_indexer_cache_object_store::{ObjectStoreBackend, Settings};
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::net::TcpListener;

const BUCKET: &str = "test";
const KEY: &str = "key-of-the-tests";

pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    _root: TempDir,
}

impl Service {
    pub(crate) async fn start() -> Service {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join(BUCKET)).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(KEY, KEY));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let server = Builder::new(TokioExecutor::new());
                    drop(server.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        Service { address, _root: root }
    }

    pub(crate) fn stores(&self) -> Stores {
        Stores::new("s3", Arc::new(store(self.address)))
    }

    pub(crate) fn served(&self) -> Served {
        let open = |address, prefix: &str| {
            let settings = Settings { prefix: prefix.to_owned(), ..Settings::default() };
            ObjectStoreBackend::over("s3", Arc::new(store(address)), settings)
        };
        Served { server: self.address, open }
    }
}

/// A client of the service at this address, or of a proxy before it. Configuration has no field for credentials, and the
/// environment is not a test's to change, so this one is built by hand.
pub(crate) fn store(address: SocketAddr) -> AmazonS3 {
    prefix_indexer_cache_object_store::install_tls_provider();
    let timeouts = ClientOptions::new()
        .with_allow_http(true)
        .with_connect_timeout(Duration::from_secs(1))
        .with_timeout(Duration::from_secs(3));
    AmazonS3Builder::new()
        .with_bucket_name(BUCKET)
        .with_region("us-east-1")
        .with_endpoint(format!("http://{address}"))
        .with_access_key_id(KEY)
        .with_secret_access_key(KEY)
        .with_client_options(timeouts)
        .with_retry(RetryConfig { max_retries: 1, ..RetryConfig::default() })
        .build()
        .unwrap()
}
