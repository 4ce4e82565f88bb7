//! What to load: within every limit, chains whole, and the same plan for the same question.

use crate::common::{fixture, json, run, run_with, status, stderr, stdout};
use serde_json::{Value, json as value};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};
use tempfile::{TempDir, tempdir};

/// An index of a Mooncake trace: chains of blocks of a MiB.
fn mooncake() -> (TempDir, PathBuf) {
    let dir = tempdir().unwrap();
    let data = dir.path().join("index");
    json(&["ingest", fixture("mooncake.jsonl").to_str().unwrap(), "--data", data.to_str().unwrap(), "--json"]);
    (dir, data)
}

/// One event, `change`d.
fn event(prefix_id: &str, change: Value) -> Value {
    let mut event = value!({
        "prefix_id": prefix_id, "tenant": "acme", "model_id": "m", "layer": 0, "page_start": 0, "page_end": 0,
        "bytes": 1024, "latency_ms": 0.0, "timestamp_ms": 1_000_000,
    });
    event.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    event
}

fn index_of(events: &[Value], options: &[&str]) -> (TempDir, PathBuf) {
    let dir = tempdir().unwrap();
    let data = dir.path().join("index");
    let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
    let args = [&["ingest", "-", "--data", data.to_str().unwrap()], options].concat();
    let output = run_with(&args, lines.as_bytes());
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    (dir, data)
}

fn plan(data: &Path, options: &[&str]) -> Value {
    json(&[&["plan", "--data", data.to_str().unwrap(), "--json"], options].concat())
}

fn ids(plan: &Value) -> Vec<&str> {
    plan["entries"].as_array().unwrap().iter().map(|entry| entry["prefix_id"].as_str().unwrap()).collect()
}

/// Within the budget, sums right, every parent before its child.
fn check_valid(plan: &Value, resident: &[&str]) {
    let entries = plan["entries"].as_array().unwrap();
    let bytes: u64 = entries.iter().map(|entry| entry["bytes"].as_u64().unwrap()).sum();
    assert_eq!(plan["total_bytes"], bytes);
    assert!(bytes <= plan["budget_bytes"].as_u64().unwrap());
    let uses: f64 = entries.iter().map(|entry| entry["expected_uses"].as_f64().unwrap()).sum();
    assert!((plan["expected_hits"].as_f64().unwrap() - uses).abs() <= 1e-9 * uses);
    let improvement = plan["estimated_hit_improvement"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&improvement));
    let mut there: BTreeSet<&str> = resident.iter().copied().collect();
    for entry in entries {
        let probability = entry["probability"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&probability) && entry["expected_uses"].as_f64().unwrap() >= probability);
        if let Some(parent) = entry["parent_id"].as_str() {
            assert!(there.contains(parent), "{entry} comes before its parent");
        }
        assert!(there.insert(entry["prefix_id"].as_str().unwrap()), "{entry} is there twice");
        assert!(!entry["hint"].as_str().unwrap().is_empty());
    }
}

#[test]
fn a_plan_is_the_documented_one() {
    let (_dir, data) = mooncake();
    let plan = plan(&data, &["--budget", "100MiB", "--horizon", "5m"]);
    let fields = |of: &Value| of.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let expected = "plan_id now_ms horizon_ms budget_bytes total_bytes policy chosen_by why expected_hits \
                    estimated_hit_improvement expected_saved_ms entries";
    assert_eq!(fields(&plan), expected.split_whitespace().map(str::to_owned).collect());
    let expected = "prefix_id parent_id tenant model_id depth bytes layer_min layer_max page_start page_end \
                    probability expected_uses saves_ms hint";
    assert_eq!(fields(&plan["entries"][0]), expected.split_whitespace().map(str::to_owned).collect());
    assert_eq!((&plan["horizon_ms"], &plan["budget_bytes"]), (&value!(300_000), &value!(100 << 20)));
    assert_eq!((&plan["policy"], ids(&plan).len()), (&value!("auto"), 100));
    let newest = json(&["suggest", "--data", data.to_str().unwrap(), "--json", "--top-k", "100000"]);
    let newest = newest.as_array().unwrap().iter().map(|row| row["last_seen_ms"].as_u64().unwrap()).max();
    assert_eq!(plan["now_ms"].as_u64(), newest);
    check_valid(&plan, &[]);
    assert_eq!(plan, self::plan(&data, &["--budget", "100MiB", "--horizon", "5m"]));
}

