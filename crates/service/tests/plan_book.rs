//! What later events say about plans.
#![expect(clippy::unwrap_used, reason = "tests")]

use prefix_indexer_models::{EventBatch, IndexSpec, KeyPolicy, Plan, PrefixEvent};
use prefix_indexer_service::{Experience, FeedbackLedger, FeedbackReport, Outcome, PlanBook, PlanQuery, merge_into};
use prefix_indexer_storage::{IndexReader, IndexStore, OpenOptions, StoreKind, View, open};
use std::{num::NonZeroU32, path::Path, sync::Arc};

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
    store_with(IndexSpec::default(), batch(events))
}

fn store_with(spec: IndexSpec, events: EventBatch) -> (Box<dyn IndexStore>, Arc<View>) {
    let options = OpenOptions { spec: Some(spec), ..OpenOptions::default() };
    let mut store = open(StoreKind::Memory, Path::new("nowhere"), options).unwrap();
    store.append(&[events.into()]).unwrap();
    store.publish().unwrap();
    let view = store.reader().view();
    (store, view)
}

fn asked(tenant: Option<&str>) -> PlanQuery<'_> {
    PlanQuery { tenant, ..PlanQuery::new(10_000, 1_000) }
}

fn plan(view: &View, tenant: Option<&str>) -> Plan {
    asked(tenant).run(view, None).unwrap()
}

const BEFORE: &[(&str, &str, u64)] = &[("t", "a", 100), ("t", "b", 100), ("u", "a", 100)];

