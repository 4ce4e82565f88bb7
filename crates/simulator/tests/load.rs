//! Reading trace files of every block format.

#![expect(clippy::unwrap_used, reason = "tests")]

use prefix_indexer_simulator::Trace;
use prefix_indexer_traces::{Inputs, TraceOptions};
use std::path::Path;

fn load(name: &str) -> Trace {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name);
    let mut events = 0;
    let pieces = Inputs::from_args([path]).unwrap().open(TraceOptions::default(), |_| Vec::new());
    let trace = Trace::load(pieces, |report| events += report.events).unwrap();
    assert!(events >= trace.references().len() as u64 && !trace.is_empty(), "{name}");
    trace
}

/// A row of a block trace is a request, also where many rows share a timestamp; what it reads is a chain.
#[test]
fn rows_of_block_traces_are_requests() {
    for name in ["mooncake.jsonl", "bailian.jsonl"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name);
        let rows: Vec<serde_json::Value> = std::fs::read_to_string(path)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .filter(|row: &serde_json::Value| !row["hash_ids"].as_array().unwrap().is_empty())
            .collect();
        let trace = load(name);
        let mut lengths: Vec<usize> = rows.iter().map(|row| row["hash_ids"].as_array().unwrap().len()).collect();
        let mut ours: Vec<usize> = trace.requests().map(|request| request.blocks.len()).collect();
        lengths.sort_unstable();
        ours.sort_unstable();
        assert_eq!(ours, lengths, "{name}");
        for request in trace.requests() {
            for pair in request.blocks.windows(2) {
                assert_eq!(trace.parent(pair[1]), Some(pair[0]), "{name}");
            }
            assert!(request.blocks.first().is_none_or(|&root| trace.parent(root).is_none()), "{name}");
        }
    }
}

#[test]
fn native_events_are_read_too() {
    let trace = load("events.jsonl");
    assert!(trace.requests().all(|request| !request.blocks.is_empty()));
    let (first_ms, last_ms) = trace.span_ms().unwrap();
    assert!(first_ms < last_ms);
}
