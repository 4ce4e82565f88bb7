//! The committed traces: each is recognised, and of the bad lines each names the field that was damaged.

#[path = "support/read.rs"]
mod support;

use prefix_indexer_traces::{BadLines, Inputs, TraceOptions};
use std::{fs, path::PathBuf};
use support::read;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

#[test]
fn good_traces_have_no_bad_line() {
    for name in ["events.jsonl", "events-lax.jsonl", "events-retried.jsonl", "mooncake.jsonl", "bailian.jsonl"] {
        let found = read(&fixture(name), &TraceOptions::default(), &[]).unwrap();
        let lines = fs::read_to_string(fixture(name)).unwrap().lines().count();
        assert!(found.events.len() >= lines, "{name}");
    }
    let lax = read(&fixture("events-lax.jsonl"), &TraceOptions::default(), &[]).unwrap().events;
    assert!(lax == read(&fixture("events.jsonl"), &TraceOptions::default(), &[]).unwrap().events);
}

#[test]
fn every_bad_line_is_named_with_its_field() {
    let options = TraceOptions { bad_lines: BadLines::Fail, ..TraceOptions::default() };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("line");
    let first = fs::read(fixture("events.jsonl")).unwrap();
    let good = first.split_inclusive(|byte| *byte == b'\n').next().unwrap();
    let bytes = fs::read(fixture("bad-lines.jsonl")).unwrap();
    let expected = fs::read_to_string(fixture("bad-lines.expected.tsv")).unwrap();
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut wrong = Vec::new();
    for row in expected.lines() {
        let [number, field, kind] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let line = lines.next().unwrap();
        fs::write(&path, [good, line].concat()).unwrap();
        let error = read(&path, &options, &[]).unwrap_err().to_string();
        let named = format!("field `{field}`: ");
        if !error.contains("line:2: ") || (field != "-" && !error.contains(&named)) {
            wrong.push(format!("{number} ({kind}): {error}: {}", String::from_utf8_lossy(line)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let inputs = Inputs::from_args([fixture("*.jsonl")]).unwrap();
    assert!(inputs.len() >= 6 && inputs.stored_bytes().is_some());
}
