//! `prefix-indexer-bench-foyer SCRATCH ROUNDS`: our memory and filesystem tiers beside foyer's hybrid cache.
//!
//! Each cache gets the same stream of requests and the same budgets; what it does not have is set, as a load would. Rounds take turns,
//! and of each number the median round counts. The first half of the stream fills the caches and is not counted. Between requests
//! there is time for what a cache writes behind its caller's back; how much is found without that time is measured too. Prints one
//! JSON object a measurement, as `prefix-indexer-benches run` does.

mod stream;
mod subject;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};
use stream::Stream;
use subject::{Kind, Subject};
use tokio::runtime::Builder;

const REQUESTS: usize = 6_000;

/// Microseconds that one kind of call took.
#[derive(Default)]
struct Times(Vec<f64>);

impl Times {
    fn add(&mut self, took: Duration) {
        self.0.push(took.as_secs_f64() * 1e6);
    }

    /// Mean, median and 99th percentile; zeros when there was no such call.
    fn summary(&mut self) -> Vec<f64> {
        self.0.sort_unstable_by(f64::total_cmp);
        let count = self.0.len().max(1);
        let at = |share: f64| self.0.get((count as f64 * share) as usize).copied().unwrap_or(0.0);
        vec![self.0.iter().sum::<f64>() / count as f64, at(0.5), at(0.99)]
    }
}

/// One round of one cache.
#[derive(Default)]
struct Round {
    from_memory: Times,
    from_disk: Times,
    misses: Times,
    sets: Times,
}

/// What a row of the report says: the first number is its value, the others are its note.
const ROWS: [(&str, &str, &[&str]); 6] = [
    ("found", "%", &["in memory", "on disk"]),
    ("found without a pause", "%", &["in memory", "on disk"]),
    ("get from memory", "us", &["p50", "p99"]),
    ("get from disk", "us", &["p50", "p99"]),
    ("miss", "us", &["p50", "p99"]),
    ("set", "us", &["p50", "p99"]),
];

impl Round {
    /// Percent of the blocks: found, in memory, on disk.
    fn found(&self) -> Vec<f64> {
        let (in_memory, on_disk) = (self.from_memory.0.len(), self.from_disk.0.len());
        let all = in_memory + on_disk + self.misses.0.len();
        [in_memory + on_disk, in_memory, on_disk].map(|count| count as f64 / all as f64 * 100.0).to_vec()
    }
}

/// The numbers of each row.
fn rows(mut paused: Round, hurried: &Round) -> [Vec<f64>; ROWS.len()] {
    let found = [paused.found(), hurried.found()];
    let Round { from_memory, from_disk, misses, sets } = &mut paused;
    let [found, hurried] = found;
    [found, hurried, from_memory.summary(), from_disk.summary(), misses.summary(), sets.summary()]
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [scratch, rounds] = args.as_slice() else { bail!("prefix-indexer-bench-foyer SCRATCH ROUNDS") };
    let rounds: usize = rounds.parse().context("ROUNDS is a number")?;
    let directory = Path::new(scratch).join("hybrid");
    let mut measured = Kind::ALL.map(|_| Vec::new());
    for _ in 0..rounds.max(1) {
        for (kind, measured) in Kind::ALL.into_iter().zip(&mut measured) {
            let paused = run(kind, &directory, true).with_context(|| kind.name())?;
            let hurried = run(kind, &directory, false).with_context(|| kind.name())?;
            measured.push(rows(paused, &hurried));
        }
    }
    fs::remove_dir_all(&directory)?;
    for (row, (what, unit, others)) in ROWS.iter().enumerate() {
        for (kind, rounds) in Kind::ALL.iter().zip(&measured) {
            // Of each number the median round.
            let number = |at: usize| {
                let mut values: Vec<f64> = rounds.iter().map(|round: &[Vec<f64>; ROWS.len()]| round[row][at]).collect();
                values.sort_unstable_by(f64::total_cmp);
                values[values.len() / 2]
            };
            let note: Vec<String> =
                others.iter().enumerate().map(|(at, name)| format!("{name} {:.2} {unit}", number(at + 1))).collect();
            let name = format!("{what}: {}", kind.name());
            println!("{}", json!({"name": name, "value": number(0), "unit": unit, "note": note.join(", ")}));
        }
    }
    Ok(())
}

/// A round in an empty directory.
fn run(kind: Kind, directory: &Path, pauses: bool) -> Result<Round> {
    drop(fs::remove_dir_all(directory));
    fs::create_dir_all(directory)?;
    let directory = directory.to_owned();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    // Within a task, as a server's requests are.
    runtime.block_on(runtime.spawn(async move {
        let cache = kind.open(&directory).await?;
        let mut stream = Stream::new();
        drop(half(&cache, &mut stream, pauses).await?);
        let counted = half(&cache, &mut stream, pauses).await?;
        cache.close().await?;
        Ok(counted)
    }))?
}

async fn half(cache: &Subject, stream: &mut Stream, pauses: bool) -> Result<Round> {
    let mut round = Round::default();
    for _ in 0..REQUESTS / 2 {
        for block in stream.request() {
            let in_memory = cache.is_in_memory(&block.key).await?;
            let began = Instant::now();
            let found = cache.get(&block.key).await?;
            let took = began.elapsed();
            let Some(found) = found else {
                round.misses.add(took);
                let began = Instant::now();
                cache.set(&block.key, block.value).await?;
                round.sets.add(began.elapsed());
                continue;
            };
            ensure!(found == block.value, "{} has another value", block.key);
            if in_memory { round.from_memory.add(took) } else { round.from_disk.add(took) }
        }
        if pauses {
            cache.settle().await?;
        }
    }
    cache.settle().await?;
    Ok(round)
}
