//! Warm-ups: complete whatever the cold tier does, resumed, called off, and within their bounds.
#![expect(clippy::unwrap_used, reason = "tests")]

use async_trait::async_trait;
use prefix_indexer_cache::{
    BackendStats, ByteSize, CacheBackend, CacheError, CacheManager, Entry, FilesystemBackend, FilesystemConfig,
    Invalidation, Listed, MemoryBackend, MemoryConfig, Pattern, Result, SystemClock, TierOptions, one_by_one,
};
use prefix_indexer_prefetch::{
    Attempts, BlockValue, BreakerConfig, Cancel, Dress, FetchPolicy, RetryPolicy, TierFetcher, WARM_PATIENCE,
    WarmBlock, WarmOptions, Warmup,
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::{runtime::Runtime, sync::mpsc};

const BLOCKS: usize = 300;

/// A cold tier that is down for a while after so many reads, and that takes its time.
#[derive(Debug)]
struct Unsteady {
    within: MemoryBackend,
    pause: Duration,
    reads: AtomicUsize,
    /// Reads after which it fails, and how many of them do.
    down: [usize; 2],
    under_way: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl CacheBackend for Unsteady {
    fn name(&self) -> &str {
        "unsteady"
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        let number = self.reads.fetch_add(1, SeqCst);
        self.most.fetch_max(self.under_way.fetch_add(1, SeqCst) + 1, SeqCst);
        tokio::time::sleep(self.pause).await;
        self.under_way.fetch_sub(1, SeqCst);
        if (self.down[0]..self.down[1]).contains(&number) {
            return Err(CacheError::backend("unsteady", "cannot read", io::Error::other("down")));
        }
        self.within.get(key).await
    }

    async fn get_many(&self, keys: &[&str]) -> Vec<Result<Option<Entry>>> {
        one_by_one::get_many(self, keys).await
    }

    async fn set(&self, key: &str, entry: Entry) -> Result<()> {
        self.within.set(key, entry).await
    }

    async fn set_many(&self, entries: &[(&str, Entry)]) -> Vec<Result<()>> {
        self.within.set_many(entries).await
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        self.within.delete(key).await
    }

    async fn delete_many(&self, keys: &[&str]) -> Vec<Result<bool>> {
        self.within.delete_many(keys).await
    }

    async fn exists(&self, key: &str) -> Result<bool> {
        self.within.exists(key).await
    }

    async fn list(&self, pattern: &Pattern, limit: usize) -> Result<Vec<Listed>> {
        self.within.list(pattern, limit).await
    }

    async fn clear(&self, pattern: &Pattern) -> Result<u64> {
        self.within.clear(pattern).await
    }

    async fn stats(&self) -> Result<BackendStats> {
        self.within.stats().await
    }

    fn invalidations(&self) -> Option<mpsc::Receiver<Invalidation>> {
        None
    }
}

struct Site {
    runtime: Runtime,
    cold: Arc<Unsteady>,
    cache: CacheManager,
    blocks: Vec<WarmBlock>,
    _files: tempfile::TempDir,
}

fn site(pause: Duration, down: [usize; 2]) -> Site {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let files = tempfile::tempdir().unwrap();
    let within = MemoryBackend::new(&MemoryConfig { max_size: ByteSize(64 << 20) }).unwrap();
    let (reads, under_way, most) = Default::default();
    let cold = Arc::new(Unsteady { within, pause, reads, down, under_way, most });
    let blocks: Vec<WarmBlock> = (0..BLOCKS)
        .map(|number| WarmBlock { key: format!("block/{number}"), bytes: 1_000, probability: 0.5 })
        .collect();
    let cache = runtime.block_on(async {
        let config = FilesystemConfig { path: files.path().into(), ..FilesystemConfig::default() };
        let local: Arc<dyn CacheBackend> = Arc::new(FilesystemBackend::open(config).await.unwrap());
        for block in &blocks {
            cold.set(&block.key, Entry::new(vec![7; 1_000])).await.unwrap();
        }
        let quick = TierOptions { retry_after: Duration::from_millis(20), ..TierOptions::default() };
        CacheManager::builder().tier(local).tier_with(Arc::clone(&cold) as _, quick).build().unwrap()
    });
    Site { runtime, cold, cache, blocks, _files: files }
}

impl Site {
    fn attempts(&self, policy: FetchPolicy) -> Attempts {
        let dress = Dress { base_ttl: Duration::from_secs(3_600), clock: Arc::new(SystemClock) };
        let fetcher =
            TierFetcher::new(self.cache.clone(), self.runtime.handle().clone(), BlockValue::Raw, dress.clone());
        Attempts::new(Arc::new(fetcher), None, dress, policy)
    }
}

fn patient() -> FetchPolicy {
    let retry = RetryPolicy { most: Duration::from_millis(50), ..RetryPolicy::default() };
    let breaker = BreakerConfig { first: Duration::from_millis(5), most: Duration::from_millis(20), max_failures: 5 };
    FetchPolicy { patience: WARM_PATIENCE, retry, breaker, ..FetchPolicy::default() }
}

#[test]
fn a_cold_tier_that_goes_away_and_comes_back_is_waited_for() {
    let site = site(Duration::ZERO, [100, 130]);
    let attempts = site.attempts(patient());
    let mut heard = 0;
    let report = Warmup::new(&attempts, WarmOptions { in_flight: 8, deadline: None }, Cancel::new())
        .run(&site.blocks, "plan", 0, |progress| {
            heard += 1;
            assert_eq!(progress.expected_bytes_done, heard * 1_000);
        })
        .unwrap();
    assert!(report.complete);
    assert_eq!((report.planned, report.fetched, report.failed), (BLOCKS as u64, BLOCKS as u64, 0));
    assert_eq!((report.bytes, heard), (BLOCKS as u64 * 1_000, BLOCKS as u64));
    assert!(attempts.stats().retried > 0);
}

#[test]
fn one_that_does_not_come_back_fails_what_is_left_and_the_next_run_goes_on() {
    let site = site(Duration::ZERO, [100, usize::MAX]);
    let impatient = FetchPolicy { patience: Duration::ZERO, ..patient() };
    let impatient = FetchPolicy { retry: RetryPolicy { retries: 0, ..impatient.retry }, ..impatient };
    let run = |deadline| {
        let attempts = site.attempts(impatient);
        let options = WarmOptions { in_flight: 4, deadline };
        Warmup::new(&attempts, options, Cancel::new()).run(&site.blocks, "plan", 0, |_| {}).unwrap()
    };
    let report = run(Some(Instant::now() + Duration::from_secs(2)));
    assert!(!report.complete && report.fetched == 100, "{report:?}");
    // What came once is there.
    let again = run(Some(Instant::now() + Duration::from_millis(300)));
    assert!(again.resident >= 90 && again.fetched == 0 && !again.complete, "{again:?}");
}

#[test]
fn no_more_are_under_way_than_may_be_and_a_deadline_ends_it_at_once() {
    let site = site(Duration::from_millis(20), [0, 0]);
    let attempts = site.attempts(patient());
    let began = Instant::now();
    let deadline = Some(began + Duration::from_millis(150));
    let options = WarmOptions { in_flight: 5, deadline };
    let report = Warmup::new(&attempts, options, Cancel::new()).run(&site.blocks, "plan", 0, |_| {}).unwrap();
    assert!(began.elapsed() < Duration::from_millis(150 + 100), "{:?}", began.elapsed());
    assert!(!report.complete && report.failed == 0 && report.fetched < BLOCKS as u64);
    assert!((1..=5).contains(&site.cold.most.load(SeqCst)), "{:?}", site.cold.most);
}

#[test]
fn a_signal_ends_it_within_100_ms() {
    let site = site(Duration::from_secs(3_600), [0, 0]);
    let attempts = site.attempts(FetchPolicy { deadline: Duration::from_secs(3_600), ..patient() });
    let cancel = Cancel::new();
    let ended = std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            let options = WarmOptions { in_flight: 4, deadline: None };
            let report = Warmup::new(&attempts, options, cancel.clone()).run(&site.blocks, "plan", 0, |_| {}).unwrap();
            (report, Instant::now())
        });
        while site.cold.under_way.load(SeqCst) < 4 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let told = Instant::now();
        cancel.cancel();
        let (report, ended) = run.join().unwrap();
        assert_eq!((report.complete, report.fetched, report.failed), (false, 0, 0));
        ended.duration_since(told)
    });
    assert!(ended < Duration::from_millis(100), "{ended:?}");
}
