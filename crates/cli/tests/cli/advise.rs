//! `advise`: how large a tier should be, from outside.

use crate::common::{event_line, fixture, json, run, run_with, status, stderr, stdout};
use serde_json::Value;
use tempfile::tempdir;

fn mooncake() -> String {
    fixture("mooncake.jsonl").to_str().unwrap().to_owned()
}

fn advise(more: &[&str]) -> Value {
    json(&[&["advise", &mooncake(), "--json"], more].concat())
}

#[test]
fn the_curve_is_that_of_replayed_tiers() {
    let capacities = "1%,5%,10%,25%,50%,100%,0";
    let curve = advise(&["--capacity", capacities, "--prefill-us-per-token", "50"]);
    let costs = ["--block-tokens", "512", "--prefill-us-per-token", "50"];
    let trace = mooncake();
    let args = ["replay", &trace, "--json", "--scenario", "steady", "--capacity", capacities];
    let replayed = json(&[&args[..], &costs].concat());
    let (curve, rows) = (curve["curve"].as_array().unwrap(), replayed["rows"].as_array().unwrap());
    assert_eq!(curve.len(), 7);
    for (point, row) in curve.iter().zip(rows) {
        for name in ["capacity", "capacity_blocks", "block_hits", "prefix_hits"] {
            assert_eq!(point[name], row[name], "{name}");
        }
        assert_eq!(point["block_hit_ratio"]["value"], row["block_hit_ratio"]);
        let (ours, theirs) = (point["saved_ms"]["value"].as_f64().unwrap(), row["saved_ms"].as_f64().unwrap());
        assert!((ours - theirs).abs() <= 1e-9 * theirs, "{ours} {theirs}");
        for name in ["block_hit_ratio", "prefix_hit_ratio", "saved_ms"] {
            let [low, value, high] = ["low", "value", "high"].map(|bound| point[name][bound].as_f64().unwrap());
            assert!(low <= value && value <= high, "{name}: {point}");
        }
    }
}

#[test]
fn the_size_is_the_one_past_which_more_brings_less_than_asked() {
    // All sizes, to look for it by hand: 4,000 blocks of 256 MiB, 12,000 references.
    let sizes: Vec<String> = (0..=4_000).step_by(20).map(|blocks| blocks.to_string()).collect();
    let report = advise(&["--block-bytes", "256MiB", "--min-gain", "0.05%", "--capacity", &sizes.join(",")]);
    let hits = |point: &Value| point["prefix_hits"].as_f64().unwrap();
    let gib = |point: &Value| point["capacity_blocks"].as_f64().unwrap() / 4.0;
    let curve = report["curve"].as_array().unwrap();
    let size = &report["recommended"];
    let blocks = size["blocks"].as_f64().unwrap();
    assert_eq!(size["bytes"].as_f64().unwrap(), blocks * f64::from(256 << 20));
    assert!(blocks > 0.0 && blocks < 4_000.0, "{size}");
    // From there on nothing brings as much; up to there everything did.
    let here = size["prefix_hit_ratio"].as_f64().unwrap() * 12_000.0;
    for point in curve {
        let (gained, added) = (hits(point) - here, gib(point) - blocks / 4.0);
        assert!(gained <= 0.0005 * 12_000.0 * added + 1e-6, "{point} beside {size}");
    }
    let [low, high] = ["bytes_low", "bytes_high"].map(|name| size[name].as_u64().unwrap());
    assert!(low <= high);
    // Asking for less, one gets more.
    let larger = advise(&["--block-bytes", "256MiB", "--min-gain", "0.001%"]);
    assert!(larger["recommended"]["blocks"].as_f64().unwrap() > blocks);
}

#[test]
fn replicas_share_the_traffic() {
    let one = advise(&["--capacity", "100%"]);
    let four = advise(&["--capacity", "100%", "--replicas", "4"]);
    assert_eq!(one["curve"][0]["block_hits"], 8_000);
    // Each of them has to see a block once.
    assert!(four["curve"][0]["block_hits"].as_u64().unwrap() < 8_000);
    assert_eq!(four["replicas"], 4);
    assert_eq!(four, advise(&["--capacity", "100%", "--replicas", "4"]));
    assert_ne!(four["curve"], advise(&["--capacity", "100%", "--replicas", "4", "--seed", "1"])["curve"]);
}

#[test]
fn warming_up_has_a_worth_at_each_budget() {
    let report = advise(&["--budget", "5%,10%", "--horizon", "60s,5m", "--prefill-us-per-token", "50"]);
    let rows = report["warmup"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    for row in rows {
        assert_eq!(row["policy"], "auto");
        let gained = row["hits_gained"].as_f64().unwrap();
        assert!(gained > 0.0, "{row}");
        assert!(row["saved_ms"].as_f64().unwrap() > 0.0, "{row}");
        assert!((0.0..=1.0).contains(&row["recovered"].as_f64().unwrap()), "{row}");
    }
    assert_eq!(rows[0]["budget_bytes"], 200_u64 << 20);
}

#[test]
fn people_get_tables_and_a_page() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("advice.html");
    let output = run(&["advise", &mooncake(), "--html", file.to_str().unwrap(), "--prefill-us-per-token", "50"]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    for expected in ["prefix hits", "a further GiB", "recovered", "prefill saved", "auto"] {
        assert!(stdout(&output).contains(expected), "{expected} in {}", stdout(&output));
    }
    let page = std::fs::read_to_string(file).unwrap();
    assert_eq!(page.matches("<svg").count(), 3);
    for unwanted in ["<script", "http:", "https:", "url(", "NaN", "inf"] {
        assert!(!page.contains(unwanted), "{unwanted}");
    }
}

#[test]
fn little_traces_have_defined_results() {
    let nothing = run_with(&["advise", "-", "--json"], b"");
    assert_eq!(status(&nothing), 1);
    assert!(stderr(&nothing).contains("no events"), "{}", stderr(&nothing));
    let dir = tempdir().unwrap();
    let file = dir.path().join("page.html");
    let unsized_block = event_line("t", "p", 5).replace("4096", "0");
    let output = run_with(&["advise", "-", "--json", "--html", file.to_str().unwrap()], unsized_block.as_bytes());
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["recommended"], Value::Null);
    assert!(report["curve"].as_array().unwrap().iter().all(|point| point["block_hits"] == 0));
    assert!(!std::fs::read_to_string(file).unwrap().contains("NaN"));
    let wrong = run(&["advise", &mooncake(), "--replicas", "0"]);
    assert_eq!(status(&wrong), 2);
    let wrong = run(&["advise", &mooncake(), "--min-gain", "5"]);
    assert_eq!(status(&wrong), 2);
    let nowhere = run(&["advise", &mooncake(), "--html", dir.path().join("no/page.html").to_str().unwrap()]);
    assert_eq!(status(&nowhere), 1);
    assert!(stderr(&nowhere).contains("page.html"), "{}", stderr(&nowhere));
}
