//! The index as a prefetcher sees it: what comes next by each kind of policy, chains whole, and what was used.
#![expect(clippy::unwrap_used, reason = "tests")]

use prefix_indexer_analytics::{NextLimits, Presence};
use prefix_indexer_models::{EventBatch, KeyPolicy, PrefixEvent, PrefixKey};
use prefix_indexer_prefetch::{Ask, CandidateSource, Candidates, Evidence};
use prefix_indexer_service::{FeedbackLedger, IndexCandidates, IndexerOptions, PrefixIndexer};
use prefix_indexer_storage::{OpenOptions, StoreKind, open};
use std::{path::Path, sync::Arc};

const MINUTE: u64 = 60_000;

/// `root` <- `middle` <- `leaf`, used often and long ago; `late`, used once and last; `other` of another model in between.
fn index() -> (PrefixIndexer, IndexCandidates) {
    let store = open(StoreKind::Memory, Path::new("memory"), OpenOptions::default()).unwrap();
    let indexer = PrefixIndexer::start(store, IndexerOptions::default());
    let event = |prefix_id: &str, parent: Option<&str>, model: &str, at_ms: u64| PrefixEvent {
        prefix_id: prefix_id.into(),
        parent_id: parent.map(Into::into),
        tenant: "acme".into(),
        model_id: model.into(),
        bytes: 4096,
        latency_ms: 2.5,
        timestamp_ms: at_ms,
        ..PrefixEvent::default()
    };
    let mut events: Vec<PrefixEvent> = Vec::new();
    for minute in 0..4 {
        for (name, parent) in [("root", None), ("middle", Some("root")), ("leaf", Some("middle"))] {
            events.push(event(name, parent, "m", minute * MINUTE));
        }
    }
    events.push(event("other", None, "n", 30 * MINUTE));
    events.push(event("late", None, "m", 40 * MINUTE));
    let events: EventBatch = events.into_iter().collect();
    indexer.try_ingest_durable(events.into()).unwrap().wait().unwrap();
    let view = indexer.snapshot();
    (indexer, IndexCandidates::new(move || Arc::clone(&view)))
}

fn key(model: &str, name: &str) -> PrefixKey {
    PrefixKey::new(KeyPolicy::default(), "acme", model, name, 0, 0)
}

fn ask(policy: &str) -> Ask<'_> {
    let limits = NextLimits { wanted: 10, scan_limit: 1_000 };
    Ask { policy, active_model: None, now_ms: 0, horizon_ms: 5 * MINUTE, limits, min_score: f64::NEG_INFINITY }
}

fn names(candidates: &Candidates) -> Vec<&str> {
    candidates.chosen.iter().map(|candidate| candidate.block.prefix_id.as_str()).collect()
}

fn all(_: &PrefixKey) -> Presence {
    Presence::Loadable
}

#[test]
fn policies_rank_and_chains_stay_whole() {
    let (_indexer, source) = index();
    let check = |ask: Ask<'_>, presence: &dyn Fn(&PrefixKey) -> Presence, expect: &[&str]| {
        assert_eq!(names(&source.next(&ask, presence).unwrap()), expect, "{}", ask.policy);
    };
    let chain = |candidates: &Candidates| {
        let place = |name| names(candidates).iter().position(|found| *found == name).unwrap();
        assert!(place("root") < place("middle") && place("middle") < place("leaf"));
    };
    let long = source.next(&ask("decay-6h"), &all).unwrap();
    chain(&long);
    assert_eq!(names(&long)[3..], ["late", "other"]);
    let recent = source.next(&ask("most-recent"), &all).unwrap();
    chain(&recent);
    assert_eq!(names(&recent)[..2], ["late", "other"]);
    let favoured = Ask { active_model: Some("n"), ..ask("recency-chain-model") };
    // 1.0 for the newest, against 0.5 of ten minutes ago and 0.2 for the model.
    check(Ask { limits: NextLimits { wanted: 2, scan_limit: 1_000 }, ..favoured }, &all, &["late", "other"]);
    let scores: Vec<f64> =
        source.next(&favoured, &all).unwrap().chosen.iter().map(|candidate| candidate.block.score).collect();
    assert!((scores[0] - 1.0).abs() < 1e-9 && (scores[1] - 0.7).abs() < 1e-9, "{scores:?}");
    check(Ask { min_score: 0.6, ..favoured }, &all, &["late", "other"]);
    check(Ask { min_score: 0.5, ..ask("decay-5m") }, &all, &["late"]);
    // The root is there already, and the other model's block is nowhere.
    let presence = |found: &PrefixKey| match found {
        found if *found == key("m", "root") => Presence::Resident,
        found if *found == key("n", "other") => Presence::Gone,
        _ => Presence::Loadable,
    };
    let next = source.next(&ask("decay-6h"), &presence).unwrap();
    assert_eq!(names(&next), ["middle", "leaf", "late"]);
    assert_eq!((next.scored, next.resident, next.gone), (5, 1, 1));
    let block = &next.chosen[0].block;
    assert_eq!((block.footprint_bytes, block.avg_latency_ms, &*block.tenant), (4096, 2.5, "acme"));
}

