//! Looking after an index: inspect, compact, merge, forget, export, snapshot, feedback.

use crate::common::{event_line, json, run, run_with, status, stderr, stdout};
use std::{fs, path::Path};
use tempfile::{TempDir, tempdir};

struct Index {
    dir: TempDir,
    data: String,
}

impl Index {
    fn of(input: &str) -> Index {
        let dir = tempdir().unwrap();
        let data = dir.path().join("index").to_str().unwrap().to_owned();
        let index = Index { dir, data };
        index.ingest(input);
        index
    }

    fn ingest(&self, input: &str) {
        let output = run_with(&["ingest", "-", "--data", &self.data], input.as_bytes());
        assert_eq!(status(&output), 0, "{}", stderr(&output));
    }

    fn file(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn suggest(&self) -> serde_json::Value {
        json(&["suggest", "--data", &self.data, "--top-k", "100", "--json"])
    }
}

fn lines(tenant: &str, times: std::ops::Range<u64>) -> String {
    times.map(|time| event_line(tenant, &format!("p{}", time % 5), time * 1000)).collect()
}

#[test]
fn inspect_verifies_and_names_damage() {
    let index = Index::of(&lines("t", 0..50));
    let report = json(&["inspect", "--data", &index.data, "--json"]);
    assert_eq!(report["problems"], serde_json::json!([]));
    assert_eq!(report["prefixes"], 5);
    let segment = fs::read_dir(Path::new(&index.data).join("segments")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let output = run(&["inspect", "--data", &index.data]);
    assert_eq!(status(&output), 1);
    let said = stdout(&output) + &stderr(&output);
    assert!(said.contains(segment.file_name().unwrap().to_str().unwrap()) && said.contains("corrupt"), "{said}");
}

#[test]
fn compact_changes_no_answer_and_applies_retention() {
    let index = Index::of(&lines("t", 0..50));
    for round in 1..4 {
        index.ingest(&lines("t", round * 50..round * 50 + 3));
    }
    let before = index.suggest();
    let report = json(&["compact", "--data", &index.data, "--json"]);
    assert_eq!((&report["prefixes"], &report["removed"]), (&5.into(), &0.into()));
    assert_eq!(index.suggest(), before);
    let report = json(&["compact", "--data", &index.data, "--max-prefixes", "3", "--json"]);
    assert_eq!((&report["prefixes"], &report["removed"]), (&3.into(), &2.into()));
    assert_eq!(index.suggest().as_array().unwrap().len(), 3);
    // The newest event is at 152 s; p1, p2 and p0 were used within the last three seconds.
    index.ingest(&lines("u", 1_000..1_001));
    json(&["compact", "--data", &index.data, "--retain", "60s", "--json"]);
    assert_eq!(index.suggest().as_array().unwrap().len(), 1);
}

#[test]
fn merged_indexes_equal_one() {
    let (a, b) = (Index::of(&lines("t", 0..40)), Index::of(&[lines("t", 40..90), lines("u", 0..10)].concat()));
    let whole = Index::of(&[lines("t", 0..90), lines("u", 0..10)].concat());
    let out = a.file("merged");
    let report = json(&["merge", &a.data, &b.data, "--data", &out, "--json"]);
    assert_eq!((&report["indexes"], &report["prefixes"], &report["events"]), (&2.into(), &10.into(), &100.into()));
    let merged = json(&["suggest", "--data", &out, "--top-k", "100", "--json"]);
    let (merged, whole) = (merged.as_array().unwrap(), whole.suggest());
    for (merged, whole) in merged.iter().zip(whole.as_array().unwrap()) {
        let score = |prefix: &serde_json::Value| prefix["score"].as_f64().unwrap();
        assert!((score(merged) / score(whole) - 1.0).abs() < 1e-9);
        for field in ["prefix_id", "tenant", "hit_count", "total_bytes", "last_seen_ms", "footprint_bytes"] {
            assert_eq!(merged[field], whole[field], "{field}");
        }
    }
    let again = run(&["merge", &a.data, "--data", &out]);
    assert_eq!(status(&again), 1, "an index is not overwritten");
    let other = a.file("other");
    run_with(&["ingest", "-", "--data", &other, "--utility", "bytes"], lines("t", 0..1).as_bytes());
    let mixed = run(&["merge", &a.data, &other, "--data", &a.file("mixed")]);
    assert_eq!(status(&mixed), 1);
    assert!(stderr(&mixed).contains("utilities differ"), "{}", stderr(&mixed));
}

#[test]
fn forgotten_is_gone() {
    let index = Index::of(&[lines("secret-tenant", 0..20), lines("t", 0..20)].concat());
    assert_eq!(json(&["forget", "--tenant", "secret-tenant", "--data", &index.data, "--json"])["removed"], 5);
    assert!(index.suggest().as_array().unwrap().iter().all(|prefix| prefix["tenant"] == "t"));
    let mut folders = vec![Path::new(&index.data).to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let bytes = fs::read(entry.path()).unwrap();
                assert!(!bytes.windows(13).any(|part| part == b"secret-tenant"), "{}", entry.path().display());
            }
        }
    }
}

