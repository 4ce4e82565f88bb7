//! The cache's own tiers beside the same work done by hand in the same run.
//!
//! Rounds of ours and of the other alternate, and medians are compared, so that what else the machine does hits both sides.

use crate::harness::Measurement;
use anyhow::{Context, Result};
use bytes::Bytes;
use prefix_indexer_cache::{
    ByteSize, CacheBackend, CacheManager, Entry, FilesystemBackend, FilesystemConfig, MemoryBackend, MemoryConfig,
};
use std::{
    fs,
    hint::black_box,
    path::{Path, PathBuf},
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::{Builder, Runtime};
use xxhash_rust::xxh3::xxh3_64;

const ROUNDS: usize = 15;

/// Hits of the memory tier: how long one takes, and what a second thread adds.
pub(crate) fn memory(_: &Path) -> Result<Vec<Measurement>> {
    const KEYS: usize = 10_000;
    let memory = Arc::new(MemoryBackend::new(&MemoryConfig { max_size: ByteSize(1 << 30) })?);
    let keys: Arc<Vec<String>> = Arc::new((0..KEYS).map(|i| format!("prod/tenant/model/{i:032x}")).collect());
    one_thread()?.block_on(async {
        for key in keys.iter() {
            memory.set(key, Entry::new(vec![0; 100]).with_ttl(Duration::from_secs(3600))).await?;
        }
        anyhow::Ok(())
    })?;
    let manager = CacheManager::builder().tier(Arc::clone(&memory) as _).build()?;
    let nested: Arc<dyn CacheBackend> = Arc::new(manager.clone());
    let backend: Arc<dyn CacheBackend> = memory;
    let through_backend = async move |key: &str| backend.get(key).await.is_ok_and(|entry| entry.is_some());
    let through_manager = async move |key: &str| manager.get(key).await.is_some();
    let through_nested = async move |key: &str| nested.get(key).await.is_ok_and(|entry| entry.is_some());
    let mut found = Vec::new();
    found.extend(hit("memory hit through the backend", &keys, &through_backend)?);
    found.extend(hit("memory hit through the manager", &keys, &through_manager)?);
    let boxed = (0..7).map(|_| hits(&through_nested, &keys, 1)).collect::<Result<Vec<_>>>()?;
    let boxed = Measurement::new("memory hit through a manager that is a tier of another", best(&boxed), "ns");
    found.push(boxed.note("a future more is boxed".into()));
    Ok(found)
}

/// A hit of one thread, and what a second one adds.
fn hit<C>(name: &str, keys: &Arc<Vec<String>>, cache: &C) -> Result<[Measurement; 2]>
where
    C: AsyncFn(&str) -> bool + Clone + Send + 'static,
{
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        alone.push(hits(cache, keys, 1)?);
        together.push(hits(cache, keys, 2)?);
    }
    let (alone, together) = (best(&alone), best(&together));
    let scaling = Measurement::new(&format!("{name}, two threads"), 2.0 * alone / together, "x of one");
    Ok([
        Measurement::new(name, alone, "ns").note("thread time, best of 7".into()).at_most(150.0),
        scaling.note(format!("{together:.0} ns each")).at_least(1.6),
    ])
}

fn best(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::INFINITY, f64::min)
}

/// Nanoseconds a hit, of the slower thread. The cache says whether it has a key.
fn hits<C>(cache: &C, keys: &Arc<Vec<String>>, threads: usize) -> Result<f64>
where
    C: AsyncFn(&str) -> bool + Clone + Send + 'static,
{
    const HITS: usize = 1_000_000;
    let barrier = Arc::new(Barrier::new(threads));
    let workers: Vec<_> = (0..threads)
        .map(|thread| {
            let (cache, keys, barrier) = (cache.clone(), Arc::clone(keys), Arc::clone(&barrier));
            thread::spawn(move || -> Result<Duration> {
                let runtime = one_thread()?;
                barrier.wait();
                let began = thread_time()?;
                let missed = runtime.block_on(async {
                    let mut missed = 0;
                    for i in 0..HITS {
                        let key = &keys[(i * 7_919 + thread * 4_001) % keys.len()];
                        missed += usize::from(!cache(key).await);
                    }
                    missed
                });
                let took = thread_time()?.saturating_sub(began);
                anyhow::ensure!(missed == 0, "{missed} keys are gone");
                Ok(took)
            })
        })
        .collect();
    let mut slowest = Duration::ZERO;
    for worker in workers {
        slowest = slowest.max(worker.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??);
    }
    Ok(slowest.as_nanos() as f64 / HITS as f64)
}

/// How long this thread has run, so that what else the machine does is left out. Two threads that get in each other's way (a
/// line of cache that both write, a lock that both spin on) run longer for it.
fn thread_time() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = stat.split_whitespace().next().context("an empty schedstat")?;
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}

