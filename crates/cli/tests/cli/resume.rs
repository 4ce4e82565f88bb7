//! Reading the same files again: nothing counts twice, nothing is lost.

use crate::common::{event_line, json, run_with, status, stderr};
use std::{fs, io::Write, path::Path};
use tempfile::tempdir;

fn ingest(trace: &Path, data: &Path) -> u64 {
    let (trace, data) = (trace.to_str().unwrap(), data.to_str().unwrap());
    json(&["ingest", trace, "--data", data, "--json"])["events"].as_u64().unwrap()
}

fn lines(range: std::ops::Range<u64>) -> String {
    range.map(|time| event_line("t", &format!("p{}", time % 7), time)).collect()
}

fn total_hits(data: &Path) -> u64 {
    let found = json(&["suggest", "--data", data.to_str().unwrap(), "--top-k", "1000", "--json"]);
    found.as_array().unwrap().iter().map(|prefix| prefix["hit_count"].as_u64().unwrap()).sum()
}

#[test]
fn unchanged_appended_rotated_truncated() {
    let dir = tempdir().unwrap();
    let (trace, data) = (dir.path().join("trace.jsonl"), dir.path().join("index"));
    fs::write(&trace, lines(0..100)).unwrap();
    assert_eq!(ingest(&trace, &data), 100);
    assert_eq!(ingest(&trace, &data), 0, "unchanged");

    fs::OpenOptions::new().append(true).open(&trace).unwrap().write_all(lines(100..150).as_bytes()).unwrap();
    assert_eq!(ingest(&trace, &data), 50, "appended");

    fs::write(&trace, lines(0..80)).unwrap();
    assert_eq!(ingest(&trace, &data), 0, "truncated: what is left was counted");
    fs::OpenOptions::new().append(true).open(&trace).unwrap().write_all(lines(200..210).as_bytes()).unwrap();
    assert_eq!(ingest(&trace, &data), 10, "truncated, then appended");

    fs::write(&trace, lines(1_000..1_030)).unwrap();
    assert_eq!(ingest(&trace, &data), 30, "rotated");
    assert_eq!(total_hits(&data), 100 + 50 + 10 + 30);
}

#[test]
fn compressed_files_resume_too() {
    let dir = tempdir().unwrap();
    let (trace, data) = (dir.path().join("trace.gz"), dir.path().join("index"));
    let member = |text: String| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    fs::write(&trace, member(lines(0..40))).unwrap();
    assert_eq!(ingest(&trace, &data), 40);
    fs::write(&trace, [member(lines(0..40)), member(lines(40..60))].concat()).unwrap();
    assert_eq!(ingest(&trace, &data), 20);
    assert_eq!(ingest(&trace, &data), 0);
}

#[test]
fn standard_input_has_no_memory() {
    let dir = tempdir().unwrap();
    let data = dir.path().join("index");
    for _ in 0..2 {
        let output = run_with(&["ingest", "-", "--data", data.to_str().unwrap()], lines(0..10).as_bytes());
        assert_eq!(status(&output), 0, "{}", stderr(&output));
    }
    assert_eq!(total_hits(&data), 20);
}

#[test]
fn many_files_by_pattern_in_order() {
    let dir = tempdir().unwrap();
    for part in 0..3u64 {
        fs::write(dir.path().join(format!("part{part}.jsonl")), lines(part * 10..part * 10 + 10)).unwrap();
    }
    let data = dir.path().join("index");
    assert_eq!(ingest(&dir.path().join("part*.jsonl"), &data), 30);
    assert_eq!(ingest(&dir.path().join("part*.jsonl"), &data), 0);
}
