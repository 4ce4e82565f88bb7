//! What the cache must reach, as ratios to the same work done by hand in the same run.
//!
//! `cargo run --release -p prefix-indexer-cache --example bars [-- DIRECTORY]`: the directory is where the files go; the system's
//! temporary one unless named. The medians of several interleaved rounds are compared, so that what else the machine does
//! hits both sides.

#![expect(clippy::print_stdout, reason = "an example talks")]

use bytes::Bytes;
use prefix_indexer_cache::{
    ByteSize, CacheBackend, CacheManager, Entry, FilesystemBackend, FilesystemConfig, MemoryBackend, MemoryConfig,
    Result,
};
use std::{
    fs,
    hint::black_box,
    path::{Path, PathBuf},
    sync::{Arc, Barrier},
    time::{Duration, Instant},
};
use tokio::runtime::Builder;
use xxhash_rust::xxh3::xxh3_64;

const ROUNDS: usize = 15;

fn main() -> Result<()> {
    let root = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let root = root.join(format!("prefix-indexer-cache-bars-{}", std::process::id()));
    let result = run(&root);
    drop(fs::remove_dir_all(&root));
    result
}

fn run(root: &Path) -> Result<()> {
    let failed = |error| prefix_indexer_cache::CacheError::backend("bars", "cannot write", error);
    fs::create_dir_all(root.join("plain")).map_err(failed)?;
    memory_hit()?;
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(failed)?;
    // Within a task of the runtime, as a server's requests are.
    let root = root.to_owned();
    let task = runtime.spawn(async move {
        get(&root, 1 << 20, 64).await?;
        get(&root, 4 << 10, 2_000).await?;
        set(&root, 1 << 20, 32).await?;
        set(&root, 64 << 10, 200).await?;
        set(&root, 4 << 10, 500).await?;
        rebuild(&root).await
    });
    match runtime.block_on(task) {
        Ok(result) => result,
        Err(error) => Err(prefix_indexer_cache::CacheError::backend("bars", "ended early", error)),
    }
}

