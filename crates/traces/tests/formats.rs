//! Each format on a small trace: recognised, decoded, and the same under each compression.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "support/read.rs"]
mod support;

use flate2::{Compression, write::GzEncoder};
use prefix_indexer_models::PrefixEvent;
use prefix_indexer_traces::{BadLines, DEFAULT_BLOCK_BYTES, FORMATS, Format, Opening, TraceError, TraceOptions};
use std::{fmt::Write as _, fs, io::Write as _, path::Path};
use support::read;

const EVENTS: &str = r#"{"prefix_id": "p1", "tenant": "acme", "model_id": "llama", "layer": 3, "page_start": 1, "page_end": 2, "bytes": 4096, "latency_ms": 1.5, "timestamp_ms": 1000}
{"timestamp_ms": 2000.0, "latency_ms": 0, "bytes": "77", "page_end": 2, "page_start": 2, "layer": 0, "model_id": "llama", "tenant": "ac\u006de", "prefix_id": "p2", "parent_id": "p1", "depth": 1, "session_id": "s", "event_id": "e", "more": {"x": [1]}}
"#;

const MOONCAKE: &str = r#"{"timestamp": 27, "input_length": 1500, "output_length": 5, "hash_ids": [46, 47, 48]}
{"timestamp": 30, "input_length": 600, "output_length": 5, "hash_ids": [46, 49]}
"#;

const BAILIAN: &str = r#"{"chat_id": 159, "parent_chat_id": -1, "timestamp": 61.114, "input_length": 33, "output_length": 1, "type": "text", "turn": 1, "hash_ids": [7, 7, 8]}
{"chat_id": 160, "parent_chat_id": 159, "timestamp": 62.5, "input_length": 33, "output_length": 1, "type": "text", "turn": 2, "hash_ids": [7, 7, 9]}
{"chat_id": 161, "parent_chat_id": 160, "timestamp": 63, "input_length": 17, "output_length": 1, "type": "text", "turn": 3, "hash_ids": [8, 7]}
"#;

fn write(path: &Path, text: &str) -> TraceOptions {
    fs::write(path, text).unwrap();
    TraceOptions::default()
}

fn event(prefix_id: &str, tenant: &str, model_id: &str) -> PrefixEvent {
    PrefixEvent { prefix_id: prefix_id.into(), tenant: tenant.into(), model_id: model_id.into(), ..Default::default() }
}

fn block(prefix_id: &str, parent: Option<&str>, depth: u32, timestamp_ms: u64) -> PrefixEvent {
    PrefixEvent {
        bytes: DEFAULT_BLOCK_BYTES,
        parent_id: parent.map(str::to_owned),
        depth: Some(depth),
        timestamp_ms,
        ..event(prefix_id, "default", "default")
    }
}

fn read_text(text: &str) -> support::Whole {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trace");
    let options = write(&path, text);
    read(&path, &options, &[]).unwrap()
}

#[test]
fn native_events_are_lax_where_producers_are() {
    let first = PrefixEvent {
        layer: 3,
        page_start: 1,
        page_end: 2,
        bytes: 4096,
        latency_ms: 1.5,
        timestamp_ms: 1000,
        ..event("p1", "acme", "llama")
    };
    let second = PrefixEvent {
        page_start: 2,
        page_end: 2,
        bytes: 77,
        timestamp_ms: 2000,
        parent_id: Some("p1".into()),
        depth: Some(1),
        session_id: Some("s".into()),
        event_id: Some("e".into()),
        ..event("p2", "acme", "llama")
    };
    assert_eq!(read_text(EVENTS).events, [first, second]);
}

#[test]
fn a_mooncake_line_is_a_chain_of_events() {
    let expected = [
        block("46", None, 0, 27),
        block("47", Some("46"), 1, 27),
        block("48", Some("47"), 2, 27),
        block("46", None, 0, 30),
        block("49", Some("46"), 1, 30),
    ];
    assert_eq!(read_text(MOONCAKE).events, expected);
}