#[test]
fn uses_within_the_horizon_count_and_no_others() {
    let (_, view) = store(BEFORE);
    let plan = plan(&view, None);
    assert_eq!(plan.entries.len(), 3);
    let check = |events: &[(&str, &str, u64)], used: u64, wasted: u64| {
        let (mut book, mut ledger) = (PlanBook::default(), FeedbackLedger::default());
        book.add(&plan, &asked(None));
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
fn merged_indexes_know_the_plans_of_both_and_what_became_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let part = |name: &str, used: &str| {
        let options = OpenOptions { spec: Some(IndexSpec::default()), ..OpenOptions::default() };
        let mut store = open(StoreKind::Segments, &dir.path().join(name), options).unwrap();
        store.append(&[batch(BEFORE).into()]).unwrap();
        store.publish().unwrap();
        let (mut book, mut ledger) = (PlanBook::default(), FeedbackLedger::default());
        let plans = [None, Some(used)].map(|tenant| (tenant, plan(&store.reader().view(), tenant)));
        plans.iter().for_each(|(tenant, plan)| assert!(book.add(plan, &asked(*tenant))));
        book.observe(&batch(&[(used, "a", 500), (used, "x", 1_100)]), &mut ledger);
        book.written(&ledger).unwrap().put(store.as_mut()).unwrap();
        store.flush().unwrap();
        (plans.map(|(_, plan)| plan.plan_id), IndexReader::open(&dir.path().join(name), true).unwrap())
    };
    let ((of_a, a), (of_b, b)) = (part("a", "t"), part("b", "u"));
    let options = OpenOptions { spec: Some(IndexSpec::default()), ..OpenOptions::default() };
    let mut all = open(StoreKind::Memory, Path::new("nowhere"), options).unwrap();
    merge_into(all.as_mut(), &a).unwrap();
    let experience = |store: &dyn IndexStore| PlanBook::load(store).unwrap().experience().clone();
    let alone = experience(all.as_ref());
    merge_into(all.as_mut(), &b).unwrap();
    let book = PlanBook::load(all.as_ref()).unwrap();
    assert_eq!(of_a[0], of_b[0], "the same question to the same index");
    for id in of_a.iter().chain(&of_b) {
        assert!(!book.outcome(id, |_| true).unwrap().open, "{id}");
    }
    let counts = |tenant: &str, outcome| book.counts()["auto"][tenant].get(&outcome).map_or(0, |count| count.prefixes);
    // Two plans each of a and b, of which one had a used.
    assert_eq!((counts("t", Outcome::Used), counts("t", Outcome::Wasted)), (2, 4));
    assert_eq!((counts("u", Outcome::Used), counts("u", Outcome::Wasted)), (2, 1));
    let totals = FeedbackLedger::load(all.as_ref()).unwrap().totals();
    assert_eq!((totals[&Outcome::Used].prefixes, totals[&Outcome::Wasted].prefixes), (4, 5), "and the ledger knows it");
    let both = experience(all.as_ref());
    assert_eq!((alone.shifts()[0].plans, both.shifts()[0].plans), (2, 4));
    assert!(both.promises()[0].expected > alone.promises()[0].expected);
}

#[test]
fn a_loader_knows_better_and_nothing_counts_twice() {
    let (_, view) = store(BEFORE);
    let plan = plan(&view, Some("t"));
    let (mut book, mut ledger) = (PlanBook::default(), FeedbackLedger::default());
    book.add(&plan, &asked(Some("t")));
    book.add(&plan, &asked(Some("t")));
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
    plans.iter().for_each(|plan| assert!(book.add(plan, &asked(None))));
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

#[test]
fn coverage_is_of_all_uses_of_those_asked_for() {
    let (_, view) = store(BEFORE);
    let check = |tenant: Option<&str>, events: &[(&str, &str, u64)], expect: Option<f64>| {
        let (mut book, mut ledger) = (PlanBook::default(), FeedbackLedger::default());
        let plan = plan(&view, tenant);
        assert!(book.add(&plan, &asked(tenant)) && !book.add(&plan, &asked(tenant)));
        book.observe(&batch(events), &mut ledger);
        assert_eq!(book.outcome(&plan.plan_id, |_| true).unwrap().coverage, expect, "{events:?}");
    };
    check(None, &[], None);
    check(None, &[("t", "a", 200), ("t", "a", 300), ("t", "new", 300), ("u", "b", 300)], Some(0.5));
    check(Some("t"), &[("t", "a", 200), ("t", "a", 300), ("t", "new", 300), ("u", "b", 300)], Some(2.0 / 3.0));
    check(Some("t"), &[("t", "new", 99), ("t", "a", 1_099), ("t", "new", 1_100)], Some(1.0));
    check(Some("t"), &[("u", "a", 200)], None);
}

/// Under bands a prefix has several rows; what its uses save is known all the same.
#[test]
fn bands_hide_no_savings() {
    let one = NonZeroU32::new(1);
    for key_policy in [KeyPolicy { layer_band: one, page_band: None }, KeyPolicy { layer_band: one, page_band: one }] {
        let layers = (3..6).map(|layer| PrefixEvent { layer, page_start: 2, page_end: 4, ..event("t", "a", 100) });
        let (_, view) = store_with(IndexSpec { key_policy, ..IndexSpec::default() }, layers.collect());
        assert_eq!(view.len(), 3);
        let (mut book, mut ledger) = (PlanBook::default(), FeedbackLedger::default());
        let plan = plan(&view, None);
        assert_eq!((plan.entries.len(), plan.entries[0].saves_ms), (1, Some(8.0)), "{plan:?}");
        book.add(&plan, &asked(None));
        let used = PrefixEvent { layer: 4, page_start: 2, page_end: 4, ..event("t", "a", 500) };
        book.observe(&[used].into_iter().collect(), &mut ledger);
        let did = book.outcome(&plan.plan_id, |_| true).unwrap();
        assert_eq!((did.saved_ms, ledger.totals()[&Outcome::Used].saved_ms), (8.0, 8.0));
    }
}

/// A hundred prefixes that the plan takes for likely, of which ever the same two come.
#[test]
fn what_came_of_plans_corrects_those_that_follow() {
    let names: Vec<String> = (0..100).map(|number| format!("p{number}")).collect();
    let at = |number: u64, round: u64| round * 1_000 + (number * 7_919 + round * 104_729) % 1_000;
    let mut before: Vec<(&str, &str, u64)> = Vec::new();
    for round in 0..8 {
        before.extend(names.iter().zip(0..).map(|(name, number)| ("t", name.as_str(), at(number, round))));
    }
    before.sort_by_key(|(_, _, time_ms)| *time_ms);
    let (mut store, view) = store(&before);
    let (mut book, mut ledger) = (PlanBook::default(), FeedbackLedger::default());
    let expected = |experience: &Experience, now_ms| {
        let query = PlanQuery { now_ms: Some(now_ms), experience: Some(experience), ..PlanQuery::new(10_000, 1_000) };
        let plan = query.run(&view, None).unwrap();
        (plan.entries.iter().map(|entry| entry.probability).sum::<f64>(), plan)
    };
    let (first, plan) = expected(book.experience(), 8_000);
    assert!(first > 20.0 && !plan.why.contains("corrected"), "{first}: {}", plan.why);
    for round in 0..3 {
        let experience = book.experience().clone();
        let query = PlanQuery {
            now_ms: Some(8_000 + round * 1_000),
            experience: Some(&experience),
            ..PlanQuery::new(10_000, 1_000)
        };
        let plan = query.run(&view, None).unwrap();
        assert!(book.add(&plan, &query));
        let now_ms = plan.now_ms;
        book.observe(&batch(&[("t", "p1", now_ms + 1), ("t", "p2", now_ms + 2)]), &mut ledger);
        book.observe(&batch(&[("t", "other", now_ms + 1_000)]), &mut ledger);
    }
    // Kept with the index, and read back.
    book.save(store.as_mut()).unwrap();
    store.flush().unwrap();
    let book = PlanBook::load(store.as_ref()).unwrap();
    let (now, plan) = expected(book.experience(), 8_000);
    assert!(now < first / 2.0, "{now}, {first} at first");
    assert!(plan.why.contains("corrected by what came of earlier plans"), "{}", plan.why);
    let [promise] = book.experience().promises() else { unreachable!("one policy, one horizon, one budget") };
    assert_eq!((promise.policy.as_str(), promise.plans), (plan.chosen_by.as_str(), 3));
    assert!(promise.kept() < 0.5, "{promise:?}");
    let counts = &book.counts()["auto"]["t"];
    assert_eq!((counts[&Outcome::Used].prefixes, counts[&Outcome::Wasted].prefixes), (6, 3 * 98));
}

/// An explicit report is what teaches, whatever the events say.
#[test]
fn a_loader_s_word_teaches() {
    let (_, view) = store(BEFORE);
    let learned = |outcome: &str, reported_at_end: bool| {
        let (mut book, mut ledger) = (PlanBook::default(), FeedbackLedger::default());
        let plan = plan(&view, None);
        book.add(&plan, &asked(None));
        let end = batch(&[("t", "x", 10_000)]);
        if reported_at_end {
            book.observe(&end, &mut ledger);
        }
        for entry in &plan.entries {
            let (prefix, tenant) = (&entry.prefix_id, &entry.tenant);
            let line = format!(
                r#"{{"prefix_id":"{prefix}","tenant":"{tenant}","model_id":"m","outcome":"{outcome}","plan_id":"{}"}}"#,
                plan.plan_id
            );
            book.report(FeedbackReport::parse(&line).unwrap(), &mut ledger);
        }
        book.observe(&end, &mut ledger);
        let shift = book.experience().shifts()[0].shift;
        (shift, book.experience().promises()[0].used)
    };
    for at_end in [false, true] {
        let [used, wasted, late] = ["used", "wasted", "late"].map(|outcome| learned(outcome, at_end));
        assert!(used.0 > wasted.0, "{used:?} {wasted:?}");
        assert_eq!((used.1, wasted.1), (3.0, 0.0));
        // It was asked for, as predicted; but it was not there.
        assert_eq!((late.0, late.1), (used.0, 0.0));
    }
}
