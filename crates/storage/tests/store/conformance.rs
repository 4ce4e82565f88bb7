//! What every store does, checked on each kind alike: the same events give the same answers, whatever was flushed, merged,
//! reopened or loaded in between.

use crate::support::{batch, close, events, fold, ids, position, stats};
use prefix_indexer_models::{EventBatch, IndexSpec, PrefixEvent, PrefixStats, PrefixTable};
use prefix_indexer_storage::{
    Appended, Batch, BatchId, Commit, Counters, Forget, IndexStore, OpenOptions, Order, Scope, StoreKind, View, open,
};
use std::path::Path;

/// Opens the store under test anew; what it was given before is there again, except for the memory store.
type Reopen<'a> = &'a dyn Fn(OpenOptions) -> Box<dyn IndexStore>;

fn on_every_kind(check: impl Fn(Reopen<'_>, bool)) {
    for kind in StoreKind::ALL {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        check(&|options| open(kind, &path, options).unwrap(), kind != StoreKind::Memory);
    }
}

fn new(reopen: Reopen<'_>) -> Box<dyn IndexStore> {
    reopen(with_spec())
}

fn with_spec() -> OpenOptions {
    OpenOptions { spec: Some(IndexSpec::default()), ..OpenOptions::default() }
}

fn expected(all: &[PrefixEvent]) -> Vec<PrefixStats> {
    let table = fold(&IndexSpec::default(), all);
    let mut stats: Vec<_> = table.rows().map(|row| row.to_stats()).collect();
    stats.sort_by(|a, b| (&a.tenant, &a.model_id, &a.prefix_id).cmp(&(&b.tenant, &b.model_id, &b.prefix_id)));
    stats
}

/// Everything a query can see agrees with a table that folded the events in one go.
fn assert_answers(view: &View, all: &[PrefixEvent]) {
    let expected = expected(all);
    assert_eq!(view.len(), expected.len() as u64);
    for (found, expected) in stats(view).iter().zip(&expected) {
        assert!(close(found, expected), "\n{found:?}\n{expected:?}");
    }
    let spec = IndexSpec::default();
    for want in &expected {
        let row = view.get(&want.key(spec.key_policy)).unwrap().unwrap();
        assert!(close(&row.to_stats(), want));
    }
    let rungs = (0..spec.ladder.len()).map(Order::Rung);
    for order in rungs.chain([Order::Recency]) {
        let mut ranked = expected.clone();
        ranked.sort_by(|a, b| {
            use prefix_indexer_models::Rank;
            let rank = |stats: &PrefixStats| {
                let last = stats.tally.last_seen_ms;
                let rank = match order {
                    Order::Rung(rung) => spec.ladder.rank(rung, last, stats.decayed[rung]),
                    Order::Recency => Rank::of_time(last),
                };
                (rank, stats.key(spec.key_policy))
            };
            Rank::order(rank(a), rank(b))
        });
        let wanted: Vec<_> = ranked.iter().map(|stats| stats.prefix_id.clone()).collect();
        assert_eq!(ids(view, order), wanted, "{order:?}");
    }
}

fn append(store: &mut dyn IndexStore, events: &[PrefixEvent]) {
    store.append(&[batch(events)]).unwrap();
    store.publish().unwrap();
}

#[test]
fn the_same_events_give_the_same_answers_however_they_arrive() {
    on_every_kind(|reopen, durable| {
        let all = events(3000);
        let mut store = new(reopen);
        for (number, part) in all.chunks(97).enumerate() {
            append(store.as_mut(), part);
            match number % 11 {
                3 => store.flush().unwrap(),
                6 => {
                    store.put_side("learned", 2, &number.to_le_bytes()).unwrap();
                    store.flush().unwrap();
                }
                8 if durable => {
                    drop(store);
                    store = reopen(OpenOptions::default());
                }
                10 => store.compact().unwrap(),
                _ => {}
            }
        }
        assert_answers(&store.reader().view(), &all);
        let counters = store.status().counters;
        assert_eq!(counters.events, 3000);
        assert_eq!(counters.bytes, all.iter().map(|event| event.bytes).sum::<u64>());
        store.flush().unwrap();
        assert_answers(&store.reader().view(), &all);
        store.compact().unwrap();
        assert_eq!(store.status().segments, 1);
        assert_answers(&store.reader().view(), &all);
        if durable {
            drop(store);
            let store = reopen(OpenOptions { mmap: false, ..OpenOptions::default() });
            assert_answers(&store.reader().view(), &all);
            assert_eq!(store.status().counters, counters);
            assert_eq!(store.side("learned").unwrap().unwrap().0, 2);
            assert_eq!(store.side("nothing").unwrap(), None);
        }
    });
}

#[test]
fn a_view_that_is_held_does_not_change() {
    on_every_kind(|reopen, _| {
        let all = events(400);
        let mut store = new(reopen);
        append(store.as_mut(), &all[..200]);
        let reader = store.reader();
        let before = reader.view();
        append(store.as_mut(), &all[200..]);
        store.compact().unwrap();
        assert_answers(&before, &all[..200]);
        assert_answers(&reader.view(), &all);
        drop(store);
        assert_answers(&reader.view(), &all);
    });
}

#[test]
fn loaded_tables_are_differences() {
    on_every_kind(|reopen, durable| {
        // Parts that do not overlap in time merge exactly.
        let mut all = events(2000);
        all.sort_by_key(|event| event.timestamp_ms);
        let mut store = new(reopen);
        for (number, part) in all.chunks(500).enumerate() {
            if number % 2 == 0 {
                append(store.as_mut(), part);
            } else {
                let table = fold(store.spec(), part);
                let bytes = part.iter().map(|event| event.bytes).sum();
                let counters = Counters { events: part.len() as u64, bytes, ..Counters::default() };
                let commit = Commit { batch_id: None, sources: vec![position("/trace", 1, number as u64)] };
                store.load(vec![table], &commit, counters).unwrap();
            }
        }
        let check = |store: &dyn IndexStore| {
            assert_eq!(store.status().counters.events, 2000);
            assert_eq!(store.sources_at("/trace"), [&position("/trace", 1, 3)]);
            assert_eq!(store.source(&position("/trace", 1, 0).source).unwrap().offset, 3);
            let view = store.reader().view();
            for (found, expected) in stats(&view).iter().zip(&expected(&all)) {
                assert!(close(found, expected), "\n{found:?}\n{expected:?}");
            }
        };
        check(store.as_ref());
        if durable {
            drop(store);
            check(reopen(OpenOptions::default()).as_ref());
        }
    });
}

#[test]
fn a_batch_that_is_known_adds_nothing() {
    on_every_kind(|reopen, durable| {
        let all = events(300);
        let commit = |id: u8| Commit { batch_id: Some(BatchId([id; 16])), sources: vec![] };
        let named = |id: u8, events: &[PrefixEvent]| Batch { commit: commit(id), ..batch(events) };
        let mut store = new(reopen);
        let first = store.append(&[named(1, &all[..100]), named(2, &all[100..200]), named(1, &all[..100])]).unwrap();
        let counted = |events, duplicates| Appended { events, duplicates };
        assert_eq!(first, [counted(100, 0), counted(100, 0), counted(0, 100)]);
        store.flush().unwrap();
        store.append(&[named(3, &all[200..])]).unwrap();
        if durable {
            drop(store);
            store = reopen(OpenOptions::default());
        }
        for (id, events) in [(1, &all[..100]), (2, &all[100..200]), (3, &all[200..])] {
            assert_eq!(store.append(&[named(id, events)]).unwrap(), [counted(0, 100)]);
        }
        let table = fold(store.spec(), &all);
        store.load(vec![table], &commit(2), Counters { events: 300, ..Counters::default() }).unwrap();
        assert_answers(&store.reader().view(), &all);
    });
}

#[test]
fn an_event_that_is_known_adds_nothing() {
    on_every_kind(|reopen, durable| {
        let mut all = events(200);
        for (number, event) in all.iter_mut().enumerate() {
            event.event_id = (number % 3 > 0).then(|| format!("e{number}"));
        }
        let mut store = new(reopen);
        append(store.as_mut(), &all[..120]);
        if durable {
            drop(store);
            store = reopen(OpenOptions::default());
        }
        let again: Vec<_> = all[60..].iter().filter(|event| event.event_id.is_some()).cloned().collect();
        let known = all[60..120].iter().filter(|event| event.event_id.is_some()).count() as u64;
        let outcome = store.append(&[batch(&again)]).unwrap();
        store.publish().unwrap();
        assert_eq!(outcome, [Appended { events: again.len() as u64 - known, duplicates: known }]);
        assert_eq!(store.status().counters.duplicates, known);
        let mut expected = all[..120].to_vec();
        expected.extend(all[120..].iter().filter(|event| event.event_id.is_some()).cloned());
        assert_answers(&store.reader().view(), &expected);

        // Bulk loads: what was not committed was not counted.
        let rest: Vec<_> = all[120..].iter().filter(|event| event.event_id.is_none()).cloned().collect();
        let mut fresh: Vec<PrefixEvent> = events(50);
        fresh.iter_mut().enumerate().for_each(|(number, event)| event.event_id = Some(format!("f{number}")));
        let mut bulk: EventBatch = fresh.iter().cloned().chain(again.iter().cloned()).collect();
        assert_eq!(store.admit(&mut bulk), again.len() as u64);
        store.abandon();
        let mut bulk: EventBatch = fresh.iter().cloned().chain(rest.iter().cloned()).collect();
        assert_eq!(store.admit(&mut bulk), 0);
        assert_eq!(store.admit(&mut fresh.iter().cloned().collect()), 50);
        let kept: Vec<_> = bulk.iter().map(|event| event.to_event()).collect();
        let table = fold(store.spec(), &kept);
        let counters = Counters { events: kept.len() as u64, ..Counters::default() };
        store.load(vec![table], &Commit::default(), counters).unwrap();
        if durable {
            drop(store);
            store = reopen(OpenOptions::default());
        }
        assert_eq!(store.append(&[batch(&fresh)]).unwrap(), [Appended { events: 0, duplicates: 50 }]);
    });
}

#[test]
fn what_is_forgotten_is_gone_everywhere() {
    on_every_kind(|reopen, durable| {
        let mut all = events(600);
        all.iter_mut().enumerate().for_each(|(number, event)| event.event_id = Some(format!("e{number}")));
        let mut store = new(reopen);
        append(store.as_mut(), &all[..300]);
        store.flush().unwrap();
        append(store.as_mut(), &all[300..]);
        let gone = |event: &PrefixEvent| event.tenant == "tenant-1";
        let left: Vec<_> = all.iter().filter(|event| !gone(event)).cloned().collect();
        let before = store.status().prefixes;
        let what = Forget { tenant: Some("tenant-1".into()), model_id: None };
        assert_eq!(store.forget(&what).unwrap(), before - expected(&left).len() as u64);
        assert_answers(&store.reader().view(), &left);
        assert_eq!(store.forget(&what).unwrap(), 0);
        if durable {
            drop(store);
            store = reopen(OpenOptions::default());
            assert_answers(&store.reader().view(), &left);
        }
        // Its events are not remembered either.
        append(store.as_mut(), &all);
        let mut again = left.clone();
        again.extend(all.iter().filter(|event| gone(event)).cloned());
        assert_answers(&store.reader().view(), &again);

        let both = Forget { tenant: Some("tenant-0".into()), model_id: Some("model-0".into()) };
        store.forget(&both).unwrap();
        let in_both = |event: &PrefixEvent| event.tenant == "tenant-0" && event.model_id == "model-0";
        again.retain(|event| !in_both(event));
        assert_answers(&store.reader().view(), &again);
    });
}

#[test]
fn retention_drops_the_old_and_the_lowest_ranked() {
    on_every_kind(|reopen, _| {
        let mut all = events(1500);
        all.sort_by_key(|event| event.timestamp_ms);
        let newest = all.last().unwrap().timestamp_ms;
        let mut store = reopen(OpenOptions { retain_ms: Some(3_600_000), max_prefixes: Some(20), ..with_spec() });
        for part in all.chunks(100) {
            append(store.as_mut(), part);
            store.flush().unwrap();
        }
        let longest = store.spec().ladder.len() - 1;
        let wanted: Vec<_> = {
            let view = store.reader().view();
            let rows = view.ranked(Scope::default(), Order::Rung(longest)).map(Result::unwrap);
            rows.filter(|row| row.last_seen_ms() >= newest - 3_600_000)
                .take(20)
                .map(|row| row.prefix_id().to_owned())
                .collect()
        };
        store.compact().unwrap();
        let view = store.reader().view();
        assert_eq!(ids(&view, Order::Rung(longest)), wanted);
        assert_eq!(view.len(), wanted.len() as u64);
        assert!(wanted.len() == 20);
    });
}

#[test]
fn cycles_of_parents_are_cut_at_the_smallest_key() {
    on_every_kind(|reopen, _| {
        let link = |child: &str, parent: &str| PrefixEvent {
            prefix_id: child.into(),
            tenant: "t".into(),
            model_id: "m".into(),
            parent_id: Some(parent.into()),
            ..PrefixEvent::default()
        };
        let mut store = new(reopen);
        append(store.as_mut(), &[link("a", "b"), link("x", "a")]);
        store.flush().unwrap();
        assert_eq!(store.status().counters.parent_cycles, 0);
        append(store.as_mut(), &[link("b", "c")]);
        store.flush().unwrap();
        append(store.as_mut(), &[link("c", "a")]);
        store.flush().unwrap();
        assert_eq!(store.status().counters.parent_cycles, 1);
        let all = stats(&store.reader().view());
        let smallest = all
            .iter()
            .filter(|stats| stats.prefix_id != "x")
            .min_by_key(|stats| stats.key(store.spec().key_policy))
            .unwrap();
        assert_eq!(smallest.parent_id, None);
        assert_eq!(all.iter().filter(|stats| stats.parent_id.is_some()).count(), 3);
        assert!(all.iter().all(|stats| stats.tally.hit_count == 1));

        let table: PrefixTable = fold(store.spec(), &[link("a", "b"), link("b", "c"), link("c", "a")]);
        store.load(vec![table], &Commit::default(), Counters { events: 3, ..Counters::default() }).unwrap();
        assert_eq!(store.status().counters.parent_cycles, 2);
        assert_eq!(stats(&store.reader().view()).iter().filter(|stats| stats.parent_id.is_none()).count(), 1);
    });
}

#[test]
fn side_files_are_committed_by_a_flush() {
    on_every_kind(|reopen, durable| {
        let mut store = new(reopen);
        assert_eq!(store.side("a").unwrap(), None);
        store.put_side("a", 1, b"first").unwrap();
        assert_eq!(store.side("a").unwrap(), Some((1, b"first".to_vec())));
        store.flush().unwrap();
        store.put_side("a", 2, b"second").unwrap();
        assert_eq!(store.side("a").unwrap(), Some((2, b"second".to_vec())));
        assert!(store.put_side("../a", 1, b"").is_err());
        if durable {
            drop(store);
            store = reopen(OpenOptions::default());
            assert_eq!(store.side("a").unwrap(), Some((1, b"first".to_vec())), "not flushed, not kept");
        }
    });
}

#[test]
fn another_spec_is_refused_and_no_spec_makes_nothing() {
    for kind in [StoreKind::Segments, StoreKind::Jsonl] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let error = |path: &Path, options: OpenOptions| open(kind, path, options).err().unwrap().to_string();
        assert!(error(&path, OpenOptions::default()).contains("no index here"));
        assert!(!path.exists());
        let store = open(kind, &path, with_spec()).unwrap();
        assert!(error(&path, OpenOptions::default()).contains("another process is writing"));
        drop(store);
        let spec = IndexSpec { ladder: "1m,2m".parse().unwrap(), ..IndexSpec::default() };
        assert!(error(&path, OpenOptions { spec: Some(spec), ..OpenOptions::default() }).contains("half-lives differ"));
        open(kind, &path, OpenOptions::default()).unwrap();
    }
}
