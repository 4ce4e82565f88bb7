//! The main job: a trace in, the right ranked prefixes out.

use crate::common::{event_line, fixture, json, run, run_with, status, stderr, stdout};
use serde_json::{Value, json as value};
use std::collections::{BTreeMap, BTreeSet};
use tempfile::tempdir;

/// What `suggest` must answer for a Mooncake trace, straight from the definition.
fn expected_top(trace: &str, half_life_ms: f64, k: usize) -> Vec<(f64, String, u64)> {
    let rows: Vec<Value> = trace.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let time = |row: &Value| row["timestamp"].as_f64().unwrap();
    let now = rows.iter().map(time).fold(0.0, f64::max);
    let mut scores: BTreeMap<u64, (f64, u64)> = BTreeMap::new();
    for row in &rows {
        for id in row["hash_ids"].as_array().unwrap() {
            let entry = scores.entry(id.as_u64().unwrap()).or_default();
            entry.0 += 0.5f64.powf((now - time(row)) / half_life_ms);
            entry.1 += 1;
        }
    }
    let mut ranked: Vec<_> = scores.into_iter().map(|(id, (score, hits))| (score, id.to_string(), hits)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    ranked.truncate(k);
    ranked
}

#[test]
fn a_mooncake_trace_ranks_as_defined() {
    let dir = tempdir().unwrap();
    let data = dir.path().join("index");
    let (data, trace) = (data.to_str().unwrap(), fixture("mooncake.jsonl"));
    let report = json(&["ingest", trace.to_str().unwrap(), "--data", data, "--json"]);
    let text = std::fs::read_to_string(&trace).unwrap();
    let ids: Vec<u64> = text
        .lines()
        .flat_map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            row["hash_ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(report["events"], ids.len());
    assert_eq!(report["prefixes"], ids.iter().collect::<BTreeSet<_>>().len());
    assert_eq!((&report["bad_lines"], &report["skipped_duplicates"]), (&value!(0), &value!(0)));
    assert!(report["seconds"].as_f64().unwrap() > 0.0);

    for (half_life, half_life_ms) in [("1m", 6e4), ("5m", 3e5), ("1h", 3.6e6)] {
        let found = json(&["suggest", "--data", data, "--half-life", half_life, "--top-k", "50", "--json"]);
        let expected = expected_top(&text, half_life_ms, 50);
        assert_eq!(found.as_array().unwrap().len(), 50);
        for (found, (score, _, _)) in found.as_array().unwrap().iter().zip(&expected) {
            let ours = found["score"].as_f64().unwrap();
            assert!((ours - score).abs() <= 1e-9 * score, "{ours} {score}");
        }
        // Ties aside, the same prefixes with the same counts.
        for (score, id, hits) in expected.iter().filter(|e| expected.iter().filter(|o| o.0 == e.0).count() == 1) {
            let mut same = found.as_array().unwrap().iter().filter(|found| found["prefix_id"] == id.as_str());
            if let Some(found) = same.next() {
                assert_eq!(found["hit_count"], *hits, "{id} {score}");
            }
        }
    }

    let first = &json(&["suggest", "--data", data, "--json"])[0];
    let fields: BTreeSet<&str> = first.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = "prefix_id tenant model_id score hint hit_count total_bytes footprint_bytes avg_latency_ms last_seen_ms \
                    layer_min layer_max page_start page_end parent_id depth";
    assert_eq!(fields, expected.split_whitespace().collect());
    assert_eq!((&first["tenant"], &first["model_id"]), (&value!("default"), &value!("default")));
    assert_eq!(first["footprint_bytes"], 1 << 20);
    let hint = format!(
        "score={:.1} hits={} bytes={} last_seen={}",
        first["score"].as_f64().unwrap(),
        first["hit_count"],
        first["total_bytes"],
        first["last_seen_ms"]
    );
    assert_eq!(first["hint"], hint);
}

#[test]
fn an_old_trace_ranks_as_it_ranked_then() {
    let dir = tempdir().unwrap();
    let data = dir.path().join("index");
    let data = data.to_str().unwrap();
    let input = [event_line("a", "old", 0), event_line("a", "old", 10), event_line("a", "new", 600_000)].concat();
    let output = run_with(&["ingest", "-", "--data", data, "--json"], input.as_bytes());
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let at = |now: &str| json(&["suggest", "--data", data, "--half-life", "5m", "--now", now, "--json"]);
    assert_eq!(at("0")[0]["prefix_id"], "new");
    assert_eq!(at("0")[0]["score"], 1.0, "now is raised to the newest event");
    assert_eq!(at("900000")[0]["score"], 0.5);
}

#[test]
fn narrowing_and_leaving_out() {
    let dir = tempdir().unwrap();
    let data = dir.path().join("index");
    let data = data.to_str().unwrap();
    let input = [event_line("a", "p", 1), event_line("a", "p", 2), event_line("a", "q", 2), event_line("b", "r", 2)];
    run_with(&["ingest", "-", "--data", data], input.concat().as_bytes());
    let ids = |more: &[&str]| {
        let found = json(&[&["suggest", "--data", data, "--json"], more].concat());
        found.as_array().unwrap().iter().map(|p| p["prefix_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&["--tenant", "b"]), ["r"]);
    assert_eq!(ids(&["--tenant", "a", "--model", "m"]), ["p", "q"]);
    assert_eq!(ids(&["--model", "absent"]), [""; 0]);
    assert_eq!(ids(&["--tenant", "a", "--top-k", "1"]), ["p"]);
    assert_eq!(ids(&["--min-score", "1.5"]), ["p"]);
    let active = dir.path().join("active");
    std::fs::write(&active, "p\n").unwrap();
    assert_eq!(ids(&["--tenant", "a", "--active", active.to_str().unwrap()]), ["q"]);
}

#[test]
fn bytes_and_an_hour_give_the_numbers_of_older_indexes() {
    let dir = tempdir().unwrap();
    let data = dir.path().join("index");
    let data = data.to_str().unwrap();
    let input = [event_line("a", "p", 0), event_line("a", "p", 7_200_000), event_line("a", "q", 3_600_000)].concat();
    run_with(&["ingest", "-", "--data", data, "--utility", "bytes", "--half-life", "1h"], input.as_bytes());
    let found = json(&["suggest", "--data", data, "--json"]);
    assert_eq!((&found[0]["score"], &found[1]["score"]), (&value!(4096.0 * 1.25), &value!(4096.0 * 0.5)));
    assert_eq!(found[0]["hint"], "score=5120.0 hits=2 bytes=8192 last_seen=7200000");
}

#[test]
fn bands_decide_which_requests_meet() {
    let line = |layer: u32, page: u32| {
        event_line("a", "p", 1)
            .replace("\"layer\":1", &format!("\"layer\":{layer}"))
            .replace("\"page_start\":2,\"page_end\":3", &format!("\"page_start\":{page},\"page_end\":{page}"))
    };
    let input = [line(0, 0), line(3, 15), line(4, 0), line(4, 16)].concat();
    let keys = |bands: &[&str]| {
        let dir = tempdir().unwrap();
        let data = dir.path().join("index");
        let data = data.to_str().unwrap();
        run_with(&[&["ingest", "-", "--data", data], bands].concat(), input.as_bytes());
        let found = json(&["suggest", "--data", data, "--json"]);
        let hits = |found: &Value| found["hit_count"].as_u64().unwrap();
        let mut hits: Vec<u64> = found.as_array().unwrap().iter().map(hits).collect();
        hits.sort_unstable();
        hits
    };
    assert_eq!(keys(&[]), [4]);
    assert_eq!(keys(&["--layer-band", "4"]), [2, 2]);
    assert_eq!(keys(&["--page-band", "16"]), [1, 3]);
    assert_eq!(keys(&["--layer-band", "4", "--page-band", "16"]), [1, 1, 2]);
}

#[test]
fn parents_that_contradict_or_go_round_are_counted_and_harmless() {
    let dir = tempdir().unwrap();
    let data = dir.path().join("index");
    let data = data.to_str().unwrap();
    let line = |id: &str, parent: &str| {
        event_line("a", id, 1).replace("\"layer\"", &format!("\"parent_id\":\"{parent}\",\"layer\""))
    };
    let input = [line("p", "q"), line("q", "r"), line("r", "p"), line("s", "p"), line("s", "q")].concat();
    let output = run_with(&["ingest", "-", "--data", data], input.as_bytes());
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let report = json(&["inspect", "--data", data, "--json"]);
    assert_eq!(
        (&report["counters"]["parent_conflicts"], &report["counters"]["parent_cycles"]),
        (&value!(1), &value!(1))
    );
    let found = json(&["suggest", "--data", data, "--json"]);
    let roots = found.as_array().unwrap().iter().filter(|prefix| prefix["parent_id"].is_null()).count();
    assert_eq!((found.as_array().unwrap().len(), roots), (4, 1));
}

#[test]
fn people_get_a_table() {
    let dir = tempdir().unwrap();
    let data = dir.path().join("index");
    let data = data.to_str().unwrap();
    run_with(&["ingest", "-", "--data", data], event_line("acme", "p\\u001b[31m", 1).as_bytes());
    let output = run(&["suggest", "--data", data]);
    let table = stdout(&output);
    assert!(table.contains("prefix") && table.contains("acme") && table.contains("4.0 KiB"), "{table}");
    assert!(!table.contains('\u{1b}'), "an id cannot write to the terminal: {table:?}");
}
