//! Merging in the background changes no answer, keeps segments few, and lets go of what is not to be kept.

use crate::support::{batch, close, event, events, fold, noise, stats};
use prefix_indexer_models::{IndexSpec, PrefixEvent};
use prefix_indexer_storage::{IndexStore, OpenOptions, StoreKind, inspect, open};
use std::{path::Path, thread, time::Duration};

fn open_store(dir: &Path, options: OpenOptions) -> Box<dyn IndexStore> {
    open(StoreKind::Segments, dir, OpenOptions { spec: Some(IndexSpec::default()), ..options }).unwrap()
}

/// Flushes until the background has nothing more to bring.
fn settle(store: &mut dyn IndexStore) {
    let mut generation = 0;
    let mut same = 0;
    while same < 5 {
        thread::sleep(Duration::from_millis(5));
        store.flush().unwrap();
        same = if store.status().generation == generation { same + 1 } else { 0 };
        generation = store.status().generation;
    }
}

#[test]
fn many_flushes_leave_few_segments_and_the_same_answers() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open_store(dir.path(), OpenOptions::default());
    let all = events(1200);
    for part in all.chunks(40) {
        store.append(&[batch(part)]).unwrap();
        store.flush().unwrap();
        assert_eq!(store.reader().view().rows().count() as u64, store.status().prefixes);
    }
    settle(store.as_mut());
    assert!(store.status().segments <= 8, "{}", store.status().segments);
    let table = fold(&IndexSpec::default(), &all);
    let mut expected: Vec<_> = table.rows().map(|row| row.to_stats()).collect();
    expected.sort_by(|a, b| (&a.tenant, &a.model_id, &a.prefix_id).cmp(&(&b.tenant, &b.model_id, &b.prefix_id)));
    let found = stats(&store.reader().view());
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().zip(&expected).all(|(found, expected)| close(found, expected)));
    assert_eq!(inspect(dir.path()).unwrap().problems, [""; 0]);
}

#[test]
fn the_number_of_prefixes_stays_right_when_dropped_keys_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions { max_prefixes: Some(40), retain_ms: Some(2_000_000), ..OpenOptions::default() };
    let mut store = open_store(dir.path(), options.clone());
    let mut largest = 0;
    for round in 0..75_u64 {
        let part: Vec<PrefixEvent> = (0..12)
            .map(|index| PrefixEvent {
                prefix_id: format!("p{}", noise(round * 12 + index) % 150),
                ..event(round * 12)
            })
            .collect();
        store.append(&[batch(&part)]).unwrap();
        store.flush().unwrap();
        thread::sleep(Duration::from_millis(noise(round) % 4));
        let view = store.reader().view();
        assert_eq!(view.rows().count() as u64, view.len(), "round {round}");
        largest = largest.max(view.len());
        if round % 25 == 24 {
            drop(store);
            store = open_store(dir.path(), options.clone());
            let view = store.reader().view();
            assert_eq!(view.rows().count() as u64, view.len(), "round {round}, reopened");
        }
    }
    settle(store.as_mut());
    assert!(store.status().prefixes < largest, "nothing was let go of: {}", store.status().prefixes);
    store.compact().unwrap();
    assert!(store.status().prefixes <= 40);
}
