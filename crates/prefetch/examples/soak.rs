//! The long form of two tests: many workers and producers for a while, and many starts and stops.
//!
//! `soak SECONDS ROUNDS`, as `cargo xtask soak-prefetch` calls it.
#![expect(clippy::print_stdout, reason = "a command for people")]

use prefix_indexer_cache::SystemClock;
use prefix_indexer_prefetch::{
    Attempts, Dress, FetchCtx, FetchPolicy, Fetched, Fetcher, PrefetchError, PrefetchQueue, PrefetchRequest,
    PrefetchWorker,
};
use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

const WORKERS: usize = 24;
const PRODUCERS: u64 = 8;
/// Numbers that a producer uses before it begins again; of each it is known how often it came.
const NUMBERS: u64 = 1 << 20;

/// Marks what it is asked for.
struct Marks(Vec<AtomicU8>);

impl Fetcher for Marks {
    fn fetch(&self, request: &PrefetchRequest, _: &FetchCtx) -> Result<Fetched, PrefetchError> {
        let number: usize = request.cache_key().parse().map_err(PrefetchError::failed)?;
        if let Some(mark) = self.0.get(number) {
            mark.fetch_add(1, Relaxed);
        }
        Ok(Fetched::Moved { bytes: 1 })
    }
}

fn worker(marks: Arc<Marks>) -> Result<(Arc<PrefetchQueue>, PrefetchWorker), PrefetchError> {
    let dress = Dress { base_ttl: Duration::from_secs(1), clock: Arc::new(SystemClock) };
    let attempts = Arc::new(Attempts::new(marks, None, dress, FetchPolicy::default()));
    let queue = Arc::new(PrefetchQueue::new(1_000, Arc::new(SystemClock)));
    let worker = PrefetchWorker::start(Arc::clone(&queue), attempts, WORKERS, None)?;
    Ok((queue, worker))
}

/// Every request comes out once, over and over.
fn lose_nothing(time: Duration) -> Result<(), Box<dyn Error>> {
    let marks = Arc::new(Marks((0..PRODUCERS * NUMBERS).map(|_| AtomicU8::new(0)).collect()));
    let (queue, worker) = worker(Arc::clone(&marks))?;
    let (began, total) = (Instant::now(), AtomicU64::new(0));
    while began.elapsed() < time {
        let done_before = worker.stats().processed;
        let put = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for producer in 0..PRODUCERS {
                let (queue, put) = (&queue, &put);
                scope.spawn(move || {
                    for number in 0..NUMBERS {
                        if began.elapsed() >= time {
                            return;
                        }
                        let key = (producer * NUMBERS + number).to_string();
                        let mut next = PrefetchRequest::for_block(&key, 0).with_priority((number % 7) as i32);
                        while let Err(refused) = queue.put(next) {
                            next = refused.request;
                            std::thread::yield_now();
                        }
                        put.fetch_add(1, Relaxed);
                    }
                });
            }
        });
        let put = put.into_inner();
        while worker.stats().processed < done_before + put {
            std::thread::sleep(Duration::from_millis(1));
        }
        let (mut came, mut twice) = (0, 0);
        for mark in &marks.0 {
            match mark.swap(0, Relaxed) {
                0 => {}
                1 => came += 1,
                _ => twice += 1,
            }
        }
        if came != put || twice > 0 {
            return Err(format!("of {put} requests {came} came once and {twice} more than once").into());
        }
        total.fetch_add(put, Relaxed);
    }
    worker.stop(Duration::from_secs(10));
    println!(
        "{} requests of {PRODUCERS} producers through {WORKERS} workers: none lost, none twice",
        total.into_inner()
    );
    Ok(())
}

/// Threads of this process; none where the system does not tell.
fn threads() -> Option<usize> {
    std::fs::read_dir("/proc/self/task").ok().map(Iterator::count)
}

fn leak_nothing(rounds: u64) -> Result<(), Box<dyn Error>> {
    let marks = Arc::new(Marks(Vec::new()));
    let before = threads();
    for _ in 0..rounds {
        let (_, worker) = worker(Arc::clone(&marks))?;
        worker.stop(Duration::from_secs(10));
    }
    if threads() != before {
        return Err(format!("{before:?} threads before {rounds} starts and stops, {:?} after", threads()).into());
    }
    println!("{rounds} starts and stops: {before:?} threads before and after");
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let mut number = |default: u64| args.next().map_or(Ok(default), |text| text.parse());
    let (seconds, rounds) = (number(60)?, number(10_000)?);
    leak_nothing(rounds)?;
    lose_nothing(Duration::from_secs(seconds))
}
