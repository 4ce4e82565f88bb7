//! `warm` beside the bare clients, in the same run and over the same services; what it costs others while it runs; and whether limits hold.

use crate::{
    cache::{median, value},
    cache_redis, cache_s3,
    harness::{Measurement, Times},
};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use object_store::{ObjectStore, ObjectStoreExt, path::Path as Object};
use prefix_indexer_cache::{
    ByteSize, CacheBackend, CacheManager, Entry, FilesystemBackend, FilesystemConfig, SystemClock,
};
use prefix_indexer_cache_object_store::{ObjectStoreBackend, Settings};
use prefix_indexer_cache_redis::{RedisBackend, RedisConfig, RedisServer};
use prefix_indexer_prefetch::{
    Attempts, BlockValue, Cancel, Dress, FetchCtx, FetchPolicy, Fetched, Fetcher, PrefetchError, PrefetchRequest,
    TierFetcher, WARM_PATIENCE, WarmBlock, WarmOptions, Warmup, quiet_runtime,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::{Builder, Runtime};

/// Two and a half gibibytes in all.
const BLOCKS: usize = 10_000;
const SIZE: usize = 256 << 10;
const IN_FLIGHT: usize = 32;
const ROUNDS: usize = 3;
const MIB: f64 = (1 << 20) as f64;
const TTL: Duration = Duration::from_secs(3_600);

/// Gets a block with the bare client.
type Get = Arc<dyn Fn(String) -> BoxFuture<'static, Result<Bytes>> + Send + Sync>;

/// Where blocks come from: as a tier, and by the bare client.
struct Source {
    name: &'static str,
    tier: Arc<dyn CacheBackend>,
    bare: Get,
    /// Whether the service runs in another process, whose memory is not ours.
    is_elsewhere: bool,
}

/// Who does what on threads of its own: the tiers that blocks are moved between, the bare client, live traffic, and a service that is part of
/// this process.
struct Runtimes {
    quiet: Runtime,
    client: Runtime,
    live: Runtime,
    service: Runtime,
}

pub(crate) fn run(scratch: &Path) -> Result<Vec<Measurement>> {
    let root = scratch.join("warm");
    drop(fs::remove_dir_all(&root));
    fs::create_dir_all(&root)?;
    let two_threads = || Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtimes =
        Runtimes { quiet: quiet_runtime()?, client: two_threads()?, live: two_threads()?, service: two_threads()? };
    let mut found = Vec::new();
    if let Some(server) = cache_redis::server()? {
        let source = redis(&runtimes, &server)?;
        found.extend(measure(&runtimes, &root, source)?);
    }
    let source = s3(&runtimes, &root.join("s3"))?;
    found.extend(measure(&runtimes, &root, source)?);
    drop(runtimes);
    fs::remove_dir_all(&root)?;
    Ok(found)
}

fn key(number: usize) -> String {
    format!("prod/tenant/model/{number:05}")
}

async fn fill(tier: &dyn CacheBackend) -> Result<()> {
    let entry = Entry::new(value(SIZE)).with_ttl(TTL);
    for number in 0..BLOCKS {
        tier.set(&key(number), entry.clone()).await?;
    }
    Ok(())
}

fn redis(runtimes: &Runtimes, server: &RedisServer) -> Result<Source> {
    let url = server.url();
    let config = RedisConfig { url: url.clone(), ..RedisConfig::default() };
    let tier = runtimes.quiet.block_on(RedisBackend::open(config))?;
    runtimes.quiet.block_on(fill(&tier))?;
    // Files that wait for the disk make answers wait.
    let patient = redis::AsyncConnectionConfig::new().set_response_timeout(Some(WARM_PATIENCE));
    let connection = runtimes
        .client
        .block_on(async { redis::Client::open(url)?.get_multiplexed_async_connection_with_config(&patient).await })?;
    let bare = move |key: String| -> BoxFuture<'static, Result<Bytes>> {
        let mut connection = connection.clone();
        Box::pin(async move {
            let value: Vec<u8> = redis::cmd("GET").arg(key).query_async(&mut connection).await?;
            Ok(Bytes::from(value))
        })
    };
    Ok(Source { name: "Redis", tier: Arc::new(tier), bare: Arc::new(bare), is_elsewhere: true })
}

