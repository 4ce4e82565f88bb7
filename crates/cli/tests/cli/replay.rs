//! `replay`: the documented numbers, from outside.

use crate::common::{event_line, fixture, json, run, run_with, status, stderr, stdout};
use serde_json::Value;
use std::{fs, io::Write};
use tempfile::tempdir;

fn mooncake() -> String {
    fixture("mooncake.jsonl").to_str().unwrap().to_owned()
}

fn replay(more: &[&str]) -> Value {
    json(&[&["replay", &mooncake(), "--json"], more].concat())
}

/// Hits that libCacheSim 0.3.5 counts for the same references (12,000 of 4,000 blocks), at 1, 5, 10, 25, 50 and 100 % of them.
const REFERENCE: &[(&str, [u64; 6])] = &[
    ("lru", [895, 3209, 4879, 6978, 7614, 8000]),
    ("fifo", [893, 3094, 4604, 6442, 7456, 8000]),
    ("sieve", [452, 1974, 3430, 6327, 7377, 8000]),
    ("min", [2986, 6167, 7337, 8000, 8000, 8000]),
    ("lfu", [386, 1712, 2756, 5508, 7377, 8000]),
    ("arc", [1135, 3431, 5213, 6947, 7605, 8000]),
];

#[test]
fn block_hits_equal_those_of_another_simulator() {
    let names: Vec<&str> = REFERENCE.iter().map(|(name, _)| *name).collect();
    let report =
        replay(&["--scenario", "steady", "--eviction", &names.join(","), "--capacity", "1%,5%,10%,25%,50%,100%"]);
    assert_eq!(report["trace"]["unique_blocks"], 4_000);
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), names.len() * 6);
    for (rows, (name, expected)) in rows.chunks(6).zip(REFERENCE) {
        for (row, hits) in rows.iter().zip(expected) {
            assert_eq!(row["eviction"], *name);
            assert_eq!(row["references"], 12_000);
            assert_eq!(row["block_hits"], *hits, "{row}");
            assert_eq!(row["block_hit_ratio"], *hits as f64 / 12_000.0, "{row}");
            assert_eq!(row["prefetch"], Value::Null);
            assert!(row["prefix_hits"].as_u64() <= row["block_hits"].as_u64(), "{row}");
        }
        let blocks: Vec<_> = rows.iter().map(|row| row["capacity_blocks"].as_u64().unwrap()).collect();
        assert_eq!(blocks, [40, 200, 400, 1_000, 2_000, 4_000]);
    }
}

#[test]
fn capacities_are_shares_blocks_or_sizes() {
    let blocks = |capacity: &str, more: &[&str]| {
        let report = replay(&[&["--scenario", "steady", "--capacity", capacity], more].concat());
        report["rows"][0]["capacity_blocks"].as_u64().unwrap()
    };
    assert_eq!(blocks("2.5%", &[]), 100);
    assert_eq!(blocks("70", &[]), 70);
    assert_eq!(blocks("64MiB", &[]), 64);
    assert_eq!(blocks("64MiB", &["--block-bytes", "3MiB"]), 21);
    assert_eq!(blocks("1TiB", &[]), 4_000, "more than there is changes nothing");
}

#[test]
fn a_prefetcher_adds_rows_and_tiers_add_their_reads() {
    let tier = "cold,latency=2ms,bandwidth=1GiB/s";
    let more = ["--scenario", "steady", "--capacity", "5%", "--policy", "decay-5m", "--block-tokens", "512"];
    let report = replay(&[&more[..], &["--prefill-us-per-token", "50", "--tier", tier]].concat());
    let [alone, fetched] = &report["rows"].as_array().unwrap()[..] else { panic!("{report}") };
    assert_eq!((&alone["prefetch"], &fetched["prefetch"]), (&Value::Null, &Value::from("decay-5m")));
    assert_eq!(alone["bytes_moved"], 0);
    let moved = fetched["prefetched_blocks"].as_u64().unwrap();
    assert!(moved > 0 && fetched["bytes_moved"] == moved << 20, "{fetched}");
    for row in [alone, fetched] {
        // Nothing is lost: what the first tier does not have, the one below has.
        let lower = row["lower"][0]["block_hits"].as_u64().unwrap();
        assert_eq!(row["block_hits"].as_u64().unwrap() + lower, 8_000, "{row}");
        assert_eq!(row["tokens_saved"], 8_000 * 512, "{row}");
        assert!(row["saved_ms"].as_f64().unwrap() > 0.0, "{row}");
    }
    let precision = fetched["prefetch_precision"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&precision), "{fetched}");
}