#[test]
fn every_policy_plans_and_more_budget_is_worth_more() {
    let (_dir, data) = mooncake();
    let known =
        run(&["plan", "--data", data.to_str().unwrap(), "--budget", "1GiB", "--horizon", "1m", "--policy", "?"]);
    assert_eq!(status(&known), 1);
    let known = stderr(&known);
    let names: Vec<&str> = known.trim().rsplit("expected one of ").next().unwrap().split(", ").collect();
    assert!(names.starts_with(&["auto", "reuse", "decay-1m"]) && names.contains(&"most-frequent"), "{names:?}");
    for name in names {
        let mut hits = 0.0;
        for budget in ["0", "10MiB", "200MiB", "1TiB"] {
            let plan = plan(&data, &["--budget", budget, "--horizon", "1m", "--policy", name]);
            check_valid(&plan, &[]);
            assert_eq!(plan["policy"], name);
            let more = plan["expected_hits"].as_f64().unwrap();
            assert!(more >= hits, "{name}: {more} after {hits}");
            hits = more;
        }
        let all = plan(&data, &["--budget", "1TiB", "--horizon", "1m", "--policy", name]);
        assert!((all["estimated_hit_improvement"].as_f64().unwrap() - 1.0).abs() < 1e-9, "{name} knows of all uses");
    }
}

#[test]
fn a_formula_is_followed_in_descending_score() {
    let uses = |id: &str, uses: u64, bytes: u64| {
        let time = |number| value!({"timestamp_ms": 1_000_000 + number * 60_000, "bytes": bytes});
        (0..uses).map(|number| event(id, time(number))).collect::<Vec<_>>()
    };
    let (_dir, data) = index_of(&[uses("a", 9, 4096), uses("b", 5, 4096), uses("c", 3, 4096)].concat(), &[]);
    for (policy, budget, expect) in [
        ("most-frequent", "8KiB", vec!["a", "b"]),
        // Uses an hour over their own spans: 90, 75 and 67.5, less what the age takes.
        ("frequency-recency-size", "8KiB", vec!["c", "b"]),
        ("most-recent", "4KiB", vec!["a"]),
        ("decay-1h", "12KiB", vec!["a", "b", "c"]),
    ] {
        let plan = plan(&data, &["--budget", budget, "--horizon", "5m", "--policy", policy]);
        assert_eq!(ids(&plan), expect, "{policy}");
    }
}

#[test]
fn resident_blocks_are_left_out_and_close_chains() {
    let (dir, data) = mooncake();
    let before = plan(&data, &["--budget", "50MiB", "--horizon", "5m"]);
    let resident: Vec<&str> = ids(&before);
    let file = dir.path().join("active");
    std::fs::write(&file, resident.join("\n")).unwrap();
    let after = plan(&data, &["--budget", "50MiB", "--horizon", "5m", "--active", file.to_str().unwrap()]);
    check_valid(&after, &resident);
    assert_eq!(ids(&after).len(), 50);
}

#[test]
fn latency_tokens_or_one_say_what_is_saved() {
    let events = [
        event("measured", value!({"latency_ms": 500.0})),
        event("ten-pages", value!({"page_end": 9})),
        event("one-page", value!({})),
    ];
    let (_dir, data) = index_of(&events, &[]);
    let saved = |options: &[&str]| {
        let options = [&["--budget", "1MiB", "--horizon", "1m", "--policy", "reuse"], options].concat();
        let plan = plan(&data, &options);
        let probability = plan["entries"][0]["probability"].as_f64().unwrap();
        (plan["expected_saved_ms"].as_f64().unwrap() / probability, ids(&plan).join(" "))
    };
    let check = |options: &[&str], expect: f64| {
        let (saved, order) = saved(options);
        assert!((saved - expect).abs() < 1e-6, "{saved}");
        assert!(order.starts_with("measured"), "{order}");
    };
    check(&[], 500.0 + 1.0 + 1.0);
    check(&["--prefill-us-per-token", "100"], 500.0 + 16.0 + 1.6);
    check(&["--prefill-us-per-token", "100", "--page-tokens", "100"], 500.0 + 100.0 + 10.0);
}