fn line(what: &str, measured: String, bar: &str) {
    println!("{what:<52} {measured:>22}   bar: {bar}");
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// How long this thread has run, so that what else the machine does is left out. Two threads that get in each other's way (a
/// line of cache that both write, a lock that both spin on) run longer for it.
fn thread_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    stat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// Many tasks' worth of hits on one thread, and on two.
fn memory_hit() -> Result<()> {
    const KEYS: usize = 10_000;
    const HITS: usize = 2_000_000;
    let memory = Arc::new(MemoryBackend::new(&MemoryConfig { max_size: ByteSize(1 << 30) })?);
    let tiered = CacheManager::builder().tier(Arc::clone(&memory) as Arc<dyn CacheBackend>).build()?;
    let keys: Arc<Vec<String>> = Arc::new((0..KEYS).map(|i| format!("prod/tenant/model/{i:032x}")).collect());
    let one = Builder::new_current_thread().enable_all().build();
    let one = one.map_err(|error| prefix_indexer_cache::CacheError::backend("bars", "no runtime", error))?;
    one.block_on(async {
        for key in keys.iter() {
            memory.set(key, Entry::new(vec![0; 100]).with_ttl(Duration::from_secs(3600))).await?;
        }
        Ok::<_, prefix_indexer_cache::CacheError>(())
    })?;
    let backend: Arc<dyn CacheBackend> = memory;
    let through: [(&str, Arc<dyn CacheBackend>); 2] = [("backend", backend), ("manager", Arc::new(tiered))];
    for (name, cache) in through {
        let hits = |threads: usize| {
            let barrier = Arc::new(Barrier::new(threads));
            let workers: Vec<_> = (0..threads)
                .map(|thread| {
                    let (cache, keys, barrier) = (Arc::clone(&cache), Arc::clone(&keys), Arc::clone(&barrier));
                    std::thread::spawn(move || {
                        let runtime = Builder::new_current_thread().enable_all().build().ok()?;
                        barrier.wait();
                        let began = thread_time()?;
                        runtime.block_on(async {
                            for i in 0..HITS {
                                let key = &keys[(i * 7_919 + thread * 4_001) % KEYS];
                                black_box(cache.get(key).await.ok());
                            }
                        });
                        thread_time()?.checked_sub(began)
                    })
                })
                .collect();
            let times = workers.into_iter().filter_map(|worker| worker.join().ok().flatten());
            times.max().unwrap_or_default()
        };
        let (mut alone, mut together) = (Vec::new(), Vec::new());
        for _ in 0..7 {
            alone.push(hits(1));
            together.push(hits(2));
        }
        let best = |times: &[Duration]| times.iter().min().copied().unwrap_or_default();
        let nanos = best(&alone).as_nanos() as f64 / HITS as f64;
        line(&format!("memory hit through the {name}"), format!("{nanos:.0} ns"), "<= 150 ns");
        let scaling = 2.0 * best(&alone).as_secs_f64() / best(&together).as_secs_f64();
        line(&format!("memory hits of 2 threads through the {name}"), format!("{scaling:.2}x of 1"), ">= 1.6x");
    }
    Ok(())
}

async fn tier(root: &Path, name: &str) -> Result<FilesystemBackend> {
    let config = FilesystemConfig { path: root.join(name), max_size: ByteSize(8 << 30), ..FilesystemConfig::default() };
    FilesystemBackend::open(config).await
}

fn value(size: usize) -> Bytes {
    Bytes::from((0..size).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<u8>>())
}

async fn get(root: &Path, size: usize, count: usize) -> Result<()> {
    let tier = tier(root, &format!("get-{size}")).await?;
    let value = value(size);
    let plain: Vec<PathBuf> = (0..count).map(|i| root.join(format!("plain/{size}-{i}"))).collect();
    let keys: Vec<String> = (0..count).map(|i| format!("prod/tenant/model/{i}")).collect();
    for (key, path) in keys.iter().zip(&plain) {
        tier.set(key, Entry::new(value.clone())).await?;
        drop(fs::write(path, &value));
    }
    let (mut ours, mut by_hand) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for path in &plain {
            let Ok(bytes) = fs::read(path) else { continue };
            black_box(xxh3_64(&bytes));
        }
        by_hand.push(began.elapsed());
        let began = Instant::now();
        for key in &keys {
            black_box(tier.get(key).await?);
        }
        ours.push(began.elapsed());
    }
    let (ours, by_hand) = (median(ours).as_secs_f64() / count as f64, median(by_hand).as_secs_f64() / count as f64);
    let what = format!("get of {} KiB against fs::read + XXH3 ({:.1} us)", size >> 10, by_hand * 1e6);
    if size > 64 << 10 {
        line(&what, format!("{:.0} % ({:.1} us)", by_hand / ours * 100.0, ours * 1e6), ">= 80 % of the rate");
    } else {
        line(&what, format!("{:.2}x ({:.1} us)", ours / by_hand, ours * 1e6), "<= 2x the latency");
    }
    Ok(())
}

async fn set(root: &Path, size: usize, count: usize) -> Result<()> {
    let tier = tier(root, &format!("set-{size}")).await?;
    let value = value(size);
    let (mut ours, mut by_hand) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let began = Instant::now();
        for i in 0..count {
            let temporary = root.join(format!("plain/set-{size}.tmp"));
            drop(fs::write(&temporary, &value));
            drop(fs::rename(&temporary, root.join(format!("plain/set-{size}-{}", round % 3 * count + i))));
        }
        by_hand.push(began.elapsed());
        let began = Instant::now();
        for i in 0..count {
            tier.set(&format!("prod/tenant/model/{}", round % 3 * count + i), Entry::new(value.clone())).await?;
        }
        ours.push(began.elapsed());
    }
    let (ours, by_hand) = (median(ours).as_secs_f64() / count as f64, median(by_hand).as_secs_f64() / count as f64);
    let what = format!("set of {} KiB against write + rename ({:.1} us)", size >> 10, by_hand * 1e6);
    line(&what, format!("{:.0} % ({:.1} us)", by_hand / ours * 100.0, ours * 1e6), ">= 70 % of the rate");
    Ok(())
}

async fn rebuild(root: &Path) -> Result<()> {
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
    let took = began.elapsed();
    let found = files.stats().await?.entries.unwrap_or_default();
    line(&format!("index of {found} files rebuilt"), format!("{:.2} s", took.as_secs_f64()), "<= 1 s");
    Ok(())
}
