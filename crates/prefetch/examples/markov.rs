//! The whole line, once: observe, predict, schedule, fetch; and the next request hits.
//!
//! Somebody walks through pages in the same order again and again. The pages lie in a cold tier on disk; after each step the predictor
//! says what comes next, and that is in memory before it is asked for.
#![expect(clippy::print_stdout, reason = "an example shows something")]

use prefix_indexer_analytics::{CacheRoom, Markov, MarkovConfig, Prediction, ScheduleLimits};
use prefix_indexer_cache::{
    CacheBackend, CacheManager, Entry, FilesystemBackend, FilesystemConfig, MemoryBackend, MemoryConfig, SystemClock,
};
use prefix_indexer_prefetch::{
    Attempts, BlockValue, DEFAULT_CAPACITY, Destination, Dress, FetchCtx, FetchPolicy, PrefetchQueue, PrefetchRequest,
    PrefetchScheduler, PrefetchWorker, TierFetcher,
};
use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

const HABIT: [&str; 5] = ["home", "search", "results", "detail", "basket"];

/// What became of the last walk.
#[derive(Debug)]
pub struct Seen {
    /// Pages that were in memory when they were asked for.
    pub hits: usize,
    /// Pages that were asked for, the first one apart: nothing precedes it.
    pub pages: usize,
}

/// Walks, with prefetching.
pub fn run() -> Result<Seen, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let files = tempfile::tempdir()?;
    let memory: Arc<dyn CacheBackend> = Arc::new(MemoryBackend::new(&MemoryConfig::default())?);
    let config = FilesystemConfig { path: files.path().into(), ..FilesystemConfig::default() };
    let cold: Arc<dyn CacheBackend> = Arc::new(runtime.block_on(FilesystemBackend::open(config))?);
    let cache = {
        let _inside = runtime.enter();
        CacheManager::builder().tier(Arc::clone(&memory)).tier(Arc::clone(&cold)).build()?
    };
    for page in HABIT {
        runtime.block_on(cold.set(page, Entry::new(format!("<h1>{page}</h1>"))))?;
    }

    // Observe: the habit, learned from five walks.
    let mut markov = Markov::new(MarkovConfig::default());
    markov.fit(vec![HABIT; 5]);

    let clock = Arc::new(SystemClock);
    let queue = Arc::new(PrefetchQueue::new(DEFAULT_CAPACITY, clock.clone()));
    let limits = ScheduleLimits::default();
    let age = Some(Duration::from_secs(5));
    let scheduler = PrefetchScheduler::new(Arc::clone(&queue), clock.clone(), "markov", limits, age);
    let dress = Dress { base_ttl: Duration::from_secs(60), clock };
    let fetcher = Arc::new(TierFetcher::new(cache.clone(), runtime.handle().clone(), BlockValue::Raw, dress.clone()));
    let attempts = Arc::new(Attempts::new(Arc::clone(&fetcher) as _, None, dress, FetchPolicy::default()));
    let worker = PrefetchWorker::start(queue, attempts, 2, None)?;

    let mut seen = Seen { hits: 0, pages: 0 };
    for (place, page) in HABIT.iter().enumerate() {
        if place > 0 {
            seen.pages += 1;
            seen.hits += usize::from(runtime.block_on(memory.get(page))?.is_some());
        }
        let answer = runtime.block_on(cache.get(page)).ok_or("a page is gone")?;
        println!("{page}: {}", if answer.metadata.is_empty() { "from the cold tier" } else { "prefetched" });
        // Predict and schedule: what is probable, and not in memory yet.
        let next = markov.predict(&HABIT[..=place], 3);
        let predictions: Vec<_> = next
            .iter()
            .map(|(page, probability)| Prediction {
                what: PrefetchRequest::for_block(page, 0),
                probability: *probability,
                bytes: 0,
            })
            .collect();
        let ctx = FetchCtx { deadline: Instant::now() + Duration::from_secs(5), cancel: Default::default() };
        let is_cached = |request: &PrefetchRequest| {
            fetcher.holds(&[request.cache_key()], &ctx).is_ok_and(|held| held.contains(&true))
        };
        let before = worker.stats().processed;
        let scheduled = scheduler.schedule_from_predictions(&predictions, CacheRoom::default(), is_cached);
        // Fetch: while the reader reads.
        while worker.stats().processed < before + scheduled.len() as u64 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    println!("{} of {} pages were there before they were asked for; {:?}", seen.hits, seen.pages, worker.stats());
    worker.stop(Duration::from_secs(1));
    Ok(seen)
}

fn main() -> Result<(), Box<dyn Error>> {
    run().map(drop)
}
