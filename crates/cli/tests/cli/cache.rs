//! `cache`: the tiers of a configuration, by hand.

use crate::common::{command, json, run, run_with, status, stderr, stdout};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, process::Stdio};
use tempfile::{TempDir, tempdir};

/// A configuration of two directories, the first one plain.
struct Tiers {
    root: TempDir,
    config: String,
}

impl Tiers {
    fn new(more: &str) -> Tiers {
        let root = tempdir().unwrap();
        let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
        let text = format!(
            "[index]\ndata = \"index\"\n[cache]\ndefault_ttl = \"30m\"\n[[cache.tiers]]\nbackend = \"filesystem\"\n\
             name = \"near\"\nlayout = \"plain\"\npath = \"{}\"\n[[cache.tiers]]\nbackend = \"filesystem\"\n\
             name = \"far\"\npath = \"{}\"\n{more}",
            path("near"),
            path("far")
        );
        let config = path("config.toml");
        fs::write(&config, text).unwrap();
        Tiers { root, config }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn arguments<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        [&["cache"], args, &["--config", &self.config]].concat()
    }

    fn json(&self, args: &[&str]) -> Value {
        json(&[self.arguments(args), vec!["--json"]].concat())
    }
}

#[test]
fn values_go_in_and_come_out_byte_for_byte() {
    let tiers = Tiers::new("");
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    fs::write(tiers.path("value"), &bytes).unwrap();
    let file = tiers.path("value");
    let set = tiers.json(&["set", "prod/a", file.to_str().unwrap(), "--ttl", "5m", "--meta", "source=hand"]);
    assert_eq!(
        set,
        json!({"key": "prod/a", "size": 100_000, "tiers": [{"tier": "near", "ok": true}, {"tier": "far", "ok": true}]})
    );
    assert_eq!(status(&run_with(&tiers.arguments(&["set", "prod/b", "-"]), b"text")), 0);

    let got = run(&tiers.arguments(&["get", "prod/a"]));
    assert_eq!((status(&got), got.stdout == bytes), (0, true));
    let output = tiers.path("out");
    let got = tiers.json(&["get", "prod/a", "--output", output.to_str().unwrap()]);
    assert_eq!(
        (&got["size"], &got["metadata"], &got["value"]),
        (&json!(100_000), &json!({"source": "hand"}), &json!(null))
    );
    assert!((1..=300_000).contains(&got["ttl_ms"].as_u64().unwrap()));
    assert_eq!(fs::read(output).unwrap(), bytes);
    let got = tiers.json(&["get", "prod/b"]);
    assert_eq!(got["value"], json!("text"));
    assert!(got["ttl_ms"].as_u64().unwrap() > 1_700_000, "the configured default");
}

#[test]
fn what_is_missing_is_a_failure() {
    let tiers = Tiers::new("");
    let got = run(&tiers.arguments(&["get", "absent"]));
    assert_eq!((status(&got), stdout(&got).as_str()), (1, ""));
    assert!(stderr(&got).contains("absent"));
    let got = run(&[tiers.arguments(&["get", "absent"]), vec!["--json"]].concat());
    let document: Value = serde_json::from_slice(&got.stdout).unwrap();
    assert_eq!((status(&got), &document["found"]), (1, &json!(false)));
}

#[test]
fn keys_are_listed_deleted_and_cleared() {
    let tiers = Tiers::new("");
    for key in ["a/1", "a/2", "b"] {
        run_with(&tiers.arguments(&["set", key, "-"]), b"1234");
    }
    // What an engine put into the plain directory is there too.
    fs::write(tiers.path("near").join("theirs"), "567").unwrap();
    let both = json!(["near", "far"]);
    let row = |key: &str, size: u64, tiers: &Value| json!({"key": key, "size": size, "tiers": tiers});
    assert_eq!(tiers.json(&["ls", "a/*"]), json!([row("a/1", 4, &both), row("a/2", 4, &both)]));
    assert_eq!(tiers.json(&["ls", "t*"]), json!([row("theirs", 3, &json!(["near"]))]));
    assert!(stdout(&run(&tiers.arguments(&["ls"]))).contains("near, far"));
    let deleted = tiers.json(&["del", "a/1", "absent"]);
    assert_eq!(deleted[0]["tiers"][1], json!({"tier": "far", "ok": true, "count": 1}));
    assert_eq!(deleted[1]["tiers"][1], json!({"tier": "far", "ok": true, "count": 0}));
    let cleared = tiers.json(&["clear", "*"]);
    assert_eq!((&cleared["tiers"][0]["count"], &cleared["tiers"][1]["count"]), (&json!(3), &json!(2)));
    assert_eq!(tiers.json(&["ls"]), json!([]));
}

