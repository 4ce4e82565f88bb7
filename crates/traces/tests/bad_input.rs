//! Input of every bad kind: an error that says where, or a bad line that is counted, never a panic.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "support/read.rs"]
mod support;

use flate2::{Compression, write::GzEncoder};
use prefix_indexer_traces::{BadLines, Opening, TraceError, TraceOptions};
use std::{fs, io::Write as _};
use support::{Whole, read};

const GOOD: &str = r#"{"prefix_id": "p", "tenant": "t", "model_id": "m", "layer": 1, "page_start": 2, "page_end": 3, "bytes": 4, "latency_ms": 0.5, "timestamp_ms": 6}"#;

fn read_bytes(bytes: &[u8], bad_lines: BadLines) -> Result<Whole, TraceError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t");
    fs::write(&path, bytes).unwrap();
    read(&path, &TraceOptions { bad_lines, ..TraceOptions::default() }, &[])
}

/// The line between two good ones is bad for the reason `expected`.
fn check(line: &str, expected: &str) {
    let text = format!("{GOOD}\n{line}\n{GOOD}\n");
    let found = read_bytes(text.as_bytes(), BadLines::Quarantine).unwrap();
    assert_eq!(found.bad, [format!("2: {expected}")], "{line}");
    assert_eq!((found.events.len(), found.bad_lines), (2, 1), "{line}");
    assert_eq!(found.quarantine, format!("{line}\n").as_bytes(), "{line}");
    let error = read_bytes(text.as_bytes(), BadLines::Fail).unwrap_err();
    let TraceError::BadLine(error) = error else { unreachable!("{line}: {error}") };
    assert_eq!(format!("{}: {}: {}", error.line, error.field.unwrap_or("-"), error.reason), format!("2: {expected}"));
}

#[test]
fn bad_values_are_named() {
    let with = |from: &str, to: &str| GOOD.replace(from, to);
    for (line, expected) in [
        (with("0.5", "NaN"), "latency_ms: NaN is not a number of JSON"),
        (with("0.5", "-Infinity"), "latency_ms: Infinity is not a number of JSON"),
        (with("0.5", "1e999"), "latency_ms: inf is not a finite number of at least 0"),
        (with("0.5", "-1"), "latency_ms: -1 is not a finite number of at least 0"),
        (with("0.5", "\"NaN\""), "latency_ms: a string that is not a number"),
        (with("0.5", "null"), "latency_ms: null where a number belongs"),
        (with("\"bytes\": 4", "\"bytes\": -4"), "bytes: -4 is negative"),
        (
            with("\"bytes\": 4", "\"bytes\": 9223372036854775808"),
            "bytes: 9223372036854775808 is larger than 9223372036854775807",
        ),
        (with("\"bytes\": 4", "\"bytes\": 1e400"), "bytes: 1e400 is larger than 9223372036854775807"),
        (with("\"timestamp_ms\": 6", "\"timestamp_ms\": 3.5"), "timestamp_ms: 3.5 is not an integer"),
        (with("\"layer\": 1", "\"layer\": 4294967296"), "layer: 4294967296 is larger than 4294967295"),
        (with("\"layer\": 1", "\"layer\": \"x\""), "layer: a string that is not an integer"),
        (with("\"layer\": 1", "\"layer\": [1]"), "layer: an array where an integer belongs"),
        (with("\"page_end\": 3", "\"page_end\": 1"), "page_end: 1 is less than page_start 2"),
        (with("\"t\"", "7"), "tenant: a number where a string belongs"),
        (with("\"t\"", "\"\""), "tenant: must not be empty"),
        (with("\"tenant\": \"t\", ", ""), "tenant: missing"),
        (with("\"m\"", "\"m\", \"parent_id\": \"p\""), "parent_id: a prefix cannot be its own parent"),
        (with("\"m\"", "\"\\ud800\""), "model_id: not a valid string"),
        (with("}", ""), "-: not valid JSON: EOF while parsing an object at byte 143"),
        (with("}", "} {}"), "-: not valid JSON: trailing characters at byte 146"),
        ("[1]".to_owned(), "-: not valid JSON: invalid type: sequence, expected an object at byte 1"),
        ("[".repeat(100_000), "-: not valid JSON: invalid type: sequence, expected an object at byte 1"),
    ] {
        check(&line, expected);
    }
}

#[test]
fn bytes_that_are_no_text_are_one_bad_line() {
    let lines: [&[u8]; 6] =
        [GOOD.as_bytes(), b"\xff", GOOD.as_bytes(), b"", b"{\"prefix_id\": \"\xc3\x28\xf0\"}", GOOD.as_bytes()];
    let found = read_bytes(&lines.join(b"\n".as_slice()), BadLines::Quarantine).unwrap();
    assert_eq!(found.bad, ["2: -: not valid UTF-8", "5: -: not valid UTF-8"]);
    assert_eq!(found.quarantine, b"\xff\n{\"prefix_id\": \"\xc3\x28\xf0\"}\n");
    assert_eq!(found.events.len(), 3);
    let error = read_bytes(&lines.join(b"\n".as_slice()), BadLines::Fail).unwrap_err().to_string();
    assert!(error.ends_with("t:2: not valid UTF-8"), "{error}");
}