fn s3(runtimes: &Runtimes, root: &Path) -> Result<Source> {
    let address = runtimes.service.block_on(cache_s3::serve(root))?;
    let tier = ObjectStoreBackend::over("s3", cache_s3::client(address)?, Settings::default())?;
    runtimes.quiet.block_on(fill(&tier))?;
    let store: Arc<dyn ObjectStore> = cache_s3::client(address)?;
    let bare = move |key: String| -> BoxFuture<'static, Result<Bytes>> {
        let store = Arc::clone(&store);
        Box::pin(async move { Ok(store.get(&Object::from(key)).await?.bytes().await?) })
    };
    Ok(Source { name: "S3", tier: Arc::new(tier), bare: Arc::new(bare), is_elsewhere: false })
}

fn measure(runtimes: &Runtimes, root: &Path, source: Source) -> Result<Vec<Measurement>> {
    let (mut bare, mut stored, mut warmed, mut written, mut peaks) = (vec![], vec![], vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        bare.push(runtimes.client.block_on(by_hand(Arc::clone(&source.bare), None))?);
        let plain = Directory::new(root.join("plain"))?;
        written.push(write_alone(&plain.0)?);
        drop(plain);
        let plain = Directory::new(root.join("plain"))?;
        stored.push(runtimes.client.block_on(by_hand(Arc::clone(&source.bare), Some(plain.0.clone())))?);
        drop(plain);
        let local = Directory::new(root.join(format!("local-{round}")))?;
        let cache = runtimes.quiet.block_on(tiers(&source, &local.0))?;
        let before = reset_peak()?;
        warmed.push(warm(runtimes, &cache)?);
        peaks.push(peak()?.saturating_sub(before) as f64 / MIB);
    }
    let (bare, stored, warmed, written) = (median(bare), median(stored), median(warmed), median(written));
    let rate = |seconds: f64| BLOCKS as f64 * SIZE as f64 / MIB / seconds;
    let (name, size) = (source.name, SIZE >> 10);
    let note = format!(
        "{BLOCKS} blocks, {IN_FLIGHT} in flight; {:.0} MiB/s; bare client {:.0}, {:.0} when it writes files; files alone, by two threads, {:.0}",
        rate(warmed),
        rate(bare),
        rate(stored),
        rate(written)
    );
    let title = |than: &str| format!("warm from {name}, blocks of {size} KiB, than {than}");
    let mut found = vec![
        Measurement::new(&title("the bare client"), bare / warmed * 100.0, "% of the rate").note(note).at_least(85.0),
        Measurement::new(&title("the bare client that writes files"), stored / warmed * 100.0, "% of the rate"),
    ];
    if source.is_elsewhere {
        let most = peaks.iter().copied().fold(0.0, f64::max);
        let limit = (IN_FLIGHT * SIZE) as f64 / MIB + 64.0;
        found.push(Measurement::new(&format!("warm from {name}, peak memory"), most, "MiB").at_most(limit));
    }
    found.extend(beside(runtimes, root, &source)?);
    Ok(found)
}

/// A directory for files of one measurement. What earlier ones wrote is on disk before it begins, so that no one pays for another.
struct Directory(PathBuf);

