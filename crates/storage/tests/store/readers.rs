//! Readers in other processes while a writer flushes, compacts and lets go of the old: never an error, never a mixture.

use crate::support::noise;
use prefix_indexer_models::{IndexSpec, PrefixEvent};
use prefix_indexer_storage::{Batch, Commit, IndexReader, OpenOptions, Order, Scope, StoreKind, inspect, open};
use std::{
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const DIR: &str = "PREFIX_INDEXER_TEST_DIR";
const KEYS: u64 = 50;
const OLD_KEYS: u64 = 30;

/// Every batch uses every key once, so a whole generation has the same number of uses everywhere.
fn batch(number: u64) -> Batch {
    let event = |prefix_id: String| PrefixEvent {
        prefix_id,
        tenant: "t".into(),
        model_id: "m".into(),
        timestamp_ms: 1_000_000 + number * 1000,
        ..PrefixEvent::default()
    };
    // Some keys are used by one batch only; retention drops all of a batch together.
    let old = (0..OLD_KEYS).map(|key| event(format!("old-{number}-{key}")));
    Batch { events: (0..KEYS).map(|key| event(format!("key-{key}"))).chain(old).collect(), commit: Commit::default() }
}

/// Reads a generation whole; the number of its newest batch.
fn check(reader: &IndexReader) -> u64 {
    let view = reader.view();
    let mut hits = Vec::new();
    let mut old = std::collections::BTreeMap::<String, u64>::new();
    for row in view.rows() {
        let row = row.unwrap();
        match row.prefix_id().strip_prefix("old-") {
            None => hits.push(row.tally().hit_count),
            Some(rest) => *old.entry(rest.split_once('-').unwrap().0.to_owned()).or_default() += 1,
        }
    }
    assert!(hits.len() as u64 == KEYS || hits.is_empty(), "{} keys", hits.len());
    assert!(hits.windows(2).all(|pair| pair[0] == pair[1]), "a mixture: {hits:?}");
    assert!(old.values().all(|&keys| keys == OLD_KEYS), "a mixture: {old:?}");
    let prefixes = hits.len() as u64 + old.values().sum::<u64>();
    assert_eq!(view.len(), prefixes, "the number of prefixes is that of the rows");
    assert_eq!(view.ranked(Scope::default(), Order::Rung(2)).count() as u64, prefixes);
    hits.first().copied().unwrap_or(0)
}

#[test]
fn readers_of_another_process_never_see_a_mixture() {
    let dir = tempfile::tempdir().unwrap();
    let index = dir.path().join("index");
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "readers::child", "--ignored", "--nocapture"])
        .env(DIR, &index)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while !index.join("MANIFEST").exists() {
        thread::sleep(Duration::from_millis(1));
    }
    let started = Instant::now();
    // As long as it takes on a busy machine to see enough.
    let goes_on = move |last: u64, generations: u64| {
        let enough = last > 5 && generations > 5;
        started.elapsed() < Duration::from_secs(if enough { 6 } else { 120 })
    };
    let readers: Vec<_> = (0..3_u64)
        .map(|seed| {
            let index = index.clone();
            thread::spawn(move || {
                let mut reader = IndexReader::open(&index, seed != 1).unwrap();
                let (mut last, mut generations) = (0, 0);
                while goes_on(last, generations) {
                    let held = reader.view();
                    if reader.refresh().unwrap() {
                        generations += 1;
                        // A view that is held stays readable when its files are gone.
                        assert_eq!(held.rows().filter(|row| row.is_err()).count(), 0);
                    }
                    let newest = check(&reader);
                    assert!(newest >= last, "back from {last} to {newest}");
                    last = newest;
                    if noise(last + seed).is_multiple_of(8) {
                        reader = IndexReader::open(&index, true).unwrap();
                        assert_eq!(inspect(&index).unwrap().problems, [""; 0]);
                    }
                }
                (last, generations)
            })
        })
        .collect();
    let seen: Vec<_> = readers.into_iter().map(thread::JoinHandle::join).collect();
    let running = writer.try_wait().unwrap();
    writer.kill().unwrap();
    writer.wait().unwrap();
    assert_eq!(running, None, "the writer failed");
    for seen in seen {
        let (last, generations) = seen.unwrap();
        assert!(last > 5 && generations > 5, "batch {last}, {generations} generations");
    }
}

#[test]
#[ignore = "the writer that the others read"]
fn child() {
    let dir = std::env::var_os(DIR).unwrap();
    let options = OpenOptions { spec: Some(IndexSpec::default()), retain_ms: Some(10_000), ..OpenOptions::default() };
    let mut store = open(StoreKind::Segments, Path::new(&dir), options).unwrap();
    for number in 1.. {
        store.append(&[batch(number)]).unwrap();
        if number % 3 > 0 {
            store.flush().unwrap();
        }
        if number % 40 == 0 {
            store.compact().unwrap();
        }
    }
}
