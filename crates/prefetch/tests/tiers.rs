//! Values really moving: from a lower tier of a cache to its first one.
#![expect(clippy::unwrap_used, reason = "tests")]

use prefix_indexer_cache::{
    ByteSize, CacheBackend, CacheManager, Entry, FilesystemBackend, FilesystemConfig, Framing, ManualClock,
    MemoryBackend, MemoryConfig,
};
use prefix_indexer_prefetch::{
    BlockValue, Cancel, Destination, Dress, FetchCtx, Fetched, Fetcher, PrefetchError, PrefetchRequest, TierFetcher,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

struct Place {
    runtime: Runtime,
    local: Arc<dyn CacheBackend>,
    cold: Arc<dyn CacheBackend>,
    cache: CacheManager,
    _files: tempfile::TempDir,
}

fn place() -> Place {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let files = tempfile::tempdir().unwrap();
    let (local, cold, cache) = runtime.block_on(async {
        let config = FilesystemConfig { path: files.path().into(), ..FilesystemConfig::default() };
        let local: Arc<dyn CacheBackend> =
            Arc::new(MemoryBackend::new(&MemoryConfig { max_size: ByteSize(64 << 20) }).unwrap());
        let cold: Arc<dyn CacheBackend> = Arc::new(FilesystemBackend::open(config).await.unwrap());
        let cache = CacheManager::builder().tier(Arc::clone(&local)).tier(Arc::clone(&cold)).build().unwrap();
        (local, cold, cache)
    });
    Place { runtime, local, cold, cache, _files: files }
}

impl Place {
    fn fetcher(&self, value: BlockValue) -> TierFetcher {
        let dress = Dress { base_ttl: Duration::from_secs(1_000), clock: Arc::new(ManualClock::at(77)) };
        TierFetcher::new(self.cache.clone(), self.runtime.handle().clone(), value, dress)
    }

    fn put_cold(&self, key: &str, entry: Entry) {
        self.runtime.block_on(self.cold.set(key, entry)).unwrap();
    }

    fn local(&self, key: &str) -> Option<Entry> {
        self.runtime.block_on(self.local.get(key)).unwrap()
    }
}

fn ctx() -> FetchCtx {
    FetchCtx { deadline: Instant::now() + Duration::from_secs(60), cancel: Cancel::new() }
}

fn request(key: &str) -> PrefetchRequest {
    PrefetchRequest::for_block(key, 0).with_prediction("decay-5m", 0.9)
}

#[test]
fn a_cold_block_is_moved_once_and_then_resident() {
    let place = place();
    place.put_cold("b", Entry::new("value").with_ttl(Duration::from_secs(600)));
    let fetcher = place.fetcher(BlockValue::Raw);
    assert_eq!(fetcher.fetch(&request("b"), &ctx()).unwrap(), Fetched::Moved { bytes: 5 });
    assert_eq!(fetcher.fetch(&request("b"), &ctx()).unwrap(), Fetched::Resident);
    assert_eq!(fetcher.fetch(&request("absent"), &ctx()).unwrap(), Fetched::Missing);
    assert_eq!(fetcher.holds(&["b", "absent"], &ctx()).unwrap(), [true, false]);
    let local = place.local("b").unwrap();
    assert_eq!(local.value, "value");
    // By confidence it would live for 1400 s, but the cold one ends sooner.
    assert!(local.ttl.unwrap() <= Duration::from_secs(600));
    assert_eq!((local.metadata.get("source"), local.metadata.get("fetched_at")), (Some("prefetch"), Some("77")));
    // Prefetching counts neither as hits nor as misses of live traffic.
    let stats = place.runtime.block_on(place.cache.stats());
    assert_eq!((stats.hits, stats.misses, stats.tiers[0].fills), (0, 0, 1));
}

#[test]
fn a_value_that_is_no_frame_is_not_moved_where_frames_are_expected() {
    let place = place();
    place.put_cold("raw", Entry::new("value"));
    place.put_cold("framed", Entry::new(Framing::default().wrap(b"value").unwrap()));
    let fetcher = place.fetcher(BlockValue::Framed);
    let error = fetcher.fetch(&request("raw"), &ctx()).unwrap_err();
    assert!(matches!(error, PrefetchError::NotStored(_)), "{error}");
    assert!(place.local("raw").is_none());
    assert!(matches!(fetcher.fetch(&request("framed"), &ctx()).unwrap(), Fetched::Moved { .. }));
    assert_eq!(Framing::unwrap(&place.local("framed").unwrap().value).unwrap(), "value");
}

#[test]
fn it_ends_when_cancelled_at_the_deadline_and_inside_a_runtime() {
    let place = place();
    let fetcher = place.fetcher(BlockValue::Raw);
    let cancelled = ctx();
    cancelled.cancel.cancel();
    assert!(matches!(fetcher.fetch(&request("b"), &cancelled), Err(PrefetchError::Cancelled)));
    let late = FetchCtx { deadline: Instant::now(), cancel: Cancel::new() };
    place.put_cold("b", Entry::new("value"));
    assert!(matches!(fetcher.fetch(&request("b"), &late), Err(PrefetchError::TimedOut(_))));
    let inside = place.runtime.block_on(async { fetcher.fetch(&request("b"), &ctx()) });
    assert!(matches!(inside, Err(PrefetchError::InsideRuntime)));
}