impl Directory {
    fn new(path: PathBuf) -> Result<Directory> {
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(&path)?;
        ensure!(Command::new("sync").arg("-f").arg(&path).status()?.success(), "cannot sync");
        Ok(Directory(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// The time that it takes to write as many files of as many bytes from memory.
fn write_alone(directory: &Path) -> Result<Duration> {
    let (value, next, began) = (value(SIZE), AtomicUsize::new(0), Instant::now());
    let write = || -> std::io::Result<()> {
        loop {
            let number = next.fetch_add(1, Relaxed);
            if number >= BLOCKS {
                return Ok(());
            }
            fs::write(directory.join(number.to_string()), &value)?;
        }
    };
    thread::scope(|scope| {
        let threads = [scope.spawn(write), scope.spawn(write)];
        threads.into_iter().try_for_each(|thread| Ok(thread.join().map_err(|_| anyhow::anyhow!("it panicked"))??))
    })
    .map(|()| began.elapsed())
}

/// The time that the bare client takes for all blocks, put into files of a directory where one is named.
async fn by_hand(get: Get, files: Option<PathBuf>) -> Result<Duration> {
    let began = Instant::now();
    let gets = (0..BLOCKS).map(|number| {
        let (get, path) = (Arc::clone(&get), files.as_ref().map(|files| files.join(number.to_string())));
        let one = async move {
            let value = get(key(number)).await?;
            ensure!(value.len() == SIZE, "a block of {} bytes", value.len());
            if let Some(path) = path {
                tokio::task::spawn_blocking(move || fs::write(path, value)).await??;
            }
            Ok(())
        };
        async move { tokio::spawn(one).await? }
    });
    stream::iter(gets).buffer_unordered(IN_FLIGHT).try_collect::<Vec<()>>().await?;
    Ok(began.elapsed())
}

async fn tiers(source: &Source, local: &Path) -> Result<CacheManager> {
    let config =
        FilesystemConfig { path: local.to_owned(), max_size: ByteSize(8 << 30), ..FilesystemConfig::default() };
    let local = FilesystemBackend::open(config).await?;
    let tiers = CacheManager::builder().tier(Arc::new(local)).tier(Arc::clone(&source.tier));
    Ok(tiers.immutable(true).build()?)
}

fn dress() -> Dress {
    Dress { base_ttl: TTL, clock: Arc::new(SystemClock) }
}

/// The time that a warm-up of all blocks takes.
fn warm(runtimes: &Runtimes, cache: &CacheManager) -> Result<Duration> {
    let fetcher = TierFetcher::new(cache.clone(), runtimes.quiet.handle().clone(), BlockValue::Raw, dress());
    // As the command: a tier that does not answer for a while is waited for.
    let policy = FetchPolicy { patience: WARM_PATIENCE, ..FetchPolicy::default() };
    let attempts = Attempts::new(Arc::new(fetcher), None, dress(), policy);
    let block = |number| WarmBlock { key: key(number), bytes: SIZE as u64, probability: 0.5 };
    let blocks: Vec<WarmBlock> = (0..BLOCKS).map(block).collect();
    let options = WarmOptions { in_flight: IN_FLIGHT, deadline: None };
    let began = Instant::now();
    let report = Warmup::new(&attempts, options, Cancel::new()).run(&blocks, "bench", 0, |_| {})?;
    let took = began.elapsed();
    ensure!(report.complete && report.fetched == BLOCKS as u64, "{report:?}");
    Ok(took)
}

/// Gets of local values: alone, while a warm-up runs flat out, and while the bare client does and writes files.
fn beside(runtimes: &Runtimes, root: &Path, source: &Source) -> Result<Vec<Measurement>> {
    const LIVE: usize = 256;
    let local = Directory::new(root.join("live"))?;
    let cache = runtimes.live.block_on(tiers(source, &local.0))?;
    let live = |number: usize| format!("live/{}", number * 7_919 % LIVE);
    runtimes.live.block_on(async {
        let local = cache.tier("filesystem").context("no local tier")?;
        for number in 0..LIVE {
            local.set(&live(number), Entry::new(value(SIZE)).with_ttl(TTL)).await?;
        }
        anyhow::Ok(())
    })?;
    let gets = |is_over: &(dyn Fn(Instant) -> bool + Sync)| -> Result<Times> {
        let (mut times, began) = (Vec::new(), Instant::now());
        while !is_over(began) {
            let asked = Instant::now();
            let (cache, key) = (cache.clone(), live(times.len()));
            // Within a task, as a server's requests are.
            let found = runtimes.live.block_on(runtimes.live.spawn(async move { cache.get(&key).await }))?;
            ensure!(found.is_some(), "a value is gone");
            times.push(asked.elapsed().as_secs_f64() * 1e6);
            thread::sleep(Duration::from_micros(500));
        }
        Ok(Times::sorted(times))
    };
    let while_it_runs = |work: &(dyn Fn() -> Result<Duration> + Sync)| -> Result<Times> {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let working = scope.spawn(|| {
                let done = work();
                is_over.store(true, Relaxed);
                done
            });
            let times = gets(&|_| is_over.load(Relaxed));
            working.join().map_err(|_| anyhow::anyhow!("the work beside it panicked"))??;
            times
        })
    };
    let alone = gets(&|began| began.elapsed() > Duration::from_secs(3))?;
    let by_warm = while_it_runs(&|| warm(runtimes, &cache))?;
    let plain = Directory::new(root.join("plain"))?;
    let by_bare =
        while_it_runs(&|| runtimes.client.block_on(by_hand(Arc::clone(&source.bare), Some(plain.0.clone()))))?;
    let measurement = |share: f64, name: &str| {
        let (alone, by_warm, by_bare) = (alone.at(share), by_warm.at(share), by_bare.at(share));
        let name = format!("live get of {} KiB beside warm from {}, {name}", SIZE >> 10, source.name);
        let note = format!(
            "{by_warm:.0} us; alone {alone:.0} us; beside the bare client that writes files {by_bare:.0} us; the aim for p99 is 1.5"
        );
        Measurement::new(&name, by_warm / alone, "x of alone").note(note)
    };
    Ok(vec![measurement(0.5, "p50"), measurement(0.99, "p99")])
}

/// Sets the peak of this process's memory back to what it uses now, which is returned in bytes.
fn reset_peak() -> Result<u64> {
    fs::write("/proc/self/clear_refs", "5")?;
    status("VmRSS:")
}

fn peak() -> Result<u64> {
    status("VmHWM:")
}

fn status(name: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such line in the status")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
}

/// Moves nothing, at once.
struct AtOnce(u64);

impl Fetcher for AtOnce {
    fn fetch(&self, _: &PrefetchRequest, _: &FetchCtx) -> Result<Fetched, PrefetchError> {
        Ok(Fetched::Moved { bytes: self.0 })
    }
}

/// What goes through limits in ten seconds, of eight threads that come as soon as they may.
pub(crate) fn limits(_: &Path) -> Result<Vec<Measurement>> {
    const TIME: Duration = Duration::from_secs(10);
    const BYTES: u64 = SIZE as u64;
    let through = |policy: FetchPolicy| {
        let attempts = Attempts::new(Arc::new(AtOnce(BYTES)), None, dress(), policy);
        let (began, done, cancel) = (Instant::now(), AtomicU64::new(0), Cancel::new());
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let request = PrefetchRequest::for_block("block", 0).with_expected_bytes(BYTES);
                    while !cancel.is_cancelled() {
                        attempts.run(&request, &cancel);
                        if began.elapsed() < TIME {
                            done.fetch_add(1, Relaxed);
                        }
                    }
                });
            }
            thread::sleep(TIME);
            cancel.cancel();
        });
        done.into_inner() as f64 / TIME.as_secs_f64()
    };
    let (rate, bytes_per_second) = (500.0, 64 << 20);
    let by_requests = through(FetchPolicy { max_requests_per_second: Some(rate), ..FetchPolicy::default() }) / rate;
    let limited = FetchPolicy { max_bytes_per_second: Some(bytes_per_second), ..FetchPolicy::default() };
    let by_bytes = through(limited) * BYTES as f64 / bytes_per_second as f64;
    let measurement = |name: &str, share: f64| {
        let note = format!("{:.2} % of the limit went through", share * 100.0);
        Measurement::new(name, (share - 1.0).abs() * 100.0, "% off").note(note).at_most(2.0)
    };
    Ok(vec![
        measurement("limit of 500 requests a second over 10 s", by_requests),
        measurement("limit of 64 MiB a second over 10 s", by_bytes),
    ])
}