#[test]
fn blocks_that_make_no_chain_are_bad_lines() {
    let rest = "{\"timestamp\": 1, \"hash_ids\": [1, 2]}\n";
    for (line, expected) in [
        (r#"{"timestamp": 1, "hash_ids": [1, 1]}"#, "hash_ids: block 1 is its own parent"),
        (r#"{"timestamp": 1, "hash_ids": [1, -0]}"#, "hash_ids: block 1: not a whole number"),
        (r#"{"timestamp": 1, "hash_ids": [1.5]}"#, "hash_ids: block 0: not a whole number"),
        (r#"{"timestamp": 1, "hash_ids": [[1]]}"#, "hash_ids: block 0: not a whole number"),
        (r#"{"timestamp": 1, "hash_ids": null}"#, "hash_ids: not an array of block ids"),
        (r#"{"timestamp": 1}"#, "hash_ids: missing"),
        (r#"{"hash_ids": [1]}"#, "timestamp: missing"),
        (r#"{"timestamp": -1, "hash_ids": [1]}"#, "timestamp: -1 is negative"),
        (r#"{"timestamp": 1e30, "hash_ids": [1]}"#, "timestamp: 1e30 is too large"),
        (r#"{"timestamp": "x", "hash_ids": [1]}"#, "timestamp: a string that is not a number"),
        (
            r#"{"delay": 1, "session_id": "new", "hash_ids": [1]}"#,
            "delay: no earlier line of this session that it could count from",
        ),
        (r#"{"timestamp": 1, "session_id": [], "hash_ids": [1]}"#, "session_id: neither a string nor a whole number"),
    ] {
        let found = read_bytes(format!("{rest}{line}\n{rest}").as_bytes(), BadLines::Skip).unwrap();
        assert_eq!(found.bad, [format!("2: {expected}")]);
        assert_eq!(found.events.len(), 4);
    }
}

#[test]
fn nothing_at_all_is_an_empty_trace() {
    for text in ["", "\n", " \n\t\r\n", " "] {
        let found = read_bytes(text.as_bytes(), BadLines::Fail);
        if text.is_empty() {
            assert_eq!(found.unwrap().openings, [Opening::Empty]);
        } else {
            assert_eq!(found.unwrap().events, [], "{text:?}");
        }
    }
}

#[test]
fn compressed_data_that_breaks_off_is_an_error_with_its_place() {
    let text = format!("{GOOD}\n").repeat(20_000);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    for (codec, stored) in [("gzip", gzip.finish().unwrap()), ("zstd", zstd::encode_all(text.as_bytes(), 1).unwrap())] {
        for length in [5, stored.len() / 2, stored.len() - 1] {
            let error = read_bytes(&stored[..length], BadLines::Skip).unwrap_err();
            let TraceError::Compression { codec: found, offset, lines, .. } = &error else { panic!("{error}") };
            assert_eq!((*found, offset / (GOOD.len() as u64 + 1)), (codec, *lines), "{error}");
        }
        let mut flipped = stored.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0x55;
        assert!(read_bytes(&flipped, BadLines::Fail).is_err());
    }
}

#[test]
fn long_lines_are_read_and_endless_ones_refused() {
    let id = "x".repeat(1 << 20);
    let line = GOOD.replace("\"p\"", &format!("\"{id}\""));
    let found = read_bytes(format!("{GOOD}\n{line}\n{line}\n{GOOD}").as_bytes(), BadLines::Fail).unwrap();
    let lengths: Vec<usize> = found.events.iter().map(|event| event.prefix_id.len()).collect();
    assert_eq!(lengths, [1, 1 << 20, 1 << 20, 1]);
    let endless = format!("{GOOD}\n{}", "x".repeat((64 << 20) + (1 << 20)));
    assert!(matches!(read_bytes(endless.as_bytes(), BadLines::Skip), Err(TraceError::LineTooLong { line: 2, .. })));
}

#[test]
fn times_may_be_in_any_order() {
    let times = [9u64, 1, 1, i64::MAX as u64, 0];
    let text: String = times.map(|time| GOOD.replace(": 6}", &format!(": {time}}}\r\n"))).concat();
    let found = read_bytes(text.as_bytes(), BadLines::Fail).unwrap();
    assert_eq!(found.events.iter().map(|event| event.timestamp_ms).collect::<Vec<_>>(), times);
}

#[test]
fn bad_lines_are_all_counted_and_the_first_ones_described() {
    let text = format!("{GOOD}\n{}", "x\n".repeat(300_000));
    let found = read_bytes(text.as_bytes(), BadLines::Quarantine).unwrap();
    assert_eq!((found.bad_lines, found.quarantine.len()), (300_000, 600_000));
    assert!(found.bad.len() < 1000);
}

#[test]
fn arguments_that_name_nothing_are_errors_that_name_them() {
    use prefix_indexer_traces::Inputs;
    let directory = tempfile::tempdir().unwrap();
    for name in ["b.jsonl", "a.jsonl", "c.txt"] {
        fs::write(directory.path().join(name), GOOD).unwrap();
    }
    let pattern = directory.path().join("*.jsonl");
    let names: Vec<String> =
        Inputs::from_args([&pattern]).unwrap().names().map(|name| name[name.len() - 7..].into()).collect();
    assert_eq!(names, ["a.jsonl", "b.jsonl"]);
    for missing in ["*.parquet", "absent.jsonl"] {
        let path = directory.path().join(missing);
        assert_eq!(Inputs::from_args([&path]).unwrap_err().to_string(), format!("{}: no such file", path.display()));
    }
    assert!(matches!(Inputs::from_args(["a[***"]), Err(TraceError::Pattern { .. })));
    assert_eq!(Inputs::from_args(["-"]).unwrap().names().next().as_deref(), Some("standard input"));
    let error = read(directory.path(), &TraceOptions::default(), &[]).unwrap_err();
    assert!(matches!(error, TraceError::Io { .. }), "{error}");
}
