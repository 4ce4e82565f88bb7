//! What an index learns from its own history: `tune`, `hot`, and plans that follow it.

use crate::common::{fixture, json, run, status, stderr, stdout};
use tempfile::tempdir;

#[test]
fn tune_says_what_the_history_recommends() {
    let dir = tempdir().unwrap();
    let data = dir.path().join("index");
    let data = data.to_str().unwrap();
    json(&["ingest", fixture("mooncake.jsonl").to_str().unwrap(), "--data", data, "--json"]);
    let tuning = json(&["tune", "--data", data, "--json"]);
    for field in ["policy", "why", "shares", "cells", "half_life", "half_life_advice", "calibration", "followed"] {
        assert!(tuning.get(field).is_some(), "{field}");
    }
    let known = tuning["followed"].as_f64().unwrap() / tuning["followed_share"].as_f64().unwrap();
    assert!(known > 100.0, "{tuning}");
    let page = stdout(&run(&["tune", "--data", data]));
    assert!(page.starts_with("auto is ") && page.contains("Half-life "), "{page}");
    // Once learned, kept: nothing changes when nothing is read.
    json(&["ingest", fixture("mooncake.jsonl").to_str().unwrap(), "--data", data, "--json"]);
    assert_eq!(json(&["tune", "--data", data, "--json"]), tuning);
}

#[test]
fn hot_prefixes_with_their_periods() {
    let dir = tempdir().unwrap();
    let data = dir.path().join("index");
    let data = data.to_str().unwrap();
    let every = |id: &str, gap_ms: u64, count: u64| {
        (0..count).map(|number| crate::common::event_line("acme", id, 1_000_000 + number * gap_ms)).collect::<String>()
    };
    let trace = dir.path().join("trace.jsonl");
    std::fs::write(&trace, every("job", 600_000, 12) + &every("busy", 60_000, 111) + &every("once", 1, 1)).unwrap();
    json(&["ingest", trace.to_str().unwrap(), "--data", data, "--json"]);
    let hot = json(&["hot", "--data", data, "--json"]);
    let ids: Vec<&str> = hot.as_array().unwrap().iter().map(|hot| hot["prefix_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["busy", "job", "once"]);
    assert_eq!((&hot[1]["period_ms"], &hot[1]["period_strength"]), (&600_000.into(), &1.0.into()));
    assert_eq!(hot[1]["next_use_ms"], 1_000_000 + 12 * 600_000);
    assert!(hot[2]["period_ms"].is_null() && hot[2]["next_use_ms"].is_null(), "nobody knows");
    let page = stdout(&run(&["hot", "--data", data, "--top-k", "3"]));
    assert!(page.contains("unknown") && page.contains("in 10 min"), "{page}");
    assert_eq!(json(&["hot", "--data", data, "--tenant", "nobody", "--json"]), serde_json::json!([]));
}

#[test]
fn an_index_that_never_learned_says_so_and_plans_all_the_same() {
    let index = fixture("index-v1");
    let output = run(&["tune", "--data", index.to_str().unwrap()]);
    assert_eq!(status(&output), 1);
    assert!(stderr(&output).contains("this index has learned nothing"), "{}", stderr(&output));
    let plan = json(&["plan", "--data", index.to_str().unwrap(), "--budget", "1GiB", "--horizon", "5m", "--json"]);
    assert!(plan["why"].as_str().unwrap().contains("safe default"), "{plan}");
    assert!(!plan["entries"].as_array().unwrap().is_empty());
}
