//! Input that is wrong: said where and why, and nothing half done.

use crate::common::{event_line, fixture, json, run, run_with, status, stderr};
use std::fs;
use tempfile::tempdir;

#[test]
fn every_bad_line_is_named_by_number_and_field() {
    let lines = fs::read(fixture("bad-lines.jsonl")).unwrap();
    let expected = fs::read_to_string(fixture("bad-lines.expected.tsv")).unwrap();
    let lines: Vec<&[u8]> = lines.split(|byte| *byte == b'\n').collect();
    let dir = tempdir().unwrap();
    let data = dir.path().join("index");
    for row in expected.lines().filter(|row| !row.starts_with('#')) {
        let mut columns = row.split('\t');
        let (number, field) = (columns.next().unwrap().parse::<usize>().unwrap(), columns.next().unwrap());
        let input = [event_line("t", "good", 1).as_bytes(), lines[number - 1], b"\n"].concat();
        let output = run_with(&["ingest", "-", "--format", "events", "--data", data.to_str().unwrap()], &input);
        assert_eq!(status(&output), 1, "line {number}: {}", String::from_utf8_lossy(lines[number - 1]));
        let message = stderr(&output);
        assert!(message.contains("standard input:2: "), "{message}");
        assert!(field == "-" || field.is_empty() || message.contains(&format!("`{field}`")), "{field}: {message}");
    }
}

#[test]
fn fail_skip_and_quarantine() {
    let dir = tempdir().unwrap();
    let trace = dir.path().join("trace.jsonl");
    let bad = "{\"prefix_id\": \"p\"}";
    fs::write(&trace, [event_line("t", "a", 1), format!("{bad}\n"), event_line("t", "b", 2)].concat()).unwrap();
    let trace = trace.to_str().unwrap();
    let data = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();

    let failed = run(&["ingest", trace, "--data", &data("fail")]);
    assert_eq!(status(&failed), 1);
    assert!(stderr(&failed).contains("trace.jsonl:2: "), "{}", stderr(&failed));
    let after = run(&["suggest", "--data", &data("fail"), "--json"]);
    assert!(status(&after) == 1 || after.stdout == b"[]\n", "nothing of a failed file counts");

    let skipped = json(&["ingest", trace, "--data", &data("skip"), "--bad-lines", "skip", "--json"]);
    assert_eq!((&skipped["events"], &skipped["bad_lines"]), (&2.into(), &1.into()));

    let aside = data("aside.jsonl");
    let policy = format!("quarantine={aside}");
    let quarantined = json(&["ingest", trace, "--data", &data("quarantine"), "--bad-lines", &policy, "--json"]);
    assert_eq!(quarantined["bad_lines"], 1);
    assert_eq!(fs::read_to_string(aside).unwrap(), format!("{bad}\n"));
}

#[test]
fn files_that_are_not_there_or_broken() {
    let dir = tempdir().unwrap();
    let data = dir.path().join("index");
    let data = data.to_str().unwrap();
    let check = |name: &str, content: Option<&[u8]>, expect_status: i32, expect: &str| {
        let path = dir.path().join(name);
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        let output = run(&["ingest", path.to_str().unwrap(), "--data", data]);
        assert_eq!(status(&output), expect_status, "{name}: {}", stderr(&output));
        assert!(stderr(&output).contains(expect), "{name}: {}", stderr(&output));
    };
    check("absent.jsonl", None, 1, "absent.jsonl");
    check("none*.jsonl", None, 1, "none*.jsonl");
    check("empty.jsonl", Some(b""), 0, "");
    check("poem.txt", Some(b"the fog comes on little cat feet\n"), 1, "poem.txt");
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    gzip.extend_from_slice(&[0x4b; 3]);
    check("cut.gz", Some(&gzip), 1, "cut.gz");
    check("cut.zst", Some(&[0x28, 0xb5, 0x2f, 0xfd, 0x04]), 1, "cut.zst");
}

#[test]
fn an_event_id_counts_once() {
    let dir = tempdir().unwrap();
    let data = dir.path().join("index");
    let line = event_line("t", "p", 1).replace("\"layer\"", "\"event_id\":\"e1\",\"layer\"");
    let other = line.replace("e1", "e2");
    for (input, events, duplicates) in [([&*line, &line, &other].concat(), 2, 1), (other.clone(), 0, 1)] {
        let output = run_with(&["ingest", "-", "--data", data.to_str().unwrap(), "--json"], input.as_bytes());
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&report["events"], &report["skipped_duplicates"]), (&events.into(), &duplicates.into()));
    }
}

#[test]
fn what_was_committed_before_an_error_stays_and_is_said() {
    let dir = tempdir().unwrap();
    let (trace, data) = (dir.path().join("trace.jsonl"), dir.path().join("index"));
    let good: String = (0..200_000).map(|n| event_line("t", &format!("p{n}"), n)).collect();
    fs::write(&trace, good.clone() + "nonsense\n").unwrap();
    let args =
        ["ingest", trace.to_str().unwrap(), "--data", data.to_str().unwrap(), "--max-prefixes-in-memory", "1000"];
    let output = run(&args);
    assert_eq!(status(&output), 3, "{}", stderr(&output));
    let message = stderr(&output);
    assert!(message.contains("trace.jsonl:200001: ") && message.contains("are in the index"), "{message}");
    fs::write(&trace, good + &event_line("t", "last", 7)).unwrap();
    json(&[&args[..], &["--json"]].concat());
    let report = json(&["inspect", "--data", data.to_str().unwrap(), "--json"]);
    assert_eq!((&report["prefixes"], &report["counters"]["events"]), (&200_001.into(), &200_001.into()));
}
