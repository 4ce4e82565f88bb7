//! What later events say about plans.
#![expect(clippy::unwrap_used, reason = "tests")]

use prefix_indexer_models::{EventBatch, IndexSpec, Plan, PrefixEvent};
use prefix_indexer_service::{FeedbackLedger, FeedbackReport, Outcome, PlanBook, PlanQuery};
use prefix_indexer_storage::{IndexStore, OpenOptions, StoreKind, View, open};
use std::{path::Path, sync::Arc};

fn event(tenant: &str, prefix_id: &str, timestamp_ms: u64) -> PrefixEvent {
    PrefixEvent {
        prefix_id: prefix_id.into(),
        tenant: tenant.into(),
        model_id: "m".into(),
        bytes: 100,
        latency_ms: 8.0,
        timestamp_ms,
        ..PrefixEvent::default()
    }
}

fn batch(events: &[(&str, &str, u64)]) -> EventBatch {
    events.iter().map(|(tenant, prefix, time)| event(tenant, prefix, *time)).collect()
}

fn store(events: &[(&str, &str, u64)]) -> (Box<dyn IndexStore>, Arc<View>) {
    let options = OpenOptions { spec: Some(IndexSpec::default()), ..OpenOptions::default() };
    let mut store = open(StoreKind::Memory, Path::new("nowhere"), options).unwrap();
    store.append(&[batch(events).into()]).unwrap();
    store.publish().unwrap();
    let view = store.reader().view();
    (store, view)
}

fn plan(view: &View, tenant: Option<&str>) -> Plan {
    PlanQuery { tenant, ..PlanQuery::new(10_000, 1_000) }.run(view, None).unwrap()
}

const BEFORE: &[(&str, &str, u64)] = &[("t", "a", 100), ("t", "b", 100), ("u", "a", 100)];

#[test]
fn uses_within_the_horizon_count_and_no_others() {
    let (_, view) = store(BEFORE);
    let plan = plan(&view, None);
    assert_eq!(plan.entries.len(), 3);
    let check = |events: &[(&str, &str, u64)], used: u64, wasted: u64| {
        let (mut book, mut ledger) = (PlanBook::default(), FeedbackLedger::default());
        book.add(&plan, None, &view);
        events.iter().for_each(|event| book.observe(&batch(&[*event]), &mut ledger));
        let did = book.outcome(&plan.plan_id, |_| true).unwrap();
        let count = |outcome| did.outcomes.get(&outcome).map_or(0, |count| count.prefixes);
        assert_eq!((count(Outcome::Used), count(Outcome::Wasted)), (used, wasted), "{events:?}");
        assert_eq!(did.open, wasted == 0 && used < 3, "{events:?}");
        assert_eq!(did.saved_ms, used as f64 * 8.0, "{events:?}");
        assert_eq!(did.wasted_bytes, wasted * 100, "{events:?}");
        let counted: u64 = ledger.totals().values().map(|count| count.prefixes).sum();
        assert_eq!(counted, used + wasted, "what the plan knows the ledger knows: {events:?}");
    };
    check(&[], 0, 0);
    check(&[("t", "a", 100)], 1, 0);
    check(&[("t", "a", 99)], 0, 0);
    check(&[("t", "a", 1_099), ("t", "a", 500), ("t", "x", 600)], 1, 0);
    check(&[("u", "b", 500)], 0, 0);
    check(&[("t", "x", 1_100)], 0, 3);
    check(&[("t", "b", 1_099), ("t", "a", 1_100)], 1, 2);
    // What comes late, after the end, changes nothing.
    check(&[("t", "x", 1_100), ("t", "a", 500)], 0, 3);
}

#[test]
fn a_loader_knows_better_and_nothing_counts_twice() {
    let (_, view) = store(BEFORE);
    let plan = plan(&view, Some("t"));
    let (mut book, mut ledger) = (PlanBook::default(), FeedbackLedger::default());
    book.add(&plan, Some("t"), &view);
    book.add(&plan, Some("t"), &view);
    book.observe(&batch(&[("t", "a", 200)]), &mut ledger);
    let report = |prefix: &str, outcome: &str, plan_id: &str| {
        let line = format!(
            r#"{{"prefix_id":"{prefix}","tenant":"t","model_id":"m","outcome":"{outcome}","plan_id":"{plan_id}","bytes":100}}"#
        );
        FeedbackReport::parse(&line).unwrap()
    };
    book.report(report("a", "late", &plan.plan_id), &mut ledger);
    book.report(report("b", "evicted", &plan.plan_id), &mut ledger);
    book.observe(&batch(&[("t", "b", 300), ("t", "x", 5_000)]), &mut ledger);
    let did = book.outcome(&plan.plan_id, |tenant| tenant == Some("t")).unwrap();
    assert_eq!((did.precision, did.wasted_bytes, did.saved_ms), (Some(0.0), 200, 0.0));
    let counts: Vec<(Outcome, u64)> =
        ledger.totals().iter().map(|(outcome, count)| (*outcome, count.prefixes)).collect();
    assert_eq!(counts, [(Outcome::Used, 0), (Outcome::Late, 1), (Outcome::Evicted, 1)]);
    assert_eq!(book.outcome(&plan.plan_id, |tenant| tenant == Some("u")), None, "another's plan is not there");
    book.report(report("a", "used", "unknown"), &mut ledger);
    assert_eq!(ledger.totals()[&Outcome::Used].prefixes, 1, "a report on no plan counts for itself");
}

#[test]
fn the_book_is_bounded_and_survives() {
    let (mut store, view) = store(BEFORE);
    let plans: Vec<Plan> = (0..300)
        .map(|n| PlanQuery { now_ms: Some(200 + n), ..PlanQuery::new(10_000, 1_000) }.run(&view, None).unwrap())
        .collect();
    let (mut book, mut ledger) = (PlanBook::default(), FeedbackLedger::default());
    plans.iter().for_each(|plan| book.add(plan, None, &view));
    let known = |book: &PlanBook| plans.iter().filter(|plan| book.outcome(&plan.plan_id, |_| true).is_some()).count();
    assert_eq!(known(&book), 256);
    book.observe(&batch(&[("t", "a", 500)]), &mut ledger);
    book.save(store.as_mut()).unwrap();
    let mut loaded = PlanBook::load(store.as_ref()).unwrap();
    assert_eq!(known(&loaded), 256);
    for book in [&mut book, &mut loaded] {
        let mut ledger = ledger.clone();
        book.observe(&batch(&[("t", "b", 510), ("t", "x", 10_000)]), &mut ledger);
        let used = ledger.totals()[&Outcome::Used];
        assert_eq!(used.prefixes, 2 * 256, "one entry of each before, one after");
    }
}
