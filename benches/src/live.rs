//! What it costs to hand events to a running index: durably, and without waiting.

use crate::{
    harness::{Measurement, Times},
    synthetic::{Random, START_MS, uses},
};
use anyhow::{Result, bail, ensure};
use prefix_indexer_models::{EventBatch, IndexSpec};
use prefix_indexer_service::{IndexerOptions, PrefixIndexer, Receipt, ServiceError, TryIngestError};
use prefix_indexer_storage::{Appended, Batch, Commit, OpenOptions, StoreKind, open};
use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    thread,
    time::{Duration, Instant},
};

const BATCH: usize = 1_000;
const BATCHES: usize = 1_000;
const PREFIXES: u64 = 100_000;
const CALLS: usize = 10_000;
/// For how long a caller whose batch was given back sleeps.
const PAUSE: Duration = Duration::from_millis(50);

/// One batch after the other, each on disk before the next, and once more with each shown to queries before the next.
pub(crate) fn durable(scratch: &Path) -> Result<Vec<Measurement>> {
    let acknowledged = one_by_one(scratch, "durable ingestion", |receipt| receipt.wait_durable())?.at_least(1.0);
    let shown = one_by_one(scratch, "durable ingestion, each batch shown to queries", Receipt::wait)?;
    Ok(vec![acknowledged, shown])
}

fn one_by_one(
    scratch: &Path,
    name: &str,
    wait: impl Fn(Receipt) -> Result<Appended, ServiceError>,
) -> Result<Measurement> {
    let (batches, data) = (batches(), scratch.join("durable"));
    // The copies are made before the clock starts.
    let copies: Vec<EventBatch> = batches.iter().cycle().take(BATCHES).cloned().collect();
    let indexer = start(&data)?;
    let started = Instant::now();
    let mut events = 0;
    for events_of_one in copies {
        let batch = Batch { events: events_of_one, commit: Commit::default() };
        let receipt = match indexer.try_ingest_durable(batch) {
            Ok(receipt) => receipt,
            Err(_) => bail!("a batch was given back though none was waiting"),
        };
        events += wait(receipt)?.events;
    }
    let seconds = started.elapsed().as_secs_f64();
    ensure!(events == (BATCH * BATCHES) as u64, "{events} events were acknowledged");
    indexer.close()?;
    fs::remove_dir_all(&data)?;
    let each_us = seconds * 1e6 / BATCHES as f64;
    let sync_us = sync_us(scratch)?;
    let note = format!("{BATCH} events a batch, {each_us:.0} us each; a sync of 32 KiB alone {sync_us:.0} us");
    let rate = events as f64 / seconds / 1e6;
    Ok(Measurement::new(name, rate, "M events/s").note(note))
}

/// Batches handed in faster than the writer takes them: how long the caller is held, by whether they are taken or given back.
/// When the queue is full the caller sleeps, so that the writer is never idle and most batches are taken.
pub(crate) fn without_waiting(scratch: &Path) -> Result<Vec<Measurement>> {
    let (batches, data) = (batches(), scratch.join("busy"));
    let indexer = start(&data)?;
    let (mut taken, mut given_back) = (Vec::with_capacity(CALLS), Vec::new());
    for batch in batches.iter().cycle().take(CALLS) {
        // The copy is made before the clock starts.
        let mut waiting = Some(batch.clone());
        while let Some(batch) = waiting.take() {
            let started = Instant::now();
            let outcome = indexer.try_ingest(batch);
            let nanoseconds = started.elapsed().as_nanos() as f64;
            match outcome {
                Ok(()) => taken.push(nanoseconds),
                Err(TryIngestError::Full(batch)) => {
                    given_back.push(nanoseconds);
                    waiting = Some(batch);
                    thread::sleep(PAUSE);
                }
                Err(_) => bail!("the index closed"),
            }
        }
    }
    indexer.close()?;
    fs::remove_dir_all(&data)?;
    let measurement = |name: &str, nanoseconds: Vec<f64>| {
        let note = format!("{} calls of {BATCH} events", nanoseconds.len());
        let times = Times::sorted(nanoseconds);
        let name = format!("try_ingest beside a busy writer, {name}, p99");
        let note = format!("{note}, median {:.0} ns", times.median());
        Measurement::new(&name, times.at(0.99), "ns").note(note).at_most(5_000.0)
    };
    Ok(vec![measurement("taken", taken), measurement("given back", given_back)])
}

fn start(data: &Path) -> Result<PrefixIndexer> {
    if data.exists() {
        fs::remove_dir_all(data)?;
    }
    let options = OpenOptions { spec: Some(IndexSpec::default()), ..OpenOptions::default() };
    let store = open(StoreKind::Segments, data, options)?;
    Ok(PrefixIndexer::start(store, IndexerOptions::default()))
}

fn batches() -> Vec<EventBatch> {
    let mut random = Random(3);
    let mut batch = |number: u64| {
        let prefixes: Vec<u64> = (0..BATCH).map(|_| random.popular(PREFIXES)).collect();
        uses(prefixes.into_iter(), START_MS + number * 1_000, &mut random)
    };
    (0..100).map(&mut batch).collect()
}

/// What the disk asks for: appending 32 KiB and syncing, median in microseconds.
fn sync_us(scratch: &Path) -> Result<f64> {
    let path = scratch.join("sync");
    let mut file = File::create(&path)?;
    let bytes = vec![7; 32 << 10];
    let mut failed = None;
    let times = Times::of_batches(100, 1, |_| {
        if let Err(error) = file.write_all(&bytes).and_then(|()| file.sync_data()) {
            failed = Some(error);
        }
    });
    fs::remove_file(&path)?;
    failed.map_or(Ok(times.median() / 1e3), |error| Err(error.into()))
}
