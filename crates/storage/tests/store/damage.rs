//! Every byte of the log, the manifest and the small files damaged or cut off: a clear error or the right answer, never a panic,
//! a wrong number, or an acknowledged batch that silently is not there.

use crate::support::{batch, event, events, position, stats};
use prefix_indexer_models::{IndexSpec, PrefixStats};
use prefix_indexer_storage::{
    Batch, BatchId, Commit, IndexReader, OpenOptions, StorageError, StoreKind, inspect, open,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

const BATCHES: u64 = 6;

fn options() -> OpenOptions {
    OpenOptions { spec: Some(IndexSpec::default()), ..OpenOptions::default() }
}

fn numbered(number: u64) -> Batch {
    let mut event = event(number);
    event.event_id = Some(format!("event-{number}"));
    let commit =
        Commit { batch_id: Some(BatchId([number as u8; 16])), sources: vec![position("/numbered", 1, number)] };
    Batch { commit, ..batch(&[event]) }
}

/// An index whose log holds some batches, and the file.
fn logged(dir: &Path) -> PathBuf {
    let mut store = open(StoreKind::Segments, dir, options()).unwrap();
    for number in 1..=BATCHES {
        store.append(&[numbered(number)]).unwrap();
    }
    drop(store);
    dir.join("wal/0000000000000001.log")
}

/// Batches that the log holds.
fn found(dir: &Path) -> Result<u64, String> {
    let inspection = inspect(dir).map_err(|error| error.to_string())?;
    if inspection.problems.is_empty() { Ok(inspection.log.batches) } else { Err(inspection.problems.join("; ")) }
}

#[test]
fn the_log_cut_at_every_byte() {
    let dir = tempfile::tempdir().unwrap();
    let path = logged(dir.path());
    let whole = fs::read(&path).unwrap();
    let mut last = 0;
    for cut in 0..whole.len() {
        let zeroed: Vec<u8> = whole[..cut].iter().copied().chain(vec![0; whole.len() + 4096 - cut]).collect();
        let counts = [whole[..cut].to_vec(), zeroed].map(|bytes| {
            fs::write(&path, bytes).unwrap();
            found(dir.path()).unwrap()
        });
        // A whole record may lack padding or end byte; before that, it is gone, and all before it are there.
        assert!(counts.iter().all(|&count| count == last || count == last + 1), "cut {cut}: {counts:?} after {last}");
        last = counts[0].min(counts[1]);
        if cut % 211 == 0 {
            let mut store = open(StoreKind::Segments, dir.path(), options()).unwrap();
            assert_eq!(store.status().counters.events, counts[1]);
            let offset = store.source(&position("/numbered", 1, 0).source).map_or(0, |position| position.offset);
            assert_eq!(offset, counts[1]);
            // What was acknowledged afterwards is found, too.
            let outcome = store.append(&[numbered(counts[1] + 1)]).unwrap();
            assert_eq!(outcome[0].events, 1);
            drop(store);
            assert_eq!(found(dir.path()).unwrap(), counts[1] + 1, "cut {cut}");
            for extra in fs::read_dir(dir.path().join("wal")).unwrap() {
                let extra = extra.unwrap().path();
                if extra != path {
                    fs::remove_file(extra).unwrap();
                }
            }
        }
    }
    assert_eq!(last, BATCHES);
}

#[test]
fn every_byte_of_the_log_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let path = logged(dir.path());
    let whole = fs::read(&path).unwrap();
    for (at, &byte) in whole.iter().enumerate() {
        for flip in [1 << (at % 8), byte] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            fs::write(&path, &bytes).unwrap();
            match found(dir.path()) {
                Ok(count) => assert_eq!(count, BATCHES, "byte {at} ^ {flip}"),
                Err(what) => assert!(what.contains("corrupt at byte") || what.contains("version"), "{what}"),
            }
        }
    }
    let mut bytes = whole.clone();
    let middle = whole.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&path, &bytes).unwrap();
    let error = open(StoreKind::Segments, dir.path(), options()).err().unwrap();
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes, "evidence is not touched");
}

/// Learned state: version and bytes.
type Side = Option<(u32, Vec<u8>)>;

/// All that a reader gets to see.
fn seen(dir: &Path) -> Result<(Vec<PrefixStats>, Side), StorageError> {
    let reader = IndexReader::open(dir, true)?;
    let rows = reader.view().rows().map(|row| row.map(|row| row.to_stats())).collect::<Result<Vec<_>, _>>()?;
    Ok((rows, reader.side("learned")?))
}

fn flushed(dir: &Path) -> Vec<PathBuf> {
    let mut store = open(StoreKind::Segments, dir, options()).unwrap();
    store.append(&[numbered(1), batch(&events(8))]).unwrap();
    store.put_side("learned", 3, b"what was learned").unwrap();
    store.flush().unwrap();
    drop(store);
    let mut files = vec![dir.join("MANIFEST")];
    for kind in ["segments", "side"] {
        files.extend(fs::read_dir(dir.join(kind)).unwrap().map(|entry| entry.unwrap().path()));
    }
    assert_eq!(files.len(), 4, "manifest, segment, learned state, remembered ids: {files:?}");
    files
}

