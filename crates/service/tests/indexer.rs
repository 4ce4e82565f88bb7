//! The running index: ingestion that never waits, receipts, queries.
#![expect(clippy::unwrap_used, reason = "tests")]

use prefix_indexer_analytics::Metrics as IndexMetrics;
use prefix_indexer_models::{EventBatch, PrefixEvent, PrefixRecommendation};
use prefix_indexer_service::{ActiveSet, IndexerOptions, PrefixIndexer, Query, TelemetrySink, TryIngestError};
use prefix_indexer_storage::{Batch, BatchId, Commit, OpenOptions, StoreKind, open};
use std::{
    path::Path,
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

const MINUTE: u64 = 60_000;

fn start(options: IndexerOptions) -> PrefixIndexer {
    PrefixIndexer::start(open(StoreKind::Memory, Path::new("memory"), OpenOptions::default()).unwrap(), options)
}

fn event(tenant: &str, prefix_id: &str, timestamp_ms: u64) -> PrefixEvent {
    PrefixEvent {
        prefix_id: prefix_id.into(),
        tenant: tenant.into(),
        model_id: "m".into(),
        bytes: 4096,
        latency_ms: 2.0,
        timestamp_ms,
        ..PrefixEvent::default()
    }
}

fn batch(events: impl IntoIterator<Item = PrefixEvent>) -> EventBatch {
    events.into_iter().collect()
}

fn durable(indexer: &PrefixIndexer, events: EventBatch) {
    indexer.try_ingest_durable(events.into()).unwrap().wait().unwrap();
}

fn ids(found: &[PrefixRecommendation]) -> Vec<&str> {
    found.iter().map(|prefix| prefix.prefix_id.as_str()).collect()
}

#[test]
fn answers_follow_receipts() {
    let indexer = start(IndexerOptions::default());
    durable(
        &indexer,
        batch([
            event("acme", "often", 0),
            event("acme", "often", MINUTE),
            event("acme", "late", 2 * MINUTE),
            event("other", "foreign", 2 * MINUTE),
        ]),
    );
    let ask = |query: Query<'_>| indexer.recommend(&query).unwrap();
    let acme = Query { tenant: Some("acme"), ..Query::default() };
    assert_eq!(ids(&ask(Query { half_life_ms: Some(60 * MINUTE), ..acme })), ["often", "late"]);
    assert_eq!(ids(&ask(Query { half_life_ms: Some(MINUTE), ..acme })), ["late", "often"]);
    assert_eq!(ids(&ask(Query { model_id: Some("m"), top_k: 1, ..acme })).len(), 1);
    assert_eq!(ask(Query { model_id: Some("absent"), ..acme }), []);
    assert_eq!(ask(Query { top_k: 0, ..acme }), []);

    let first = &ask(Query { half_life_ms: Some(MINUTE), ..acme })[0];
    assert_eq!((first.score, first.hit_count, first.last_seen_ms), (1.0, 1, 2 * MINUTE));
    let later = &ask(Query { half_life_ms: Some(MINUTE), now_ms: Some(4 * MINUTE), ..acme })[0];
    assert_eq!(later.score, 0.25);
    let earlier = &ask(Query { half_life_ms: Some(MINUTE), now_ms: Some(0), ..acme })[0];
    assert_eq!(earlier.score, 1.0, "now is never earlier than the newest event");

    let least = ask(Query { half_life_ms: Some(MINUTE), min_score: Some(0.9), ..acme });
    assert_eq!(ids(&least), ["late"]);
    let active: ActiveSet = "late".parse().unwrap();
    assert_eq!(ids(&ask(Query { active: Some(&active), ..acme })), ["often"]);

    let error = indexer.recommend(&Query { half_life_ms: Some(7), ..acme }).unwrap_err().to_string();
    assert!(error.contains("7ms") && error.contains("1m,5m,20m,1h,6h"), "{error}");
}

#[test]
fn a_full_queue_gives_the_batch_back_at_once() {
    let indexer = start(IndexerOptions { queue_batches: 2, ..IndexerOptions::default() });
    let (release, held) = mpsc::channel::<()>();
    let (entered, inside) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let work = move |_: &mut dyn prefix_indexer_storage::IndexStore| {
                entered.send(()).unwrap();
                held.recv().unwrap();
            };
            indexer.with_store(work).unwrap();
        });
        inside.recv().unwrap();
        let mut given_back = None;
        for number in 0..3 {
            match indexer.try_ingest(batch([event("t", &format!("p{number}"), number)])) {
                Ok(()) => assert!(number < 2),
                Err(TryIngestError::Full(events)) => given_back = Some(events),
                Err(error) => panic!("{error}"),
            }
        }
        let given_back = given_back.unwrap();
        assert_eq!(given_back.get(0).unwrap().prefix_id, "p2");
        assert!(indexer.metrics().exposition().contains("prefix_indexer_ingest_rejected_total{reason=\"full\"} 1"));
        release.send(()).unwrap();
    });
    indexer.flush().unwrap();
    assert_eq!(indexer.snapshot().len(), 2);
}