#[test]
fn exports_hold_every_prefix() {
    let index = Index::of(&lines("t", 0..50));
    let (jsonl, parquet) = (index.file("out.jsonl"), index.file("out.parquet"));
    for (format, out) in [("jsonl", &jsonl), ("parquet", &parquet)] {
        assert_eq!(status(&run(&["export", "--data", &index.data, "--format", format, out])), 0);
    }
    let rows = fs::read_to_string(&jsonl).unwrap();
    assert_eq!(rows.lines().count(), 5);
    let first: serde_json::Value = serde_json::from_str(rows.lines().next().unwrap()).unwrap();
    assert_eq!((&first["tenant"], &first["hit_count"]), (&"t".into(), &10.into()));
    assert!(first["score_5m"].as_f64().unwrap() > 0.0);
    let bytes = fs::read(&parquet).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
}

#[test]
fn reading_segments_instead_of_mapping_them_changes_no_answer() {
    let index = Index::of(&lines("t", 0..50));
    let read = json(&["suggest", "--data", &index.data, "--top-k", "100", "--mmap", "off", "--json"]);
    assert_eq!(read, index.suggest());
    json(&["compact", "--data", &index.data, "--mmap", "off", "--json"]);
    assert_eq!(read, index.suggest());
}

#[test]
fn snapshots_list_everything_without_scores_in_the_hint() {
    let index = Index::of(&lines("t", 0..50));
    let all = json(&["snapshot", "--data", &index.data, "--json"]);
    assert_eq!(all.as_array().unwrap().len(), 5);
    assert!(all[0]["hint"].as_str().unwrap().starts_with("hits=10 bytes=40960 last_seen="), "{}", all[0]["hint"]);
}

#[test]
fn feedback_is_stored_and_counted_once() {
    let index = Index::of(&lines("t", 0..5));
    let file = index.file("feedback.jsonl");
    let line = |outcome: &str| {
        format!(
            "{{\"prefix_id\":\"p1\",\"tenant\":\"t\",\"model_id\":\"m\",\"outcome\":\"{outcome}\",\"saved_ms\":5}}\n"
        )
    };
    fs::write(&file, [line("used"), line("used"), line("wasted"), line("late")].concat()).unwrap();
    for already_counted in [false, true] {
        let report = json(&["feedback", &file, "--data", &index.data, "--json"]);
        assert_eq!(report["already_counted"], already_counted);
        assert_eq!(report["precision"], 0.5);
        assert_eq!(report["outcomes"]["used"]["prefixes"], 2);
    }
    fs::write(&file, line("lost")).unwrap();
    let output = run(&["feedback", &file, "--data", &index.data]);
    assert_eq!(status(&output), 1);
    assert!(stderr(&output).contains("line 1"), "{}", stderr(&output));
}