#[test]
fn framed_values_are_compressed_as_configured_and_checked() {
    let tiers = Tiers::new("");
    let long = vec![b'x'; 50_000];
    run_with(&tiers.arguments(&["set", "key", "-", "--framed"]), &long);
    assert!(fs::metadata(tiers.path("near").join("key")).unwrap().len() < 1_000);
    assert_eq!(run(&tiers.arguments(&["get", "key", "--framed"])).stdout, long);
    run_with(&tiers.arguments(&["set", "raw", "-"]), b"raw");
    let got = run(&tiers.arguments(&["get", "raw", "--framed"]));
    assert_eq!(status(&got), 1);
    assert!(stderr(&got).contains("corrupt"), "{}", stderr(&got));
}

#[test]
fn a_tier_that_is_down_makes_it_partly_done() {
    // Nobody listens there.
    let tiers = Tiers::new(
        "[[cache.tiers]]\nbackend = \"redis\"\nurl = \"redis://127.0.0.1:1\"\nconnect_timeout = \"200ms\"\n",
    );
    let set = run_with(&tiers.arguments(&["set", "key", "-"]), b"value");
    assert_eq!(status(&set), 3, "{}", stderr(&set));
    assert!(stderr(&set).contains("tier redis"), "{}", stderr(&set));
    assert_eq!(run(&tiers.arguments(&["get", "key"])).stdout, b"value");
    let stats = run(&[tiers.arguments(&["stats"]), vec!["--json"]].concat());
    let rows: Value = serde_json::from_slice(&stats.stdout).unwrap();
    assert_eq!((status(&stats), &rows[0]["up"], &rows[2]["up"]), (3, &json!(true), &json!(false)));
    assert_eq!((&rows[0]["entries"], &rows[0]["backend"]), (&json!(1), &json!("filesystem")));
}

#[test]
fn bench_measures_and_leaves_nothing() {
    let tiers = Tiers::new("");
    let rows = tiers.json(&["bench", "--values", "20", "--size", "4KiB", "--concurrency", "3"]);
    let operations: Vec<_> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["tier"].as_str().unwrap(), row["operation"].as_str().unwrap()))
        .collect();
    let of = |tier| ["set", "get", "delete"].map(|operation| (tier, operation));
    assert_eq!(operations, [of("near"), of("far")].concat());
    for row in rows.as_array().unwrap() {
        assert_eq!((&row["count"], &row["failed"]), (&json!(20), &json!(0)));
        assert!(row["p50_us"].as_f64().unwrap() > 0.0 && row["p99_us"].as_f64() >= row["p50_us"].as_f64());
    }
    assert_eq!(tiers.json(&["ls"]), json!([]));
}

#[test]
fn configuration_that_is_wrong_is_said_and_the_environment_overrides_it() {
    let tiers = Tiers::new("");
    let with = |name: &str, value: &str| {
        let mut command = command();
        command.args(tiers.arguments(&["ls"])).env(name, value).stdin(Stdio::null());
        command.output().unwrap()
    };
    let elsewhere = tiers.path("elsewhere");
    assert_eq!(status(&with("PREFIX_INDEXER_CACHE_TIERS_0_PATH", elsewhere.to_str().unwrap())), 0);
    assert!(elsewhere.is_dir());
    for (name, value, expect) in [
        ("PREFIX_INDEXER_CACHE_DEFAULT_TLL", "1h", "perhaps `default_ttl` is meant"),
        ("PREFIX_INDEXER_CACHE_TIERS_1_BACKEND", "filesistem", "perhaps `filesystem` is meant"),
        ("PREFIX_INDEXER_CACHE_TIERS_1_SIZE", "1", "unknown field `size`"),
    ] {
        let output = with(name, value);
        assert_eq!(status(&output), 1, "{name}");
        assert!(stderr(&output).contains(expect), "{name}: {}", stderr(&output));
    }
    let absent = run(&["cache", "ls", "--config", "/no/such/file"]);
    assert_eq!(status(&absent), 1);
    assert!(stderr(&absent).contains("/no/such/file"));
    assert_eq!(status(&run(&["cache", "ls"])), 2, "which configuration?");
}