fn one_thread() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// The filesystem tier, within a task of a runtime, as a server's requests are.
pub(crate) fn files(scratch: &Path) -> Result<Vec<Measurement>> {
    let root = scratch.join("cache");
    drop(fs::remove_dir_all(&root));
    fs::create_dir_all(root.join("plain"))?;
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let own = root.clone();
    let found = runtime.block_on(runtime.spawn(async move {
        anyhow::Ok(vec![
            get(&own, 1 << 20, 64).await?,
            get(&own, 4 << 10, 2_000).await?,
            set(&own, 1 << 20, 32).await?,
            set(&own, 64 << 10, 200).await?,
            rebuild(&own).await?,
        ])
    }))??;
    fs::remove_dir_all(&root)?;
    Ok(found)
}

async fn tier(root: &Path, name: &str) -> Result<FilesystemBackend> {
    let config = FilesystemConfig { path: root.join(name), max_size: ByteSize(8 << 30), ..FilesystemConfig::default() };
    Ok(FilesystemBackend::open(config).await?)
}

pub(crate) fn value(size: usize) -> Bytes {
    Bytes::from((0..size).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<u8>>())
}

pub(crate) fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

/// From the page cache, checksum verified, beside `std::fs::read` and the same checksum.
async fn get(root: &Path, size: usize, count: usize) -> Result<Measurement> {
    let tier = tier(root, &format!("get-{size}")).await?;
    let value = value(size);
    let plain: Vec<PathBuf> = (0..count).map(|i| root.join(format!("plain/{size}-{i}"))).collect();
    let keys: Vec<String> = (0..count).map(|i| format!("prod/tenant/model/{i}")).collect();
    for (key, path) in keys.iter().zip(&plain) {
        tier.set(key, Entry::new(value.clone())).await?;
        fs::write(path, &value)?;
    }
    let (mut ours, mut by_hand) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for path in &plain {
            black_box(xxh3_64(&fs::read(path)?));
        }
        by_hand.push(began.elapsed());
        let began = Instant::now();
        for key in &keys {
            black_box(tier.get(key).await?.context("a value is gone")?);
        }
        ours.push(began.elapsed());
    }
    let (ours, by_hand) = (median(ours), median(by_hand));
    let each = |seconds: f64| seconds * 1e6 / count as f64;
    let note = format!("{:.1} us; fs::read and XXH3 {:.1} us", each(ours), each(by_hand));
    let name = format!("filesystem get of {} KiB", size >> 10);
    Ok(if size > 64 << 10 {
        Measurement::new(&name, by_hand / ours * 100.0, "% of the rate").note(note).at_least(80.0)
    } else {
        Measurement::new(&name, ours / by_hand, "x the latency").note(note).at_most(2.0)
    })
}

/// Without fsync, beside a plain write and rename.
async fn set(root: &Path, size: usize, count: usize) -> Result<Measurement> {
    let tier = tier(root, &format!("set-{size}")).await?;
    let value = value(size);
    let (mut ours, mut by_hand) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let began = Instant::now();
        for i in 0..count {
            let temporary = root.join(format!("plain/set-{size}.tmp"));
            fs::write(&temporary, &value)?;
            fs::rename(&temporary, root.join(format!("plain/set-{size}-{}", round % 3 * count + i)))?;
        }
        by_hand.push(began.elapsed());
        let began = Instant::now();
        for i in 0..count {
            tier.set(&format!("prod/tenant/model/{}", round % 3 * count + i), Entry::new(value.clone())).await?;
        }
        ours.push(began.elapsed());
    }
    let (ours, by_hand) = (median(ours), median(by_hand));
    let each = |seconds: f64| seconds * 1e6 / count as f64;
    let note = format!("{:.1} us; write and rename {:.1} us", each(ours), each(by_hand));
    let name = format!("filesystem set of {} KiB", size >> 10);
    Ok(Measurement::new(&name, by_hand / ours * 100.0, "% of the rate").note(note).at_least(70.0))
}

async fn rebuild(root: &Path) -> Result<Measurement> {
    const FILES: usize = 100_000;
    let files = tier(root, "rebuild").await?;
    let keys: Vec<String> = (0..FILES).map(|i| i.to_string()).collect();
    for part in keys.chunks(1_000) {
        let entries: Vec<(&str, Entry)> = part.iter().map(|key| (key.as_str(), Entry::new(key.clone()))).collect();
        for result in files.set_many(&entries).await {
            result?;
        }
    }
    drop(files);
    let began = Instant::now();
    let files = tier(root, "rebuild").await?;
    let took = began.elapsed().as_secs_f64();
    anyhow::ensure!(files.stats().await?.entries == Some(FILES as u64), "files are missing");
    Ok(Measurement::new("filesystem, index of 100,000 files rebuilt", took, "s").at_most(1.0))
}
