//! What it costs to hand events to a running index: durably, and without waiting.

use crate::{
    harness::{Measurement, Times},
    synthetic::{Random, START_MS, uses},
};
use anyhow::{Result, bail, ensure};
use prefix_indexer_models::{EventBatch, IndexSpec};
use prefix_indexer_service::{IndexerOptions, PrefixIndexer, TryIngestError};
use prefix_indexer_storage::{Batch, Commit, OpenOptions, StoreKind, open};
use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    time::Instant,
};

const BATCH: usize = 1_000;
const BATCHES: usize = 1_000;
const PREFIXES: u64 = 100_000;
const CALLS: usize = 20_000;

pub(crate) fn run(scratch: &Path) -> Result<Vec<Measurement>> {
    let mut found = durable(scratch)?;
    found.extend(without_waiting(scratch)?);
    Ok(found)
}

/// One batch after the other, each acknowledged, and so synced, before the next.
fn durable(scratch: &Path) -> Result<Vec<Measurement>> {
    let (batches, data) = (batches(), scratch.join("durable"));
    let indexer = start(&data)?;
    let started = Instant::now();
    let mut events = 0;
    for batch in batches.iter().cycle().take(BATCHES) {
        let batch = Batch { events: batch.clone(), commit: Commit::default() };
        let receipt = match indexer.try_ingest_durable(batch) {
            Ok(receipt) => receipt,
            Err(_) => bail!("a batch was given back though none was waiting"),
        };
        events += receipt.wait()?.events;
    }
    let seconds = started.elapsed().as_secs_f64();
    ensure!(events == (BATCH * BATCHES) as u64, "{events} events were acknowledged");
    indexer.close()?;
    fs::remove_dir_all(&data)?;
    let each_us = seconds * 1e6 / BATCHES as f64;
    let sync_us = sync_us(scratch)?;
    let note = format!("{BATCH} events a batch, {each_us:.0} us each; a sync of 32 KiB alone {sync_us:.0} us");
    let rate = events as f64 / seconds / 1e6;
    Ok(vec![Measurement::new("durable ingestion", rate, "M events/s").note(note).at_least(1.0)])
}

/// Batches handed in faster than the writer takes them: how long the caller is held, whether they are taken or given back.
fn without_waiting(scratch: &Path) -> Result<Vec<Measurement>> {
    let (batches, data) = (batches(), scratch.join("busy"));
    let indexer = start(&data)?;
    let (mut nanoseconds, mut given_back) = (Vec::with_capacity(CALLS), 0);
    let mut spare = None;
    for batch in batches.iter().cycle().take(CALLS) {
        // The copy is made before the clock starts.
        let batch = spare.take().unwrap_or_else(|| batch.clone());
        let started = Instant::now();
        let outcome = indexer.try_ingest(batch);
        nanoseconds.push(started.elapsed().as_nanos() as f64);
        match outcome {
            Ok(()) => {}
            Err(TryIngestError::Full(batch)) => {
                given_back += 1;
                spare = Some(batch);
            }
            Err(_) => bail!("the index closed"),
        }
    }
    let times = Times::sorted(nanoseconds);
    indexer.close()?;
    fs::remove_dir_all(&data)?;
    let note = format!("{CALLS} calls of {BATCH} events, {given_back} given back, median {:.0} ns", times.median());
    Ok(vec![Measurement::new("try_ingest beside a busy writer, p99", times.at(0.99), "ns").note(note).at_most(5_000.0)])
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