#[test]
fn a_restart_has_the_documented_rows() {
    let more = ["--scenario", "restart", "--at", "40%..80%/10%", "--budget", "2%,80", "--horizon", "60s,5m"];
    let report = replay(&[&more[..], &["--policy", "decay-5m,most-recent"]].concat());
    let rows = report["rows"].as_array().unwrap();
    let policies = ["decay-5m", "most-recent", "none", "clairvoyant"];
    assert_eq!(rows.len(), policies.len() * 4);
    for (rows, policy) in rows.chunks(4).zip(policies) {
        let cells: Vec<_> = rows.iter().map(|row| (row["budget"].as_str(), row["horizon_ms"].as_u64())).collect();
        let expected = [("2%", 60_000), ("2%", 300_000), ("80", 60_000), ("80", 300_000)];
        assert_eq!(cells, expected.map(|(budget, horizon_ms)| (Some(budget), Some(horizon_ms))));
        for row in rows {
            assert_eq!(row["policy"], policy);
            assert_eq!(row["budget_blocks"], 80);
            assert!(row["hits"].as_u64() <= row["references"].as_u64(), "{row}");
        }
        // The same budget, written in two ways.
        assert_eq!(rows[0]["hits"], rows[2]["hits"]);
    }
    let hits = |policy: usize, cell: usize| rows[policy * 4 + cell]["hits"].as_f64().unwrap();
    for cell in 0..4 {
        let expected = (hits(0, cell) - hits(2, cell)) / (hits(3, cell) - hits(2, cell));
        assert_eq!(rows[cell]["recovered"].as_f64().unwrap(), expected);
        assert_eq!((&rows[8 + cell]["recovered"], &rows[12 + cell]["recovered"]), (&0.0.into(), &1.0.into()));
    }
    let summary = report["summary"].as_array().unwrap();
    assert_eq!(summary.last().unwrap()["policy"], "best-in-hindsight");
    for line in summary {
        let [low, mean, high] =
            ["recovered_low", "recovered", "recovered_high"].map(|name| line[name].as_f64().unwrap());
        assert!(low <= mean && mean <= high, "{line}");
    }
}

#[test]
fn a_new_replica_sees_a_share_of_the_traffic() {
    let of = |scenario: &str, more: &[&str]| {
        let more = [&["--scenario", scenario, "--at", "60%", "--policy", "most-recent"], more].concat();
        replay(&more)["rows"][0]["references"].as_u64().unwrap()
    };
    assert_eq!(of("scale-out", &["--share", "100%"]), of("restart", &[]));
    let quarter = of("scale-out", &[]);
    assert!(quarter > 0 && quarter < of("restart", &[]));
}

#[test]
fn same_trace_and_seed_same_bytes() {
    for scenario in [&["--scenario", "restart"][..], &["--scenario", "scale-out"], &["--scenario", "steady"]] {
        let trace = mooncake();
        let args = [&["replay", &trace, "--json", "--policy", "most-frequent", "--seed", "7"], scenario].concat();
        let first = run(&args);
        assert_eq!(status(&first), 0, "{}", stderr(&first));
        assert_eq!(first.stdout, run(&args).stdout, "{scenario:?}");
    }
}

#[test]
fn several_inputs_patterns_and_gzip_are_one_trace() {
    let dir = tempdir().unwrap();
    let text = fs::read_to_string(fixture("mooncake.jsonl")).unwrap();
    let half = text.match_indices('\n').nth(200).unwrap().0 + 1;
    fs::write(dir.path().join("a.jsonl"), &text[..half]).unwrap();
    let zipped = fs::File::create(dir.path().join("b.jsonl.gz")).unwrap();
    let mut zipped = flate2::write::GzEncoder::new(zipped, flate2::Compression::fast());
    zipped.write_all(&text.as_bytes()[half..]).unwrap();
    zipped.finish().unwrap();
    let pattern = dir.path().join("*.jsonl*");
    let parts = json(&["replay", pattern.to_str().unwrap(), "--scenario", "steady", "--json"]);
    assert_eq!(parts, replay(&["--scenario", "steady"]));
    let piped = run_with(&["replay", "-", "--scenario", "steady", "--json"], text.as_bytes());
    assert_eq!(serde_json::from_slice::<Value>(&piped.stdout).unwrap(), parts);
}

#[test]
fn tables_are_for_people() {
    let table = run(&["replay", &mooncake(), "--at", "50%,60%", "--policy", "most-recent,decay-5m"]);
    for expected in ["most-recent", "best-in-hindsight", "clairvoyant", "25%", "worst gap", "95 %"] {
        assert!(stdout(&table).contains(expected), "{expected} in {}", stdout(&table));
    }
    let table = run(&["replay", &mooncake(), "--scenario", "steady", "--eviction", "sieve,min"]);
    assert!(stdout(&table).contains("52.7") && stdout(&table).contains("sieve"), "{}", stdout(&table));
    assert!(stderr(&table).contains("12,000 uses of 4,000 blocks"), "{}", stderr(&table));
}

