//! The pool of threads: what becomes of each request, what is counted, and how it stops.
#![expect(clippy::unwrap_used, reason = "tests")]

use prefix_indexer_cache::{Entry, ManualClock, SystemClock};
use prefix_indexer_prefetch::{
    Attempts, BreakerConfig, Cancel, DEFAULT_REQUESTS_PER_SECOND, DEFAULT_WORKERS, Destination, Dress, FetchCtx,
    FetchPolicy, Fetched, Fetcher, OnOutcome, Outcome, PrefetchError, PrefetchQueue, PrefetchRequest, PrefetchStats,
    PrefetchWorker, RetryPolicy,
};
use std::{
    collections::{BTreeMap, HashSet},
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

const SOON: Duration = Duration::from_secs(20);

/// A source of which the tests say how it behaves.
struct Source<F>(F);

impl<F: Fn(&PrefetchRequest, &FetchCtx) -> Result<Fetched, PrefetchError> + Send + Sync> Fetcher for Source<F> {
    fn fetch(&self, request: &PrefetchRequest, ctx: &FetchCtx) -> Result<Fetched, PrefetchError> {
        (self.0)(request, ctx)
    }
}

#[derive(Default)]
struct Shelf(Mutex<BTreeMap<String, Entry>>);

impl Destination for Shelf {
    fn holds(&self, keys: &[&str], _: &FetchCtx) -> Result<Vec<bool>, PrefetchError> {
        let shelf = self.0.lock().unwrap();
        Ok(keys.iter().map(|key| shelf.contains_key(*key)).collect())
    }

    fn store(&self, key: &str, entry: Entry, _: &FetchCtx) -> Result<(), PrefetchError> {
        self.0.lock().unwrap().insert(key.to_owned(), entry);
        Ok(())
    }
}

fn failure() -> PrefetchError {
    PrefetchError::failed(io::Error::other("down"))
}

fn value(size: usize) -> Result<Fetched, PrefetchError> {
    Ok(Fetched::Value(Entry::new(vec![7; size])))
}

fn fast() -> FetchPolicy {
    let retry = RetryPolicy { base: Duration::from_millis(1), most: Duration::from_millis(2), ..Default::default() };
    let breaker = BreakerConfig { max_failures: 1_000, ..Default::default() };
    FetchPolicy { retry, breaker, ..FetchPolicy::default() }
}

struct Line {
    queue: Arc<PrefetchQueue>,
    shelf: Arc<Shelf>,
    clock: ManualClock,
    attempts: Arc<Attempts>,
}

fn line(
    policy: FetchPolicy,
    fetch: impl Fn(&PrefetchRequest, &FetchCtx) -> Result<Fetched, PrefetchError> + Send + Sync + 'static,
) -> Line {
    let clock = ManualClock::at(1_000);
    let shelf = Arc::new(Shelf::default());
    let dress = Dress { base_ttl: Duration::from_secs(100), clock: Arc::new(clock.clone()) };
    let attempts = Attempts::new(Arc::new(Source(fetch)), Some(Arc::clone(&shelf) as _), dress, policy);
    let queue = Arc::new(PrefetchQueue::new(10_000, Arc::new(clock.clone())));
    Line { queue, shelf, clock, attempts: Arc::new(attempts) }
}

impl Line {
    fn put(&self, keys: &[&str]) {
        for key in keys {
            self.queue.put(PrefetchRequest::for_block(key, 1_000).with_prediction("markov", 0.8)).unwrap();
        }
    }

    fn start(&self, threads: usize) -> PrefetchWorker {
        PrefetchWorker::start(Arc::clone(&self.queue), Arc::clone(&self.attempts), threads, None).unwrap()
    }

    /// Works until so many requests are done with.
    fn work(&self, threads: usize, until: u64) -> PrefetchStats {
        let worker = self.start(threads);
        wait_for(|| worker.stats().processed >= until);
        let stats = worker.stats();
        worker.stop(SOON);
        stats
    }
}

#[track_caller]
fn wait_for(done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < SOON, "waited in vain");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn defaults_are_two_threads_and_ten_requests_a_second() {
    assert_eq!((DEFAULT_WORKERS, DEFAULT_REQUESTS_PER_SECOND), (2, 10.0));
}

#[test]
fn what_is_fetched_is_stored_with_where_it_comes_from() {
    let line = line(fast(), |_, _| value(3));
    line.put(&["a"]);
    let stats = line.work(2, 1);
    assert_eq!((stats.processed, stats.succeeded, stats.bytes), (1, 1, 3));
    assert!(stats.latency_p50_ms <= stats.latency_p99_ms);
    let shelf = line.shelf.0.lock().unwrap();
    let entry = &shelf["a"];
    assert_eq!(entry.ttl, Some(Duration::from_secs(130)));
    let metadata: Vec<_> = entry.metadata.iter().collect();
    assert_eq!(metadata, [("confidence", "0.8"), ("fetched_at", "1000"), ("source", "prefetch")]);
}

#[test]
fn every_outcome_is_counted_once() {
    let line = line(fast(), |request, _| match request.cache_key() {
        "missing" => Ok(Fetched::Missing),
        "failing" => Err(failure()),
        "panicking" => panic!("oh"),
        _ => value(5),
    });
    line.shelf.store("resident", Entry::new("here"), &ctx()).unwrap();
    line.put(&["fetched", "missing", "failing", "panicking", "resident"]);
    let stats = line.work(2, 5);
    assert_eq!((stats.processed, stats.succeeded, stats.failed, stats.retried), (5, 1, 2, 3));
    assert_eq!((stats.missing, stats.skipped_resident, stats.cancelled, stats.in_flight), (1, 1, 0, 0));
    assert_eq!(line.shelf.0.lock().unwrap().len(), 2);
}

fn ctx() -> FetchCtx {
    FetchCtx { deadline: Instant::now() + SOON, cancel: Cancel::new() }
}

#[test]
fn expired_requests_are_dropped_also_while_they_wait_for_their_turn() {
    let policy = FetchPolicy { max_requests_per_second: Some(20.0), ..fast() };
    let line = line(policy, |_, _| value(1));
    line.put(&["a"]);
    let short = PrefetchRequest::for_block("b", 1_000).with_max_age(Duration::from_millis(10));
    line.queue.put(short.clone()).unwrap();
    line.queue.put(PrefetchRequest::for_block("c", 900).with_max_age(Duration::from_millis(10))).unwrap();
    let worker = line.start(1);
    wait_for(|| worker.stats().succeeded == 1);
    line.clock.advance(Duration::from_millis(20));
    wait_for(|| worker.stats().processed == 3);
    assert_eq!((worker.stats().expired, worker.stats().succeeded), (2, 1));
}

#[test]
fn a_panic_is_an_error_of_its_request_and_the_thread_goes_on() {
    let outcomes: Arc<Mutex<Vec<String>>> = Arc::default();
    let line = line(fast(), |request, _| if request.cache_key() == "bad" { panic!("oh") } else { value(1) });
    line.put(&["bad", "good"]);
    let seen = Arc::clone(&outcomes);
    let listen: OnOutcome = Arc::new(move |request, outcome| {
        let said = match outcome {
            Outcome::Failed(error) => error.to_string(),
            other => format!("{other:?}"),
        };
        seen.lock().unwrap().push(format!("{}: {said}", request.cache_key()));
    });
    let worker = PrefetchWorker::start(Arc::clone(&line.queue), Arc::clone(&line.attempts), 1, Some(listen)).unwrap();
    wait_for(|| worker.stats().processed == 2);
    assert!(worker.is_running());
    worker.stop(SOON);
    assert_eq!(*outcomes.lock().unwrap(), ["bad: the fetcher panicked: oh", "good: Fetched { bytes: 1 }"]);
}

#[test]
fn failures_are_tried_again_and_the_breaker_leaves_a_dead_source_alone() {
    let calls = Arc::new(AtomicU64::new(0));
    let (down, counted) = (Arc::new(AtomicU64::new(1)), Arc::clone(&calls));
    let is_down = Arc::clone(&down);
    let policy = FetchPolicy {
        breaker: BreakerConfig { max_failures: 4, first: Duration::from_millis(40), most: Duration::from_millis(80) },
        ..fast()
    };
    let line = line(policy, move |_, _| {
        counted.fetch_add(1, SeqCst);
        if is_down.load(SeqCst) == 1 { Err(failure()) } else { value(1) }
    });
    line.put(&["a", "b", "c"]);
    let worker = line.start(1);
    // The first request and its three further tries open the breaker.
    wait_for(|| worker.stats().failed == 1);
    let stats = worker.stats();
    assert_eq!((stats.retried, stats.consecutive_errors, stats.back_off_ms), (3, 4, 40));
    std::thread::sleep(Duration::from_millis(100));
    assert!(calls.load(SeqCst) <= 7, "{calls:?}");
    down.store(0, SeqCst);
    wait_for(|| worker.stats().succeeded == 2);
    assert_eq!((worker.stats().consecutive_errors, worker.stats().back_off_ms), (0, 0));
}

#[test]
fn a_source_that_does_not_answer_is_waited_for_as_long_as_patience_lasts() {
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let fetch = move |_: &PrefetchRequest, _: &FetchCtx| {
        if counted.fetch_add(1, SeqCst) < 12 { Err(PrefetchError::Unavailable) } else { value(1) }
    };
    let line = line(FetchPolicy { patience: SOON, ..fast() }, fetch);
    line.put(&["a"]);
    let stats = line.work(1, 1);
    assert_eq!((stats.succeeded, stats.failed, stats.retried), (1, 0, 12));
}

#[test]
fn stop_lets_what_is_under_way_finish() {
    // Longer than a busy machine keeps this thread waiting.
    let line = line(fast(), |_, _| {
        std::thread::sleep(Duration::from_secs(1));
        value(1)
    });
    line.put(&["a", "b", "c", "d", "e"]);
    let worker = line.start(2);
    wait_for(|| worker.stats().in_flight == 2);
    let report = worker.stop(SOON);
    assert_eq!((report.finished, report.cancelled, report.stuck, report.queued), (2, 0, 0, 3));
}

#[test]
fn stop_calls_off_what_takes_too_long_and_returns_at_once() {
    let line = line(fast(), |_, ctx| match ctx.cancel.sleep(Duration::from_secs(3600)) {
        true => Err(PrefetchError::Cancelled),
        false => value(1),
    });
    line.put(&["a", "b", "c"]);
    let worker = line.start(2);
    wait_for(|| worker.stats().in_flight == 2);
    let began = Instant::now();
    let report = worker.stop(Duration::ZERO);
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
    assert_eq!((report.finished, report.cancelled, report.stuck, report.queued), (0, 2, 0, 1));
}

#[test]
fn stop_wakes_those_who_wait_for_work_for_limits_or_for_the_breaker() {
    let began = Instant::now();
    line(fast(), |_, _| value(1)).start(8).stop(SOON);
    let slow = line(FetchPolicy { max_requests_per_second: Some(0.001), ..fast() }, |_, _| value(1));
    slow.put(&["a", "b", "c"]);
    let worker = slow.start(2);
    wait_for(|| worker.stats().succeeded == 1 && worker.stats().in_flight == 2);
    assert_eq!(worker.stop(Duration::from_millis(5)).queued, 0);
    let broken = BreakerConfig { max_failures: 1, first: Duration::from_secs(3600), most: Duration::from_secs(3600) };
    let dead = line(FetchPolicy { breaker: broken, ..fast() }, |_, _| Err(failure()));
    dead.put(&["a"]);
    let worker = dead.start(1);
    wait_for(|| worker.stats().back_off_ms > 0);
    drop(worker);
    assert!(began.elapsed() < SOON);
}

#[test]
fn all_threads_share_the_limits() {
    let policy = FetchPolicy { max_requests_per_second: Some(200.0), max_bytes_per_second: Some(1_000_000), ..fast() };
    let line = line(policy, |_, _| value(10_000));
    for number in 0..120 {
        line.put(&[&number.to_string()]);
    }
    let began = Instant::now();
    let stats = line.work(6, 120);
    // 1.2 MB at 1 MB a second, of which 50 ms at once and what six threads had under way before its size was known; whatever
    // the machine does meanwhile, never faster.
    assert!(began.elapsed() >= Duration::from_millis(1_080), "{:?}", began.elapsed());
    assert_eq!(stats.bytes, 1_200_000);
}

#[test]
fn many_workers_and_producers_lose_and_duplicate_nothing() {
    const EACH: u64 = 1_000;
    let fetched: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&fetched);
    let fetch = move |request: &PrefetchRequest, _: &FetchCtx| {
        log.lock().unwrap().push(request.cache_key().to_owned());
        Ok(Fetched::Moved { bytes: 1 })
    };
    let dress = Dress { base_ttl: SOON, clock: Arc::new(SystemClock) };
    let attempts = Arc::new(Attempts::new(Arc::new(Source(fetch)), None, dress, fast()));
    let queue = Arc::new(PrefetchQueue::new(256, Arc::new(SystemClock)));
    let worker = PrefetchWorker::start(Arc::clone(&queue), attempts, 24, None).unwrap();
    std::thread::scope(|scope| {
        for producer in 0..8 {
            let queue = &queue;
            scope.spawn(move || {
                for number in 0..EACH {
                    let mut next = PrefetchRequest::for_block(&format!("{producer}/{number}"), 0);
                    while let Err(refused) = queue.put(next) {
                        next = refused.request;
                        std::thread::yield_now();
                    }
                }
            });
        }
    });
    wait_for(|| worker.stats().processed == 8 * EACH);
    worker.stop(SOON);
    let fetched = fetched.lock().unwrap();
    assert_eq!((fetched.len() as u64, fetched.iter().collect::<HashSet<_>>().len() as u64), (8 * EACH, 8 * EACH));
}

#[cfg(target_os = "linux")]
#[test]
fn starting_and_stopping_leaks_no_thread() {
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let line = line(fast(), |_, _| value(1));
    line.start(2).stop(SOON);
    let before = threads();
    for _ in 0..500 {
        line.start(2).stop(SOON);
    }
    // The harness has threads of its own, which come and go.
    assert!(threads() <= before + 4, "{before} threads before, {} after", threads());
}
