//! An index learns from its events, however they come in, and plans by what it has learned.
#![expect(clippy::unwrap_used, reason = "tests")]

use prefix_indexer_analytics::{AggregationEngine, Learner, NativeEngine};
use prefix_indexer_models::{EventBatch, IndexSpec, PrefixEvent};
use prefix_indexer_service::{
    IndexerOptions, PlanQuery, PrefixIndexer, ServiceError, learned, learning, merge_into, tuning,
};
use prefix_indexer_storage::{Batch, Commit, Counters, IndexReader, IndexStore, OpenOptions, StoreKind, open};
use std::path::Path;
use tempfile::tempdir;

fn start(dir: &Path) -> Box<dyn IndexStore> {
    let options = OpenOptions { spec: Some(IndexSpec::default()), ..OpenOptions::default() };
    open(StoreKind::Segments, dir, learning(options)).unwrap()
}

/// Conversations of five blocks that come back every few minutes for a while, two hours of them.
fn events() -> Vec<PrefixEvent> {
    let turns = (0..400_u64).flat_map(|conversation| {
        let (start_ms, gap_ms) = (conversation * 18_000, 20_000 + conversation * 7_919 % 200_000);
        (0..1 + conversation % 7).map(move |turn| (start_ms + turn * gap_ms, conversation))
    });
    let mut turns: Vec<(u64, u64)> = turns.collect();
    turns.sort_unstable();
    let blocks = turns.into_iter().flat_map(|(timestamp_ms, conversation)| {
        (0..5_u32).map(move |depth| PrefixEvent {
            prefix_id: format!("{conversation}-{depth}"),
            tenant: "acme".into(),
            model_id: "m".into(),
            bytes: 4096,
            timestamp_ms,
            parent_id: depth.checked_sub(1).map(|depth| format!("{conversation}-{depth}")),
            depth: Some(depth),
            ..PrefixEvent::default()
        })
    });
    blocks.collect()
}

fn text(learner: &Learner) -> String {
    serde_json::to_string(learner).unwrap()
}

/// What somebody learns who just looks at the events.
fn expected(events: &[PrefixEvent]) -> String {
    let mut learner = Learner::new(&IndexSpec::default().ladder);
    learner.observe(&events.iter().cloned().collect());
    text(&learner)
}

fn found(dir: &Path) -> Learner {
    learned(&IndexReader::open(dir, true).unwrap()).unwrap().unwrap()
}

fn batches(events: &[PrefixEvent]) -> impl Iterator<Item = EventBatch> {
    events.chunks(173).map(|events| events.iter().cloned().collect())
}

#[test]
fn live_ingestion_teaches_what_the_events_say() {
    let dir = tempdir().unwrap();
    let events = events();
    let indexer = PrefixIndexer::start(start(dir.path()), IndexerOptions { max_future: None, ..Default::default() });
    for batch in batches(&events) {
        indexer.try_ingest_durable(batch.into()).unwrap().wait().unwrap();
    }
    indexer.close().unwrap();
    assert_eq!(text(&found(dir.path())), expected(&events));
}

#[test]
fn so_does_bulk_ingestion_on_any_number_of_threads() {
    let events = events();
    for threads in [1, 3] {
        let dir = tempdir().unwrap();
        let mut store = start(dir.path());
        let engine = NativeEngine::new(threads.try_into().unwrap(), usize::MAX);
        let decode = |batch: EventBatch, out: &mut EventBatch| {
            batch.iter().for_each(|event| out.push(&event));
            Ok::<(), ServiceError>(())
        };
        let admit = |events: &mut EventBatch, ()| {
            store.admit(events);
            Ok(())
        };
        let aggregate = engine.aggregate(&IndexSpec::default(), batches(&events).map(Ok), decode, admit).unwrap();
        let counters = Counters { events: aggregate.events, ..Counters::default() };
        store.load(aggregate.tables, &Commit::default(), counters).unwrap();
        assert_eq!(text(&found(dir.path())), expected(&events));
    }
}

#[test]
fn after_a_crash_the_log_teaches_again_and_nothing_twice() {
    let dir = tempdir().unwrap();
    let events = events();
    for (number, batch) in batches(&events).enumerate() {
        // Each time the store is dropped without a flush, as by a kill.
        let mut store = start(dir.path());
        store.append(&[Batch::from(batch)]).unwrap();
        if number % 3 == 0 {
            store.flush().unwrap();
        }
    }
    start(dir.path()).flush().unwrap();
    assert_eq!(text(&found(dir.path())), expected(&events));
}

#[test]
fn a_learned_index_plans_by_it_and_says_so() {
    let dir = tempdir().unwrap();
    let mut store = start(dir.path());
    let events = events();
    for round in 0..8_u64 {
        let later =
            |event: &PrefixEvent| PrefixEvent { timestamp_ms: event.timestamp_ms + round * 7_200_000, ..event.clone() };
        store.append(&[Batch::from(events.iter().map(later).collect::<EventBatch>())]).unwrap();
    }
    store.flush().unwrap();
    let (learner, view) = (found(dir.path()), store.reader().view());
    let query = PlanQuery::new(4096 * 100, 300_000);
    let (plan, unlearned) = (query.run(&view, Some(learner.model())).unwrap(), query.run(&view, None).unwrap());
    assert!(plan.why.starts_with("`auto` is `"), "{}", plan.why);
    assert!(unlearned.why.contains("has not seen enough yet"), "{}", unlearned.why);
    assert_eq!((plan.entries.len(), unlearned.entries.len()), (100, 100));
    let tuning = tuning(&learner);
    assert_eq!(tuning.policy, learner.model().choice().policy);
    assert!(!tuning.cells.is_empty() && tuning.half_life.is_some());
    assert!(tuning.cells.iter().all(|cell| cell.plans > 0.0 && (0.0..=1.0).contains(&cell.share)));
}

#[test]
fn merged_indexes_know_what_their_parts_learned() {
    let [one, other, both] = [tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap()];
    let events = events();
    for dir in [&one, &other] {
        let mut store = start(dir.path());
        store.append(&[Batch::from(events.iter().cloned().collect::<EventBatch>())]).unwrap();
        store.flush().unwrap();
    }
    let mut store = start(both.path());
    for part in [&one, &other] {
        merge_into(store.as_mut(), &IndexReader::open(part.path(), true).unwrap()).unwrap();
    }
    let count = |dir: &Path| found(dir).model().reliability().map(|(_, rows)| rows.total().count).sum::<u64>();
    assert!(count(one.path()) > 0);
    assert_eq!(count(both.path()), count(one.path()) + count(other.path()));
}