#[test]
fn bandwidth_leaves_out_what_is_computed_faster_and_with_a_deadline_bounds_the_plan() {
    let chain = |id: &str, parent: Option<&str>, latency_ms: f64| {
        event(id, value!({"latency_ms": latency_ms, "parent_id": parent, "bytes": 1 << 20}))
    };
    let events = [
        chain("slow", None, 2_000.0),
        chain("fast", None, 500.0),
        chain("root", None, 500.0),
        chain("leaf", Some("root"), 3_000.0),
    ];
    let (_dir, data) = index_of(&events, &[]);
    let options = |more: &[&'static str]| [&["--budget", "1GiB", "--horizon", "1m"], more].concat();
    let found = |more: &[&'static str]| {
        let plan = plan(&data, &options(more));
        check_valid(&plan, &[]);
        let mut ids: Vec<String> = ids(&plan).into_iter().map(str::to_owned).collect();
        ids.sort_unstable();
        (ids.join(" "), plan["why"].as_str().unwrap().to_owned())
    };
    assert_eq!(found(&[]).0, "fast leaf root slow");
    let (ids, why) = found(&["--bandwidth", "1MiB/s"]);
    assert_eq!(ids, "leaf root slow");
    assert!(why.contains("1 that are computed faster"), "{why}");
    let (ids, why) = found(&["--bandwidth", "1MiB/s", "--deadline", "2s"]);
    assert_eq!(ids.split(' ').count(), 2);
    assert!(why.contains("2097152 bytes, less than the budget"), "{why}");
    let alone = run(&[&["plan", "--data", data.to_str().unwrap()], &options(&["--deadline", "2s"])[..]].concat());
    assert_eq!(status(&alone), 2, "{}", stderr(&alone));
}

#[test]
fn tenants_are_kept_apart_and_to_their_quotas() {
    let events: Vec<Value> = ["acme", "beta"]
        .iter()
        .flat_map(|tenant| (0..5).map(move |number| event(&format!("p{number}"), value!({"tenant": tenant}))))
        .collect();
    let (_dir, data) = index_of(&events, &[]);
    let by_tenant = |options: &[&str]| {
        let plan = plan(&data, &[&["--budget", "1MiB", "--horizon", "1m"], options].concat());
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for entry in plan["entries"].as_array().unwrap() {
            *counts.entry(entry["tenant"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        counts.into_iter().map(|(tenant, count)| format!("{tenant} {count}")).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(by_tenant(&[]), "acme 5, beta 5");
    assert_eq!(by_tenant(&["--quota", "acme=2KiB"]), "acme 2, beta 5");
    assert_eq!(by_tenant(&["--quota", "acme=2KiB", "--quota", "beta=3KiB"]), "acme 2, beta 3");
    assert_eq!(by_tenant(&["--tenant", "beta"]), "beta 5");
    assert_eq!(by_tenant(&["--tenant", "nobody"]), "");
    assert_eq!(by_tenant(&["--model", "other"]), "");
}

#[test]
fn rows_of_one_block_are_planned_once() {
    let band = |layer: u64, bytes: u64, timestamp_ms: u64| {
        event("p", value!({"layer": layer, "bytes": bytes, "timestamp_ms": timestamp_ms}))
    };
    let events =
        [band(0, 100, 1_000), band(0, 100, 5_000), band(16, 300, 1_000), band(16, 300, 5_000), band(16, 300, 9_000)];
    let (_dir, data) = index_of(&events, &["--layer-band", "16"]);
    assert_eq!(json(&["suggest", "--data", data.to_str().unwrap(), "--json"]).as_array().unwrap().len(), 2);
    let plan = plan(&data, &["--budget", "1KiB", "--horizon", "1m"]);
    assert_eq!((ids(&plan), &plan["total_bytes"]), (vec!["p"], &value!(300)));
    assert!(plan["entries"][0]["hint"].as_str().unwrap().starts_with("hits=5 "), "uses add up");
}

#[test]
fn a_block_whose_parents_nobody_knows_is_left_out() {
    let events = [event("orphan", value!({"parent_id": "lost"})), event("whole", value!({}))];
    let (dir, data) = index_of(&events, &[]);
    let alone = plan(&data, &["--budget", "1MiB", "--horizon", "1m"]);
    assert_eq!(ids(&alone), ["whole"]);
    assert!(alone["why"].as_str().unwrap().contains("1 whose ancestors the index does not know"), "{alone}");
    let file = dir.path().join("active");
    std::fs::write(&file, "lost\n").unwrap();
    let closed = plan(&data, &["--budget", "1MiB", "--horizon", "1m", "--active", file.to_str().unwrap()]);
    assert_eq!(ids(&closed).len(), 2);
}

#[test]
fn people_get_a_page_and_usage_errors_exit_2() {
    let (_dir, data) = mooncake();
    let data = data.to_str().unwrap();
    let page = stdout(&run(&["plan", "--data", data, "--budget", "30MiB", "--horizon", "1m"]));
    assert!(page.contains("30.0 MiB of 30.0 MiB in 30 blocks") && page.contains("and 10 more"), "{page}");
    let base = ["plan", "--data", data, "--budget", "1GiB", "--horizon", "1m"];
    for wrong in [["--bandwidth", "1GiB"], ["--quota", "acme"], ["--deadline", "soon"], ["--now", "-1"]] {
        assert_eq!(status(&run(&[&base[..], &wrong].concat())), 2, "{wrong:?}");
    }
    assert_eq!(status(&run(&["plan", "--data", data, "--budget", "1GiB", "--horizon", "0s"])), 1);
    assert_eq!(status(&run(&["plan", "--data", data, "--horizon", "1m"])), 2);
}