#[test]
fn mooncake_dialects_tell_the_time_in_their_ways() {
    let check = |lines: &[&str], expected: &[(&str, u64)]| {
        let found = read_text(&lines.join("\n"));
        let times: Vec<(&str, u64)> =
            found.events.iter().map(|event| (event.session_id.as_deref().unwrap_or(""), event.timestamp_ms)).collect();
        assert_eq!(times, expected, "{lines:?}");
    };
    check(&[r#"{"created_time": 5, "hash_ids": [1]}"#], &[("", 5)]);
    check(&[r#"{"timestamp": "5", "hash_ids": ["1"], "session_id": null}"#], &[("", 5)]);
    check(&[r#"{"timestamp": 5.0, "hash_ids": [1.0], "session_id": 7}"#], &[("7", 5)]);
    check(
        &[
            r#"{"session_id": "a", "timestamp": 100, "hash_ids": [1]}"#,
            r#"{"session_id": "b", "timestamp": 500, "hash_ids": [2]}"#,
            r#"{"session_id": "a", "delay": 20, "hash_ids": [1]}"#,
            r#"{"session_id": "b", "delay_ms": 1.6, "hash_ids": [2]}"#,
            r#"{"session_id": "a", "delay": 0, "hash_ids": []}"#,
            r#"{"session_id": "a", "delay": 3, "hash_ids": [1]}"#,
        ],
        &[("a", 100), ("b", 500), ("a", 120), ("b", 502), ("a", 123)],
    );
    check(&[r#"{"timestamp": 1, "hash_ids": [1]}"#, "", r#"{"delay": 2, "hash_ids": [1]}"#], &[("", 1), ("", 3)]);
}

#[test]
fn mooncake_delays_reach_back_over_pieces() {
    let mut text = String::from("{\"session_id\": \"a\", \"timestamp\": 100, \"hash_ids\": [1]}\n");
    for time in 0..20_000 {
        writeln!(text, "{{\"timestamp\": {time}, \"hash_ids\": [{time}, 99999999]}}").unwrap();
    }
    text.push_str("{\"session_id\": \"a\", \"delay\": 7, \"hash_ids\": [2]}\n{\"delay\": 1, \"hash_ids\": [3]}");
    let events = read_text(&text).events;
    let last: Vec<u64> = events[events.len() - 2..].iter().map(|event| event.timestamp_ms).collect();
    assert_eq!(last, [107, 20_000]);
}

#[test]
fn bailian_blocks_are_chained_and_chats_lead_to_their_root() {
    let events = read_text(BAILIAN).events;
    let sessions: Vec<&str> = events.iter().map(|event| event.session_id.as_deref().unwrap()).collect();
    assert_eq!(sessions, ["159"; 8]);
    let times: Vec<u64> = events.iter().map(|event| event.timestamp_ms).collect();
    assert_eq!(times, [61_114, 61_114, 61_114, 62_500, 62_500, 62_500, 63_000, 63_000]);
    let id = |index: usize| events[index].prefix_id.as_str();
    // The same content after another parent is another prefix; the same chain is the same.
    assert_ne!(id(0), id(1));
    assert_eq!((id(0), id(1)), (id(3), id(4)));
    assert_ne!(id(2), id(6));
    assert_eq!(events[1].parent_id.as_deref(), Some(id(0)));
    assert_eq!(events[2].depth, Some(2));
    let root = blake3::hash(&[[0; 16].as_slice(), b"7"].concat());
    assert_eq!(id(0), &root.to_hex().as_str()[..32]);
}

#[test]
fn names_fill_in_what_a_trace_does_not_say() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trace");
    let mut options = write(&path, MOONCAKE);
    (options.tenant, options.model_id, options.block_bytes) = (Some("t".into()), Some("m".into()), 512);
    let found = read(&path, &options, &[]).unwrap();
    assert!(found.events.iter().all(|e| e.tenant == "t" && e.model_id == "m" && e.bytes == 512));

    write(&path, &EVENTS.replace(r#""model_id": "llama", "layer": 3"#, r#""layer": 3"#));
    let models: Vec<String> = read(&path, &options, &[]).unwrap().events.into_iter().map(|e| e.model_id).collect();
    assert_eq!(models, ["m", "llama"]);
    let error = read(&path, &TraceOptions::default(), &[]).unwrap_err().to_string();
    assert_eq!(error, format!("{}:1: field `model_id`: missing", path.display()));
}

#[test]
fn compression_is_told_by_the_first_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trace.jsonl");
    let gzip = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = |text: &str| zstd::encode_all(text.as_bytes(), 1).unwrap();
    let skippable = [0x5e, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    for text in [EVENTS, MOONCAKE, BAILIAN] {
        let (head, tail) = text.split_at(text.len() / 2);
        let options = write(&path, text);
        let plain = read(&path, &options, &[]).unwrap().events;
        for stored in [
            gzip(text),
            [gzip(head), gzip(tail)].concat(),
            zstd(text),
            [zstd(head), zstd(tail)].concat(),
            [skippable.as_slice(), &zstd(text)].concat(),
        ] {
            fs::write(&path, stored).unwrap();
            assert_eq!(read(&path, &options, &[]).unwrap().events, plain);
        }
    }
}

#[test]
fn every_format_is_recognised_by_itself_alone() {
    for (name, text) in [("events", EVENTS), ("mooncake", MOONCAKE), ("bailian", BAILIAN), ("parquet", "PAR1")] {
        let line = text.lines().next().unwrap().as_bytes();
        assert_eq!(Format::sniff(line).map(|format| format.name), Some(name));
        assert_eq!(Format::by_name(name).unwrap().map(|format| format.name), Some(name));
    }
    assert_eq!(FORMATS.len(), 4, "a new format needs a sample here");
    assert_eq!(Format::by_name("auto").unwrap(), None);
    let error = Format::by_name("csv").unwrap_err().to_string();
    assert_eq!(error, "`csv` is not a format: expected auto, events, mooncake, bailian, parquet");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trace");
    let options = write(&path, "a,b\n1,2\n");
    assert!(matches!(read(&path, &options, &[]), Err(TraceError::Unrecognised { .. })));
}

#[test]
fn a_first_line_that_is_bad_does_not_hide_the_format() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trace");
    let mut options = write(&path, &format!("# a comment\n{EVENTS}"));
    options.bad_lines = BadLines::Quarantine;
    let found = read(&path, &options, &[]).unwrap();
    assert_eq!((found.events.len(), found.bad_lines, found.quarantine.as_slice()), (2, 1, b"# a comment\n".as_slice()));
}

#[test]
fn a_file_that_is_named_twice_is_read_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trace");
    let options = write(&path, EVENTS);
    let inputs = prefix_indexer_traces::Inputs::from_args([&path, &path]).unwrap();
    let (mut whole, mut batch) = (support::Whole::default(), prefix_indexer_models::EventBatch::new());
    for piece in inputs.open(options.clone(), |_| Vec::new()) {
        let report = piece.unwrap().decode(&mut batch).unwrap();
        whole.take(report, &batch);
    }
    assert_eq!((whole.events.len(), whole.openings), (2, vec![Opening::Fresh, Opening::Unchanged]));
    assert_eq!(read(&path, &options, &whole.positions).unwrap().events, []);
}