#[test]
fn wrong_questions_are_usage_errors() {
    let check = |args: &[&str], expect: &str| {
        let output = run(&[&["replay", &mooncake(), "--json"], args].concat());
        assert_eq!(status(&output), 2, "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expect), "{args:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{args:?}");
    };
    check(&["--policy", "luck"], "decay-5m");
    check(&["--scenario", "steady", "--eviction", "clock"], "s3-fifo");
    check(&["--scenario", "stead"], "scale-out");
    check(&["--at", "101%"], "101%");
    check(&["--at", "80%..40%/1%"], "FROM..TO/STEP");
    check(&["--budget", "5XB"], "5XB");
    check(&["--horizon", "60"], "60");
    check(&["--scenario", "steady", "--capacity", "-1"], "-1");
    check(&["--scenario", "steady", "--tier", "cold,size=5"], "capacity=");
    check(&["--scenario", "steady", "--prefetch-interval", "0s"], "more than 0");
    check(&["--prefill-us-per-token=-1"], "at least 0");
    // What means nothing in a scenario is not ignored.
    check(&["--scenario", "steady", "--at", "50%"], "--at means nothing with --scenario steady");
    check(&["--scenario", "steady", "--policy", "clairvoyant"], "--policy clairvoyant means nothing");
    check(&["--capacity", "5%"], "--capacity means nothing with --scenario restart");
    check(&["--share", "5%"], "--share means nothing with --scenario restart");
}

#[test]
fn little_traces_have_defined_results() {
    let one = event_line("t", "p", 5);
    let run_on = |input: &str, more: &[&str]| run_with(&[&["replay", "-", "--json"], more].concat(), input.as_bytes());
    let document = |input: &str, more: &[&str]| -> Value {
        let output = run_on(input, more);
        assert_eq!(status(&output), 0, "{more:?}: {}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    for scenario in ["steady", "restart", "scale-out"] {
        let nothing = run_on("", &["--scenario", scenario]);
        assert_eq!(status(&nothing), 1, "{scenario}");
        assert!(stderr(&nothing).contains("no events"), "{scenario}: {}", stderr(&nothing));
    }
    // One event: a miss; nothing to recover.
    let steady = document(&one, &["--scenario", "steady", "--capacity", "100%,0,0%"]);
    for row in steady["rows"].as_array().unwrap() {
        assert_eq!((&row["references"], &row["block_hits"]), (&1.into(), &0.into()));
    }
    let restart = document(&one, &[]);
    assert!(restart["rows"].as_array().unwrap().iter().all(|row| row["recovered"].is_null() && row["hits"] == 0));
    // All at one time: every moment is before the first request, so there is no history.
    let same: String = ["p", "q", "p", "q"].map(|id| event_line("t", id, 9)).concat();
    let steady = document(&same, &["--scenario", "steady", "--capacity", "100%,0"]);
    assert_eq!((&steady["rows"][0]["block_hits"], &steady["rows"][1]["block_hits"]), (&2.into(), &0.into()));
    let restart = document(&same, &["--policy", "most-recent"]);
    assert!(restart["rows"].as_array().unwrap().iter().all(|row| row["recovered"].is_null()));
    // A trace that is no trace says where.
    let bad = run_on("{\"timestamp\": 1}\n", &["--format", "mooncake"]);
    assert_eq!(status(&bad), 1);
    assert!(stderr(&bad).contains("hash_ids"), "{}", stderr(&bad));
    // Blocks without a size cannot be counted in bytes.
    let unsized_block = one.replace("4096", "0");
    let refused = run_on(&unsized_block, &["--scenario", "steady", "--capacity", "1GiB"]);
    assert_eq!(status(&refused), 1);
    assert!(stderr(&refused).contains("no size"), "{}", stderr(&refused));
}

#[test]
fn pages_stand_alone() {
    let dir = tempdir().unwrap();
    let check = |name: &str, more: &[&str], plots: usize| {
        let file = dir.path().join(name);
        let trace = mooncake();
        let args = [&["replay", &trace, "--json", "--html", file.to_str().unwrap()], more].concat();
        let output = run(&args);
        assert_eq!(status(&output), 0, "{args:?}: {}", stderr(&output));
        let page = fs::read_to_string(&file).unwrap();
        assert_eq!(page.matches("<svg").count(), plots, "{args:?}");
        assert!(page.contains("prefers-color-scheme: dark") && page.contains("</html>"));
        for unwanted in ["<script", "http:", "https:", "url(", "NaN", "inf\""] {
            assert!(!page.contains(unwanted), "{args:?}: {unwanted}");
        }
        page
    };
    let page = check("restart.html", &["--at", "50%,60%", "--policy", "reuse,decay-5m"], 4);
    for expected in ["Recovery after a restart", "The first 60s after it", "reuse", "decay-5m", "Do probabilities"] {
        assert!(page.contains(expected), "{expected}");
    }
    check("scale-out.html", &["--scenario", "scale-out", "--at", "50%", "--policy", "most-recent"], 4);
    check("steady.html", &["--scenario", "steady", "--eviction", "lru,min", "--policy", "most-recent"], 2);
    check("nothing.html", &["--scenario", "steady", "--capacity", "0"], 1);
}
