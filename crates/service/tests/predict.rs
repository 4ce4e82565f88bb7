//! Which prefix a session asks for next, learned from live events.
#![expect(clippy::unwrap_used, reason = "tests")]

use prefix_indexer_models::{EventBatch, IndexSpec, KeyPolicy, PrefixEvent};
use prefix_indexer_service::{IndexerOptions, PredictAfter, PrefixIndexer, forget};
use prefix_indexer_storage::{Batch, BatchId, Commit, Forget, OpenOptions, StoreKind, open};
use std::{
    num::NonZeroU32,
    path::Path,
    time::{Duration, Instant},
};
use tempfile::tempdir;

fn options(spec: IndexSpec) -> OpenOptions {
    OpenOptions { spec: Some(spec), ..OpenOptions::default() }
}

fn start(dir: &Path, spec: IndexSpec) -> PrefixIndexer {
    let store = open(StoreKind::Segments, dir, options(spec)).unwrap();
    PrefixIndexer::start(store, IndexerOptions { predict: true, max_future: None, ..IndexerOptions::default() })
}

fn event(tenant: &str, session: &str, prefix: &str, parent: Option<&str>, layer: u32) -> PrefixEvent {
    PrefixEvent {
        prefix_id: prefix.into(),
        tenant: tenant.into(),
        model_id: "m".into(),
        layer,
        bytes: 10,
        timestamp_ms: 1_000,
        parent_id: parent.map(Into::into),
        session_id: Some(session.into()),
        ..PrefixEvent::default()
    }
}

/// Tea, then milk with sugar, in turns; each block in two layers.
fn day(tenant: &str, session: &str) -> Vec<PrefixEvent> {
    let blocks = [("tea", None), ("milk", None), ("sugar", Some("milk"))];
    let layers = |(prefix, parent)| [0, 1].map(|layer| event(tenant, session, prefix, parent, layer));
    (0..20).flat_map(|_| blocks).flat_map(layers).collect()
}

/// Learning happens beside ingestion.
fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        match look() {
            Some(found) => return found,
            None if started.elapsed() < Duration::from_secs(20) => std::thread::sleep(Duration::from_millis(5)),
            None => unreachable!("nothing was learned"),
        }
    }
}

fn best(indexer: &PrefixIndexer, tenant: &str, after: PredictAfter<'_>) -> Option<(String, Vec<String>, f64)> {
    let found = indexer.predict(tenant, None, after, 1).unwrap().into_iter().next()?;
    Some((found.prefix.prefix_id.to_string(), found.run.iter().map(ToString::to_string).collect(), found.probability))
}

#[test]
fn habits_are_learned_kept_and_forgotten() {
    let bands = KeyPolicy { layer_band: NonZeroU32::new(1), ..KeyPolicy::default() };
    for spec in [IndexSpec::default(), IndexSpec { key_policy: bands, ..IndexSpec::default() }] {
        let dir = tempdir().unwrap();
        let indexer = start(dir.path(), spec.clone());
        let events: EventBatch = day("acme", "s").into_iter().collect();
        let commit = Commit { batch_id: Some(BatchId([7; 16])), sources: Vec::new() };
        let batch = Batch { events, commit };
        indexer.try_ingest_durable(batch.clone()).unwrap().wait().unwrap();
        let session = PredictAfter::Session(Some("s"));
        let (prefix, run, probability) = until(|| best(&indexer, "acme", session).filter(|best| best.0 == "tea"));
        assert_eq!((prefix.as_str(), run), ("tea", vec!["tea".to_owned()]));
        assert!(probability > 0.7, "{probability}");
        let asked = ["tea".to_owned()];
        let after_tea = PredictAfter::Prefixes { model_id: "m", prefix_ids: &asked };
        let (prefix, run, _) = best(&indexer, "acme", after_tea).unwrap();
        assert_eq!((prefix.as_str(), run), ("sugar", ["milk", "sugar"].map(str::to_owned).to_vec()));
        // A batch that counts for nothing teaches nothing. Another tenant, model or session is nobody's business.
        indexer.try_ingest_durable(batch).unwrap().wait().unwrap();
        let learned = "predict_events_total{result=\"learned\"} 120";
        until(|| indexer.metrics().exposition().contains(learned).then_some(()));
        assert_eq!(best(&indexer, "globex", session), None);
        assert_eq!(best(&indexer, "globex", after_tea), None);
        assert_eq!(indexer.predict("acme", Some("other"), session, 5).unwrap(), []);
        assert_eq!(indexer.predict("acme", Some("m"), session, 5).unwrap().len(), 2);
        indexer.close().unwrap();

        let indexer = start(dir.path(), spec.clone());
        assert_eq!(best(&indexer, "acme", session).unwrap().0, "tea");
        indexer.close().unwrap();

        let mut store = open(StoreKind::Segments, dir.path(), options(spec.clone())).unwrap();
        forget(store.as_mut(), &Forget { tenant: Some("acme".into()), model_id: None }).unwrap();
        drop(store);
        let indexer = start(dir.path(), spec);
        indexer
            .try_ingest_durable(day("acme", "r").into_iter().take(2).collect::<EventBatch>().into())
            .unwrap()
            .wait()
            .unwrap();
        assert_eq!(until(|| best(&indexer, "acme", session)).0, "tea", "all that there is");
        assert_eq!(indexer.predict("acme", None, after_tea, 5).unwrap().len(), 1);
    }
}

#[test]
fn who_does_not_ask_for_it_learns_nothing() {
    let dir = tempdir().unwrap();
    let store = open(StoreKind::Segments, dir.path(), options(IndexSpec::default())).unwrap();
    let indexer = PrefixIndexer::start(store, IndexerOptions { max_future: None, ..IndexerOptions::default() });
    indexer.try_ingest_durable(day("acme", "s").into_iter().collect::<EventBatch>().into()).unwrap().wait().unwrap();
    assert_eq!(indexer.predict("acme", None, PredictAfter::Session(Some("s")), 5).unwrap(), []);
    assert!(!indexer.metrics().exposition().contains("predict_events_total"));
}