#[test]
fn every_byte_of_every_other_file_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let files = flushed(dir.path());
    let right = seen(dir.path()).unwrap();
    for path in files {
        let whole = fs::read(&path).unwrap();
        let mut harmless = 0;
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, &bytes).unwrap();
            let reported = inspect(dir.path()).map_or(true, |inspection| !inspection.problems.is_empty());
            match seen(dir.path()) {
                Ok(found) => assert_eq!(found, right, "{} byte {at}", path.display()),
                Err(error) => assert!(reported, "{} byte {at}: {error}", path.display()),
            }
            harmless += usize::from(!reported);
        }
        assert_eq!(harmless, 0, "{}", path.display());
        for cut in (0..whole.len()).step_by(7) {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(inspect(dir.path()).map_or(true, |inspection| !inspection.problems.is_empty()), "cut {cut}");
            assert!(seen(dir.path()).map_or(true, |found| found == right), "cut {cut}");
        }
        fs::write(&path, &whole).unwrap();
    }
    assert!(inspect(dir.path()).unwrap().problems.is_empty());
}

#[test]
fn files_that_are_gone_are_missed() {
    let dir = tempfile::tempdir().unwrap();
    for path in flushed(dir.path()) {
        let whole = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let error = open(StoreKind::Segments, dir.path(), options()).err().map(|error| error.to_string());
        let learned = path.display().to_string().contains("learned");
        // Learned state is read when it is asked for; everything else when the index is opened.
        assert!(learned || error.is_some(), "{}", path.display());
        assert!(inspect(dir.path()).map_or(true, |inspection| !inspection.problems.is_empty()));
        fs::write(&path, whole).unwrap();
    }
    let log = fs::read_dir(dir.path().join("wal")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(log).unwrap();
    let error = open(StoreKind::Segments, dir.path(), options()).err().unwrap().to_string();
    assert!(error.contains("should be in the log"), "{error}");
}

#[test]
fn an_index_that_was_never_finished_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(StoreKind::Segments, dir.path(), options()).unwrap());
    let log = fs::read_dir(dir.path().join("wal")).unwrap().next().unwrap().unwrap().path();
    // A kill between the two renames that make an index, and one before the first of them.
    fs::remove_file(dir.path().join("MANIFEST")).unwrap();
    drop(open(StoreKind::Segments, dir.path(), options()).unwrap());
    fs::remove_file(dir.path().join("MANIFEST")).unwrap();
    fs::rename(&log, log.with_extension("log.tmp")).unwrap();
    let mut store = open(StoreKind::Segments, dir.path(), options()).unwrap();
    store.append(&[numbered(1)]).unwrap();
    drop(store);
    assert!(inspect(dir.path()).unwrap().problems.is_empty());
}

#[test]
fn the_two_files_of_json_lines_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(StoreKind::Jsonl, dir.path(), options()).unwrap();
    store.append(&[numbered(1), batch(&events(3))]).unwrap();
    store.flush().unwrap();
    store.append(&[numbered(2), numbered(3)]).unwrap();
    drop(store);
    let read = |dir: &Path| -> Result<(u64, u64), String> {
        let inspection = inspect(dir).map_err(|error| error.to_string())?;
        let view = IndexReader::open(dir, true).map_err(|error| error.to_string())?.view();
        let hits = stats(&view).iter().map(|row| row.tally.hit_count).sum();
        if inspection.problems.is_empty() {
            Ok((inspection.log.batches, hits))
        } else {
            Err(inspection.problems[0].clone())
        }
    };
    let right = read(dir.path()).unwrap();
    let log = dir.path().join("events-0000000000000002.jsonl");
    for path in [&dir.path().join("prefixes.jsonl"), &log] {
        let whole = fs::read(path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(path, &bytes).unwrap();
            assert!(read(dir.path()).map_or(true, |found| found == right), "{} byte {at}", path.display());
        }
        fs::write(path, &whole).unwrap();
    }
    let whole = fs::read(&log).unwrap();
    for cut in 0..whole.len() {
        fs::write(&log, &whole[..cut]).unwrap();
        let (batches, hits) = read(dir.path()).unwrap();
        assert!(batches <= right.0 && hits == right.1 - (right.0 - batches), "cut {cut}");
    }
    fs::write(&log, &whole[..whole.len() - 1]).unwrap();
    let mut store = open(StoreKind::Jsonl, dir.path(), options()).unwrap();
    assert_eq!(store.status().counters.events, 5);
    store.append(&[numbered(3)]).unwrap();
    drop(store);
    assert_eq!(read(dir.path()).unwrap(), right);
}
