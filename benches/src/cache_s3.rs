//! The S3 tier beside the bare client of object_store, in the same run and over the same service.

use crate::{
    cache::{median, value},
    harness::Measurement,
};
use anyhow::{Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder as Server,
};
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt, aws::AmazonS3Builder, path::Path as Object};
use prefix_indexer_cache::{CacheBackend, Entry};
use prefix_indexer_cache_object_store::{ObjectStoreBackend, Settings};
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use std::{
    fs,
    hint::black_box,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::Builder;

const ROUNDS: usize = 15;
const SIZE: usize = 64 << 10;

/// Gets with 32 in flight, beside the same client of object_store used bare. The service (s3s, its objects as files) runs in the
/// same process, so both sides wait for the same work.
pub(crate) fn run(scratch: &Path) -> Result<Vec<Measurement>> {
    const OBJECTS: usize = 256;
    const IN_FLIGHT: usize = 32;
    let root = scratch.join("s3");
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let own = root.clone();
    let found = runtime.block_on(runtime.spawn(async move {
        let store = client(serve(&own).await?)?;
        let tier = ObjectStoreBackend::over("s3", Arc::clone(&store), Settings::default())?;
        let entry = Entry::new(value(SIZE)).with_ttl(Duration::from_secs(3600));
        let keys: Vec<String> = (0..OBJECTS).map(|i| format!("prod/tenant/model/{i}")).collect();
        for key in &keys {
            tier.set(key, entry.clone()).await?;
        }
        let names: Vec<&str> = keys.iter().map(String::as_str).collect();
        let (mut ours, mut by_hand) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let began = Instant::now();
            let objects: Vec<Object> = keys.iter().map(|key| Object::from(key.as_str())).collect();
            let gets: Vec<_> = objects.iter().map(|object| async { store.get(object).await?.bytes().await }).collect();
            black_box(stream::iter(gets).buffered(IN_FLIGHT).try_collect::<Vec<_>>().await?);
            by_hand.push(began.elapsed());
            let began = Instant::now();
            let found = tier.get_many(&names).await;
            ensure!(found.iter().all(|one| matches!(one, Ok(Some(_)))), "a value is gone");
            black_box(found);
            ours.push(began.elapsed());
        }
        let (ours, by_hand) = (median(ours), median(by_hand));
        let each = |seconds: f64| seconds * 1e6 / OBJECTS as f64;
        let note = format!("{:.0} us each; bare client {:.0} us", each(ours), each(by_hand));
        let name = "S3 gets of 64 KiB, 32 in flight";
        anyhow::Ok(vec![
            Measurement::new(name, by_hand / ours * 100.0, "% of the bare client").note(note).at_least(90.0),
        ])
    }))?;
    fs::remove_dir_all(&root)?;
    found
}

/// Bucket, and both halves of the credentials.
const KEY: &str = "bench";

/// A service over files in this directory, on a free port.
pub(crate) async fn serve(root: &Path) -> Result<SocketAddr> {
    fs::create_dir_all(root.join(KEY))?;
    let files = s3s_fs::FileSystem::new(root).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single(KEY, KEY));
    let service = builder.build();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                drop(Server::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await);
            });
        }
    });
    Ok(address)
}

/// A client of that service, with connections of its own.
pub(crate) fn client(address: SocketAddr) -> Result<Arc<dyn ObjectStore>> {
    prefix_indexer_cache_object_store::install_tls_provider();
    let store = AmazonS3Builder::new()
        .with_bucket_name(KEY)
        .with_region("us-east-1")
        .with_endpoint(format!("http://{address}"))
        .with_access_key_id(KEY)
        .with_secret_access_key(KEY)
        .with_client_options(ClientOptions::new().with_allow_http(true));
    Ok(Arc::new(store.build()?))
}
