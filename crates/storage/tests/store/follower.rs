//! Learned state that follows the events: whatever happens to a store, it knows each event that counts, once and in order.

use crate::crash::rounds::journal;
use crate::support::{batch, event, events, fold, noise};
use prefix_indexer_models::{EventBatch, IndexSpec};
use prefix_indexer_storage::{
    Batch, BatchId, Commit, Counters, IndexStore, OpenOptions, StorageError, StoreKind, open,
};
use std::path::Path;
use tempfile::tempdir;

fn start(kind: StoreKind, dir: &Path) -> Box<dyn IndexStore> {
    let options = OpenOptions { spec: Some(IndexSpec::default()), ..OpenOptions::default() };
    open(kind, dir, OpenOptions { follower: Some(journal::JOURNAL), ..options }).unwrap()
}

/// What the newest generation knows.
fn learned(store: &dyn IndexStore) -> Vec<u64> {
    store.side(journal::NAME).unwrap().map_or(Vec::new(), |(_, bytes)| journal::times(&bytes).unwrap())
}

fn times(numbers: std::ops::Range<u64>) -> Vec<u64> {
    numbers.map(|number| event(number).timestamp_ms).collect()
}

/// Appends, bulk loads that count or do not, flushes, compactions and restarts in random order.
#[test]
fn every_event_once_and_in_order() {
    for kind in [StoreKind::Segments, StoreKind::Jsonl] {
        let dir = tempdir().unwrap();
        let (mut store, mut next) = (start(kind, dir.path()), 0);
        for step in 0..120_u64 {
            let count = 1 + noise(step) % 5;
            let fresh: Vec<_> = (next..next + count).map(event).collect();
            let mut admitted: EventBatch = fresh.iter().cloned().collect();
            match noise(step ^ 0x5555) % 9 {
                0..3 => {
                    store.append(&[batch(&fresh)]).unwrap();
                    next += count;
                }
                3 | 4 => {
                    store.admit(&mut admitted);
                    let counters = Counters { events: count, ..Counters::default() };
                    store.load(vec![fold(store.spec(), &fresh)], &Commit::default(), counters).unwrap();
                    next += count;
                    assert_eq!(learned(store.as_ref()), times(0..next), "a load commits what it taught");
                }
                5 => {
                    store.admit(&mut admitted);
                    // Another writer's batch comes between.
                    store.append(&[batch(&fresh)]).unwrap();
                    next += count;
                    store.abandon();
                }
                6 => store.flush().unwrap(),
                7 => store.compact().unwrap(),
                // Without a flush, as after a kill.
                _ => {
                    drop(store);
                    store = start(kind, dir.path());
                }
            }
            assert_eq!(store.status().counters.events, next);
        }
        store.flush().unwrap();
        assert_eq!(learned(store.as_ref()), times(0..next));
    }
}

#[test]
fn duplicates_teach_nothing() {
    let mut store = start(StoreKind::Memory, Path::new(""));
    let commit = Commit { batch_id: Some(BatchId([1; 16])), sources: Vec::new() };
    let with_id = |number: u64| {
        let mut event = event(number);
        event.event_id = Some(number.to_string());
        event
    };
    let once = Batch { events: (0..3).map(with_id).collect(), commit: commit.clone() };
    store.append(&[once.clone(), once.clone()]).unwrap();
    store.append(&[Batch { events: (1..5).map(with_id).collect(), commit: Commit::default() }]).unwrap();
    let mut admitted: EventBatch = (3..6).map(with_id).collect();
    store.admit(&mut admitted);
    let table = fold(store.spec(), &[with_id(5)]);
    store.load(vec![table], &Commit::default(), Counters { events: 1, ..Counters::default() }).unwrap();
    // A whole load that was counted before.
    store.admit(&mut (6..9).map(with_id).collect());
    store.load(vec![fold(store.spec(), &events(3))], &commit, Counters { events: 3, ..Counters::default() }).unwrap();
    store.flush().unwrap();
    assert_eq!(learned(store.as_ref()), times(0..6));
}

#[test]
fn what_another_index_learned_is_added_and_damage_is_an_error() {
    let dir = tempdir().unwrap();
    let mut store = start(StoreKind::Segments, dir.path());
    store.append(&[batch(&events(2))]).unwrap();
    store.merge_followed(1, &7_u64.to_le_bytes()).unwrap();
    assert!(matches!(store.merge_followed(1, b"cut"), Err(StorageError::Follower { name: "journal", .. })));
    store.flush().unwrap();
    assert_eq!(learned(store.as_ref()), [times(0..2), vec![7]].concat());
    store.put_side(journal::NAME, 1, b"cut").unwrap();
    store.flush().unwrap();
    drop(store);
    let options = OpenOptions { follower: Some(journal::JOURNAL), ..OpenOptions::default() };
    let error = open(StoreKind::Segments, dir.path(), options).err().unwrap();
    assert_eq!(error.to_string(), "learned state `journal`: cut");
}
