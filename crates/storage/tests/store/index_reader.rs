//! A reader follows a writer generation by generation.

use crate::support::{batch, events, position, stats};
use prefix_indexer_models::{EventBatch, IndexSpec};
use prefix_indexer_storage::{Batch, Commit, IndexReader, OpenOptions, StorageError, StoreKind, open};

#[test]
fn a_reader_sees_what_is_flushed() {
    for kind in [StoreKind::Segments, StoreKind::Jsonl] {
        let dir = tempfile::tempdir().unwrap();
        let index = dir.path().join("index");
        assert!(matches!(IndexReader::open(&index, true), Err(StorageError::Absent { .. })));
        let options = OpenOptions { spec: Some(IndexSpec::default()), ..OpenOptions::default() };
        let mut store = open(kind, &index, options).unwrap();
        let mut reader = IndexReader::open(&index, true).unwrap();
        assert!(reader.view().is_empty());
        assert!(!reader.refresh().unwrap());

        let commit = Commit { batch_id: None, sources: vec![position("/a", 1, 9)] };
        store.append(&[Batch { commit, ..batch(&events(100)) }]).unwrap();
        store.put_side("learned", 4, b"x").unwrap();
        assert!(!reader.refresh().unwrap(), "{kind}: nothing flushed yet");
        store.flush().unwrap();
        let (handle, before) = (reader.reader(), reader.view());
        assert!(reader.refresh().unwrap());
        assert!(!reader.refresh().unwrap());
        assert!(before.is_empty());
        assert!(stats(&reader.view()) == stats(&store.reader().view()), "{kind}");
        assert!(stats(&handle.view()) == stats(&reader.view()));
        assert_eq!(reader.sources().collect::<Vec<_>>(), [&position("/a", 1, 9)]);
        assert_eq!(reader.side("learned").unwrap(), Some((4, b"x".to_vec())));
        assert_eq!(reader.side("nothing").unwrap(), None);
        let (read, written) = (reader.status(), store.status());
        assert_eq!(
            (read.counters, read.generation, read.prefixes),
            (written.counters, written.generation, written.prefixes)
        );

        // What a reader holds outlives its files.
        let held = reader.view();
        store.append(&[batch(&events(50))]).unwrap();
        store.compact().unwrap();
        assert_eq!(stats(&held).len() as u64, held.len());
        assert!(reader.refresh().unwrap());
        assert!(stats(&reader.view()) == stats(&store.reader().view()), "{kind}");
    }
}

#[test]
fn a_reader_sees_what_a_killed_writer_logged() {
    for kind in [StoreKind::Segments, StoreKind::Jsonl] {
        let dir = tempfile::tempdir().unwrap();
        let options = || OpenOptions { spec: Some(IndexSpec::default()), ..OpenOptions::default() };
        let mut store = open(kind, dir.path(), options()).unwrap();
        store.append(&[batch(&events(60))]).unwrap();
        store.flush().unwrap();
        store.append(&[batch(&events(100))]).unwrap();
        store.publish().unwrap();
        let expected = stats(&store.reader().view());
        let mut reader = IndexReader::open(dir.path(), true).unwrap();
        assert!(stats(&reader.view()) != expected, "{kind}: the log is the writer's as long as it lives");
        // A store does not flush when it goes, so to others this is what a kill looks like.
        drop(store);
        assert!(reader.refresh().unwrap(), "{kind}");
        assert!(stats(&reader.view()) == expected, "{kind}");
        assert_eq!(reader.status().counters.events, 160);
        assert!(!reader.refresh().unwrap());
        assert!(stats(&IndexReader::open(dir.path(), true).unwrap().view()) == expected, "{kind}");

        let mut store = open(kind, dir.path(), options()).unwrap();
        assert!(!reader.refresh().unwrap(), "{kind}: the same, with a writer");
        store.flush().unwrap();
        assert!(reader.refresh().unwrap());
        assert!(stats(&reader.view()) == expected, "{kind}");
    }
}

#[test]
fn a_damaged_manifest_leaves_the_reader_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions { spec: Some(IndexSpec::default()), ..OpenOptions::default() };
    let mut store = open(StoreKind::Segments, dir.path(), options).unwrap();
    store.append(&[batch(&events(10))]).unwrap();
    store.flush().unwrap();
    let mut reader = IndexReader::open(dir.path(), true).unwrap();
    let before = stats(&reader.view());
    std::fs::write(dir.path().join("MANIFEST"), b"rubbish").unwrap();
    assert!(matches!(reader.refresh(), Err(StorageError::Corrupt { .. })));
    assert_eq!(stats(&reader.view()), before);
}

/// However often a writer is killed before it could flush, the next one counts some hundred thousand events again at most.
#[test]
fn the_log_does_not_grow_from_kill_to_kill() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(IndexReader::spec_of(dir.path()), Err(StorageError::Absent { .. })));
    let mut logged = Vec::new();
    for kill in 1..=6 {
        let options = OpenOptions { spec: Some(IndexSpec::default()), ..OpenOptions::default() };
        let mut store = open(StoreKind::Segments, dir.path(), options).unwrap();
        assert_eq!(store.status().counters.events, (kill - 1) * 100_000);
        let many: EventBatch = events(100).into_iter().cycle().take(100_000).collect();
        store.append(&[many.into()]).unwrap();
        logged.push(store.status().log_bytes);
    }
    assert!(logged[..5].is_sorted_by(|a, b| a < b) && logged[5] == 0, "{logged:?}");
    assert_eq!(IndexReader::spec_of(dir.path()).unwrap(), IndexSpec::default());
}