#[test]
fn every_policy_of_the_list_gives_candidates() {
    let (indexer, source) = index();
    for policy in IndexCandidates::policies(indexer.spec()) {
        let found = source.next(&ask(&policy), &all).unwrap();
        assert_eq!((found.chosen.len(), found.scored), (5, 5), "{policy}");
        let place = |name| names(&found).iter().position(|found| *found == name).unwrap();
        assert!(place("root") < place("middle") && place("middle") < place("leaf"), "{policy}");
        let scores = |found: &Candidates| found.chosen.iter().map(|one| one.block.score).collect::<Vec<_>>();
        if ["auto", "reuse"].contains(&policy.as_str()) {
            assert!(scores(&found).iter().all(|score| (0.0..=1.0).contains(score)), "{policy}: {:?}", scores(&found));
        }
        // An ancestor has the score of what needs it.
        assert!(scores(&found).is_sorted_by(|a, b| a >= b), "{policy}: {:?}", scores(&found));
        let best = found.chosen[0].block.score;
        let chosen = source.next(&Ask { min_score: best, ..ask(&policy) }, &all).unwrap().chosen;
        assert!(!chosen.is_empty() && chosen.iter().all(|one| one.block.score >= best), "{policy}");
    }
}

#[test]
fn a_ranking_that_costs_is_kept_for_ten_seconds() {
    let views = Arc::new(std::sync::Mutex::new(index().0.snapshot()));
    let asked = Arc::clone(&views);
    let source = IndexCandidates::new(move || Arc::clone(&asked.lock().unwrap()));
    let now_ms = 40 * MINUTE;
    let scored = |now_ms| source.next(&Ask { now_ms, ..ask("most-frequent") }, &all).unwrap();
    assert_eq!(scored(now_ms).scored, 5);
    let store = open(StoreKind::Memory, Path::new("memory"), OpenOptions::default()).unwrap();
    *views.lock().unwrap() = PrefixIndexer::start(store, IndexerOptions::default()).snapshot();
    // What the index has lost since is left out.
    let kept = scored(now_ms + 9_999);
    assert_eq!((kept.scored, kept.chosen.len()), (5, 0));
    assert_eq!(scored(now_ms + 10_000).scored, 0);
}

#[test]
fn unknown_policies_are_told_what_there_is() {
    let (_indexer, source) = index();
    for (policy, expect) in [("hottest", "most-recent"), ("decay-7m", "1m,5m,20m,1h,6h")] {
        let error = source.next(&ask(policy), &all).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }
}

#[test]
fn uses_are_listed_newest_first() {
    let (_indexer, source) = index();
    let used = source.used_since(30 * MINUTE, 100).unwrap();
    assert_eq!(used.iter().map(|block| block.key).collect::<Vec<_>>(), [key("m", "late")]);
    assert_eq!((used[0].at_ms, used[0].first_ms, used[0].latency_ms), (40 * MINUTE, 40 * MINUTE, 2.5));
    assert_eq!(source.used_since(0, 3).unwrap().len(), 3);
}

#[test]
fn what_was_reported_is_there_for_adaptive_control() {
    let (_indexer, source) = index();
    assert_eq!(source.reported().unwrap(), Evidence::default());
    let source = source.with_feedback(|| {
        let mut ledger = FeedbackLedger::default();
        let report = |outcome: &str| {
            format!(r#"{{"prefix_id":"p","tenant":"t","model_id":"m","outcome":"{outcome}","bytes":10,"saved_ms":2}}"#)
        };
        let file = ["used", "used", "wasted", "late", "evicted"].map(report).join("\n");
        ledger.add_file(&file).unwrap();
        Ok(ledger)
    });
    let expect = Evidence { used: 2, wasted: 1, late: 1, evicted: 1, saved_ms: 4.0, wasted_bytes: 20 };
    assert_eq!(source.reported().unwrap(), expect);
}
