//! A restart, with real moves: what a warm-up by plan is worth to the requests that follow.
//!
//! The first half of a trace is history: it is indexed, and its blocks lie in a cold tier on disk, a millisecond away as over a network. Then
//! the local tier is lost. The requests of the next 30 minutes run through the cache twice: as it is, and after `plan` and
//! `warm` had their turn.
#![expect(clippy::print_stdout, reason = "an example shows something")]

use prefix_indexer::{
    IndexReader, Inputs, NativeEngine, OpenOptions, PlanQuery, StoreKind, TraceOptions,
    analytics::Learner,
    cache::{
        BackendStats, CacheBackend, CacheManager, Entry, FilesystemBackend, FilesystemConfig, Invalidation, Listed,
        Pattern, SystemClock, one_by_one,
    },
    ingest_pieces, learned,
    prefetch::{
        Attempts, BlockKeys, BlockName, BlockValue, Cancel, DEFAULT_TEMPLATE, Dress, FetchPolicy, TierFetcher,
        WarmOptions, WarmReport, Warmup, warm_blocks,
    },
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    error::Error,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{runtime::Runtime, sync::mpsc};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/mooncake.jsonl");
/// Bytes of a block: small, so that the example is quick.
const BLOCK: usize = 16 << 10;
/// How long after the restart is looked at.
const HORIZON_MS: u64 = 1_800_000;
/// The budget of the plan, as a share of the blocks known.
const BUDGET: f64 = 0.25;
/// What an answer of the cold tier takes beside the reading.
const ROUND_TRIP: Duration = Duration::from_millis(1);

/// The requests of a trace: when, and which blocks, root first.
struct Request {
    at_ms: u64,
    blocks: Vec<String>,
    line: String,
}

/// What the requests met.
#[derive(Debug)]
pub struct Replay {
    /// Blocks that they asked for and that the history knows.
    pub references: usize,
    /// Of them, those that were local.
    pub local: usize,
    /// Milliseconds that a request waited for its blocks, in the mean.
    pub mean_ms: f64,
    /// 95 % of the requests waited at most so long.
    pub p95_ms: f64,
}

/// Both replays, and the warm-up between them.
#[derive(Debug)]
pub struct Comparison {
    /// As it is.
    pub cold: Replay,
    /// What the warm-up moved.
    pub warmed: WarmReport,
    /// After it.
    pub warm: Replay,
}

/// Runs it.
pub fn run() -> Result<Comparison> {
    let dir = tempfile::tempdir()?;
    let requests = requests(&std::fs::read_to_string(FIXTURE)?)?;
    let restart_ms = requests.last().map_or(0, |last| last.at_ms) / 2;
    let history: Vec<&Request> = requests.iter().filter(|request| request.at_ms < restart_ms).collect();
    let known: BTreeSet<&String> = history.iter().flat_map(|request| &request.blocks).collect();
    let after: Vec<&Request> =
        requests.iter().filter(|r| (restart_ms..restart_ms + HORIZON_MS).contains(&r.at_ms)).collect();

    // The history, indexed; and a plan for what follows.
    let trace = dir.path().join("history.jsonl");
    std::fs::write(&trace, history.iter().map(|request| format!("{}\n", request.line)).collect::<String>())?;
    let options = OpenOptions { spec: Some(Default::default()), ..OpenOptions::default() };
    let mut store = prefix_indexer::open(StoreKind::Segments, &dir.path().join("index"), options)?;
    let trace_options = TraceOptions { block_bytes: BLOCK as u64, ..TraceOptions::default() };
    let pieces = Inputs::from_args([&trace])?.open(trace_options, |_| Vec::new());
    ingest_pieces(store.as_mut(), pieces, NativeEngine::on_all_cores(usize::MAX), |_| Ok(()))?;
    let budget = (known.len() as f64 * BUDGET) as u64 * BLOCK as u64;
    let plan = PlanQuery { now_ms: Some(restart_ms), ..PlanQuery::new(budget, HORIZON_MS) };
    store.flush()?;
    let index = IndexReader::open(&dir.path().join("index"), true)?;
    let learned = learned(&index)?;
    let plan = plan.run(&index.view(), learned.as_ref().map(Learner::model))?;

    // The cold tier, filled.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let cold = Arc::new(Distant(runtime.block_on(directory(&dir.path().join("cold")))?));
    let keys = BlockKeys::parse(DEFAULT_TEMPLATE, "example")?;
    let key =
        |prefix_id: &str| keys.render(&BlockName { tenant: "default", model_id: "default", prefix_id, extent: None });
    for block in &known {
        runtime.block_on(cold.0.set(&key(block)?, Entry::new(block.as_bytes().repeat(BLOCK / block.len()))))?;
    }

    // As it is: the local tier is empty.
    let known = |block: &&String| known.contains(*block);
    let tiers = |name: &str| -> Result<CacheManager> {
        let local = runtime.block_on(directory(&dir.path().join(name)))?;
        let _inside = runtime.enter();
        Ok(CacheManager::builder().tier(Arc::new(local)).tier(Arc::clone(&cold) as _).build()?)
    };
    let lost = replay(&runtime, &tiers("lost")?, &after, known, key)?;

    // After the plan was executed.
    let cache = tiers("warmed")?;
    let dress = Dress { base_ttl: Duration::from_secs(3600), clock: Arc::new(SystemClock) };
    let fetcher = TierFetcher::new(cache.clone(), runtime.handle().clone(), BlockValue::Raw, dress.clone());
    let attempts = Attempts::new(Arc::new(fetcher), None, dress, FetchPolicy::default());
    let blocks = warm_blocks(&plan, &keys)?;
    let warmed = Warmup::new(&attempts, WarmOptions::default(), Cancel::new()).run(&blocks, "plan", 0, |_| {})?;
    let warm = replay(&runtime, &cache, &after, known, key)?;
    Ok(Comparison { cold: lost, warmed, warm })
}

fn requests(trace: &str) -> Result<Vec<Request>> {
    let mut requests = Vec::new();
    for line in trace.lines() {
        let row: Value = serde_json::from_str(line)?;
        let ids = row["hash_ids"].as_array().ok_or("no hash_ids")?;
        requests.push(Request {
            at_ms: row["timestamp"].as_u64().ok_or("no timestamp")?,
            blocks: ids.iter().map(Value::to_string).collect(),
            line: line.to_owned(),
        });
    }
    requests.sort_by_key(|request| request.at_ms);
    Ok(requests)
}

async fn directory(path: &Path) -> Result<FilesystemBackend> {
    Ok(FilesystemBackend::open(FilesystemConfig { path: path.into(), ..FilesystemConfig::default() }).await?)
}

/// Live traffic: each request reads its known blocks, root first, through the cache.
fn replay(
    runtime: &Runtime,
    cache: &CacheManager,
    requests: &[&Request],
    known: impl Fn(&&String) -> bool,
    key: impl Fn(&str) -> std::result::Result<String, prefix_indexer::prefetch::PrefetchError>,
) -> Result<Replay> {
    let (mut references, mut waits) = (0, Vec::new());
    for request in requests {
        let began = Instant::now();
        for block in request.blocks.iter().filter(&known) {
            references += 1;
            runtime.block_on(cache.get(&key(block)?)).ok_or("a block is gone")?;
        }
        waits.push(began.elapsed().as_secs_f64() * 1e3);
        runtime.block_on(cache.settle());
    }
    waits.sort_by(f64::total_cmp);
    let local = runtime.block_on(cache.stats()).tiers[0].hits as usize;
    let mean_ms = waits.iter().sum::<f64>() / waits.len().max(1) as f64;
    Ok(Replay { references, local, mean_ms, p95_ms: waits.get(waits.len() * 95 / 100).copied().unwrap_or(0.0) })
}

/// A directory that answers as late as one on the other side of a network does.
#[derive(Debug)]
struct Distant(FilesystemBackend);

#[async_trait::async_trait]
impl CacheBackend for Distant {
    fn name(&self) -> &str {
        "distant"
    }

    async fn get(&self, key: &str) -> prefix_indexer::cache::Result<Option<Entry>> {
        tokio::time::sleep(ROUND_TRIP).await;
        self.0.get(key).await
    }

    async fn get_many(&self, keys: &[&str]) -> Vec<prefix_indexer::cache::Result<Option<Entry>>> {
        one_by_one::get_many(self, keys).await
    }

    async fn set(&self, key: &str, entry: Entry) -> prefix_indexer::cache::Result<()> {
        self.0.set(key, entry).await
    }

    async fn set_many(&self, entries: &[(&str, Entry)]) -> Vec<prefix_indexer::cache::Result<()>> {
        self.0.set_many(entries).await
    }

    async fn delete(&self, key: &str) -> prefix_indexer::cache::Result<bool> {
        self.0.delete(key).await
    }

    async fn delete_many(&self, keys: &[&str]) -> Vec<prefix_indexer::cache::Result<bool>> {
        self.0.delete_many(keys).await
    }

    async fn exists(&self, key: &str) -> prefix_indexer::cache::Result<bool> {
        self.0.exists(key).await
    }

    async fn list(&self, pattern: &Pattern, limit: usize) -> prefix_indexer::cache::Result<Vec<Listed>> {
        self.0.list(pattern, limit).await
    }

    async fn clear(&self, pattern: &Pattern) -> prefix_indexer::cache::Result<u64> {
        self.0.clear(pattern).await
    }

    async fn stats(&self) -> prefix_indexer::cache::Result<BackendStats> {
        self.0.stats().await
    }

    fn invalidations(&self) -> Option<mpsc::Receiver<Invalidation>> {
        None
    }
}

fn main() -> Result<()> {
    let found = run()?;
    let share = |replay: &Replay| replay.local as f64 / replay.references.max(1) as f64 * 100.0;
    println!(
        "warmed: {} blocks ({} KiB) in {:.2} s",
        found.warmed.fetched,
        found.warmed.bytes >> 10,
        found.warmed.seconds
    );
    for (name, replay) in [("without", &found.cold), ("with", &found.warm)] {
        println!(
            "{name:>8}: {:5.1} % of {} references local; a request waits {:.2} ms in the mean, 95 % at most {:.2} ms",
            share(replay),
            replay.references,
            replay.mean_ms,
            replay.p95_ms,
        );
    }
    Ok(())
}