#[test]
fn a_batch_id_counts_once() {
    let indexer = start(IndexerOptions::default());
    let send = || {
        let commit = Commit { batch_id: Some(BatchId([7; 16])), ..Commit::default() };
        let events = batch([event("t", "p", 1), event("t", "p", 2)]);
        indexer.try_ingest_durable(Batch { events, commit }).unwrap().wait().unwrap()
    };
    assert_eq!((send().events, send().duplicates), (2, 2));
    assert_eq!(indexer.recommend(&Query::default()).unwrap()[0].hit_count, 2);
}

#[test]
fn what_is_on_disk_is_shown_though_more_keeps_coming() {
    let indexer = start(IndexerOptions::default());
    let mut sent = 0;
    let deadline = Instant::now() + Duration::from_secs(60);
    while indexer.snapshot().is_empty() {
        assert!(Instant::now() < deadline, "{sent} batches are on disk, and none is shown");
        let receipt = indexer.try_ingest_durable(batch([event("t", "p", sent)]).into()).unwrap();
        assert_eq!(receipt.wait_durable().unwrap().events, 1);
        sent += 1;
    }
    let seen = indexer.recommend(&Query::default()).unwrap()[0].hit_count;
    assert!((1..=sent).contains(&seen), "{seen} of {sent}");
    // What is shown is complete, and a receipt that was not waited on holds nobody up.
    drop(indexer.try_ingest_durable(batch([event("t", "p", sent)]).into()).unwrap());
    durable(&indexer, batch([event("t", "p", sent + 1)]));
    assert_eq!(indexer.recommend(&Query::default()).unwrap()[0].hit_count, sent + 2);
}

#[test]
fn a_wrong_clock_silences_nothing() {
    let indexer = start(IndexerOptions { max_future: Some(Duration::from_secs(300)), ..IndexerOptions::default() });
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    durable(&indexer, batch([event("t", "right", now), event("t", "wrong", now + 3_600_000)]));
    assert_eq!(ids(&indexer.recommend(&Query::default()).unwrap()), ["right"]);
    let metrics = indexer.metrics().exposition();
    assert!(metrics.contains("prefix_indexer_ingest_rejected_total{reason=\"future\"} 1"), "{metrics}");
    assert!(metrics.contains("prefix_indexer_ingest_events_total 1"), "{metrics}");
}

#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<IndexMetrics>>>);

impl TelemetrySink for Recorder {
    fn record(&mut self, metrics: &IndexMetrics) {
        self.0.lock().unwrap().push(*metrics);
    }
}

#[test]
fn telemetry_goes_to_every_sink() {
    let recorder = Recorder::default();
    let sinks: Vec<Box<dyn TelemetrySink>> = vec![Box::new(recorder.clone()), Box::new(recorder.clone())];
    let indexer = start(IndexerOptions { telemetry: sinks, ..IndexerOptions::default() });
    durable(&indexer, batch([event("t", "p", 1), event("t", "q", 2)]));
    indexer.close().unwrap();
    let records = recorder.0.lock().unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!((records[0].events, records[0].prefixes, records[0].bytes), (2, 2, 8192));
    assert!(records[0].freshness.age_ms.unwrap() > 0);
}
