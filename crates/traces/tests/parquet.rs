//! Parquet files: every type a writer may choose, row groups of any size, nulls, and what is not events at all.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "support/read.rs"]
mod support;

use arrow_array::{
    Array, ArrayRef, DictionaryArray, Float32Array, Float64Array, Int8Array, Int32Array, Int64Array, LargeStringArray,
    RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, TimestampSecondArray, UInt16Array, UInt64Array, types::Int32Type,
};
use arrow_cast::cast;
use arrow_schema::DataType;
use parquet::{arrow::ArrowWriter, basic::Compression, file::properties::WriterProperties};
use prefix_indexer_models::{EventBatch, PrefixEvent};
use prefix_indexer_traces::{BadLines, Inputs, Opening, TraceError, TraceOptions};
use std::{
    fs::{self, File},
    path::Path,
    sync::Arc,
};
use support::read;

type Columns = Vec<(&'static str, ArrayRef)>;

fn columns(rows: i64) -> Columns {
    let texts = |prefix: &str, distinct: i64| {
        Arc::new((0..rows).map(|row| Some(format!("{prefix}{}", row % distinct))).collect::<StringArray>()) as ArrayRef
    };
    let whole = |of: fn(i64) -> i64| Arc::new((0..rows).map(of).collect::<Int64Array>()) as ArrayRef;
    vec![
        ("prefix_id", texts("prefix-", 5000)),
        ("tenant", texts("tenant-", 3)),
        ("model_id", texts("model-", 2)),
        ("layer", whole(|row| row % 80)),
        ("page_start", whole(|row| row % 7)),
        ("page_end", whole(|row| row % 7 + 1)),
        ("bytes", whole(|row| row * 10)),
        ("latency_ms", Arc::new((0..rows).map(|row| row as f64 / 8.0).collect::<Float64Array>())),
        ("timestamp_ms", whole(|row| 1_700_000_000_000 + row)),
    ]
}

fn expected(rows: i64) -> Vec<PrefixEvent> {
    let event = |row: i64| PrefixEvent {
        prefix_id: format!("prefix-{}", row % 5000),
        tenant: format!("tenant-{}", row % 3),
        model_id: format!("model-{}", row % 2),
        layer: (row % 80) as u32,
        page_start: (row % 7) as u32,
        page_end: (row % 7 + 1) as u32,
        bytes: (row * 10) as u64,
        latency_ms: row as f64 / 8.0,
        timestamp_ms: (1_700_000_000_000 + row) as u64,
        ..PrefixEvent::default()
    };
    (0..rows).map(event).collect()
}

fn with(columns: &Columns, name: &'static str, array: impl Array + 'static) -> Columns {
    let mut columns: Columns = columns.iter().filter(|(other, _)| *other != name).cloned().collect();
    columns.insert(0, (name, Arc::new(array)));
    columns
}

fn write(path: &Path, columns: &Columns, properties: WriterProperties) {
    let fields = columns.iter().map(|(name, array)| (*name, Arc::clone(array), true));
    let batch = RecordBatch::try_from_iter_with_nullable(fields).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn read_columns(columns: &Columns, options: &TraceOptions) -> Result<support::Whole, TraceError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trace");
    write(&path, columns, WriterProperties::default());
    read(&path, options, &[])
}

fn skip() -> TraceOptions {
    TraceOptions { bad_lines: BadLines::Skip, ..TraceOptions::default() }
}

#[test]
fn row_groups_of_any_size_give_the_same_events_with_and_without_an_index() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trace.parquet");
    const ROWS: i64 = 200_000;
    for (group, compression, disabled) in [
        (1_000_000, Compression::SNAPPY, false),
        (1_000_000, Compression::ZSTD(Default::default()), true),
        (100_000, Compression::LZ4_RAW, true),
        (7_777, Compression::UNCOMPRESSED, false),
    ] {
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(group))
            .set_compression(compression)
            .set_offset_index_disabled(disabled);
        // With an index for columns there is one for offsets, whatever is asked for.
        let statistics = parquet::file::properties::EnabledStatistics::Chunk;
        write(&path, &columns(ROWS), properties.set_statistics_enabled(statistics).build());
        let found = read(&path, &TraceOptions::default(), &[]).unwrap();
        assert!(found.events == expected(ROWS), "groups of {group}");
        assert_eq!(found.openings, [Opening::Fresh]);
        assert_eq!((found.positions[0].offset, found.positions[0].lines), (ROWS as u64, ROWS as u64));
        let again = read(&path, &TraceOptions::default(), &found.positions).unwrap();
        assert_eq!((again.events.len(), again.openings), (0, vec![Opening::Unchanged]));
    }
}

#[test]
fn reading_goes_on_behind_the_last_committed_piece() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trace.parquet");
    const ROWS: i64 = 150_000;
    for disabled in [false, true] {
        let properties = WriterProperties::builder().set_offset_index_disabled(disabled);
        let statistics = parquet::file::properties::EnabledStatistics::Chunk;
        write(&path, &columns(ROWS), properties.set_statistics_enabled(statistics).build());
        let mut batch = EventBatch::new();
        let pieces = Inputs::from_args([&path]).unwrap().open(TraceOptions::default(), |_| Vec::new());
        let (mut position, mut events) = (None, Vec::new());
        for piece in pieces.take(2) {
            position = piece.unwrap().decode(&mut batch).unwrap().position.or(position);
            events.extend(batch.iter().map(|event| event.to_event()));
        }
        let position = position.unwrap();
        assert!(position.offset > 0 && position.offset < ROWS as u64);
        let rest = read(&path, &TraceOptions::default(), std::slice::from_ref(&position)).unwrap();
        assert_eq!(rest.openings, [Opening::Resumed { from: position.offset }]);
        events.extend(rest.events);
        assert!(events == expected(ROWS));
    }
    // Another file in its place.
    let found = read(&path, &TraceOptions::default(), &[]).unwrap();
    write(&path, &columns(10), WriterProperties::default());
    let other = read(&path, &TraceOptions::default(), &found.positions).unwrap();
    assert_eq!((other.events.len(), other.openings), (10, vec![Opening::Rotated]));
}

#[test]
fn any_type_that_can_hold_a_field_is_read() {
    const ROWS: i64 = 100;
    let plain = columns(ROWS);
    let text = |name: &str| Arc::clone(&plain.iter().find(|(other, _)| *other == name).unwrap().1);
    let dictionary = |key| DataType::Dictionary(Box::new(key), Box::new(DataType::Utf8));
    let times = || (0..ROWS).map(|row| 1_700_000_000_000 + row);
    let expected = expected(ROWS);
    for name in ["prefix_id", "tenant", "model_id"] {
        for to in [DataType::LargeUtf8, DataType::Utf8View, dictionary(DataType::Int32), dictionary(DataType::UInt8)] {
            let array = cast(&text(name), &to).unwrap();
            let columns = plain.iter().map(|(n, a)| (*n, if *n == name { array.clone() } else { a.clone() })).collect();
            assert_eq!(read_columns(&columns, &skip()).unwrap().events, expected, "{name} as {to}");
        }
    }
    let layers = |row: i64| row % 80;
    for columns in [
        with(&plain, "layer", (0..ROWS).map(|row| layers(row) as i8).collect::<Int8Array>()),
        with(&plain, "layer", (0..ROWS).map(|row| layers(row) as u16).collect::<UInt16Array>()),
        with(&plain, "layer", (0..ROWS).map(|row| layers(row) as i32).collect::<Int32Array>()),
        with(&plain, "layer", (0..ROWS).map(|row| layers(row) as f64).collect::<Float64Array>()),
        with(&plain, "bytes", (0..ROWS).map(|row| row as u64 * 10).collect::<UInt64Array>()),
        with(&plain, "latency_ms", (0..ROWS).map(|row| row as f32 / 8.0).collect::<Float32Array>()),
        with(&plain, "timestamp_ms", TimestampMillisecondArray::from_iter_values(times()).with_timezone("UTC")),
        with(
            &plain,
            "timestamp_ms",
            TimestampMicrosecondArray::from_iter_values(times().map(|time| time * 1000 + 999)),
        ),
        with(&plain, "timestamp_ms", TimestampNanosecondArray::from_iter_values(times().map(|time| time * 1_000_000))),
        with(&plain, "unknown", Int64Array::from(vec![7; ROWS as usize])),
    ] {
        assert_eq!(read_columns(&columns, &skip()).unwrap().events, expected, "{:?}", columns[0]);
    }
    let columns = with(&plain, "timestamp_ms", TimestampSecondArray::from(vec![1_700_000_000; ROWS as usize]));
    let found = read_columns(&columns, &skip()).unwrap();
    assert!(found.events.iter().all(|event| event.timestamp_ms == 1_700_000_000_000));
}

#[test]
fn optional_columns_may_be_null() {
    let strings = || StringArray::from(vec![Some("a"), None, Some("")]);
    let columns = with(&columns(3), "parent_id", strings());
    let columns = with(&columns, "session_id", StringViewArray::from(vec![None, Some("s"), None]));
    let columns = with(&columns, "event_id", LargeStringArray::from(vec![None::<&str>; 3]));
    let columns = with(&columns, "depth", Int32Array::from(vec![Some(1), None, Some(0)]));
    let found = read_columns(&columns, &TraceOptions::default()).unwrap().events;
    let parents: Vec<Option<&str>> = found.iter().map(|event| event.parent_id.as_deref()).collect();
    assert_eq!(parents, [Some("a"), None, None]);
    let sessions: Vec<Option<&str>> = found.iter().map(|event| event.session_id.as_deref()).collect();
    assert_eq!(sessions, [None, Some("s"), None]);
    assert_eq!(found.iter().map(|event| event.depth).collect::<Vec<_>>(), [Some(1), None, Some(0)]);
    assert!(found.iter().all(|event| event.event_id.is_none()));
}

#[test]
fn rows_that_are_no_events_are_bad_by_number() {
    let plain = columns(3);
    let dictionary: DictionaryArray<Int32Type> = [Some("t"), None, Some("t")].into_iter().collect();
    for (columns, expected) in [
        (with(&plain, "bytes", Int64Array::from(vec![Some(1), None, Some(2)])), "2: bytes: null"),
        (with(&plain, "prefix_id", StringArray::from(vec![Some("a"), None, Some("a")])), "2: prefix_id: null"),
        (with(&plain, "prefix_id", StringArray::from(vec!["a", "", "a"])), "2: prefix_id: must not be empty"),
        (with(&plain, "tenant", dictionary), "2: tenant: null"),
        (with(&plain, "bytes", Int64Array::from(vec![1, -5, 2])), "2: bytes: -5 is negative"),
        (
            with(&plain, "bytes", UInt64Array::from(vec![1, 1 << 63, 2])),
            "2: bytes: 9223372036854775808 is larger than 9223372036854775807",
        ),
        (
            with(&plain, "layer", Int64Array::from(vec![1, 1 << 32, 2])),
            "2: layer: 4294967296 is larger than 4294967295",
        ),
        (with(&plain, "layer", Float64Array::from(vec![1.0, 1.5, 2.0])), "2: layer: 1.5 is not an integer"),
        (
            with(&plain, "latency_ms", Float64Array::from(vec![1.0, f64::NAN, 2.0])),
            "2: latency_ms: NaN is not a finite number of at least 0",
        ),
        (
            with(&plain, "latency_ms", Float64Array::from(vec![1.0, -0.5, 2.0])),
            "2: latency_ms: -0.5 is not a finite number of at least 0",
        ),
        (
            with(&plain, "latency_ms", Float64Array::from(vec![1.0, f64::INFINITY, 2.0])),
            "2: latency_ms: inf is not a finite number of at least 0",
        ),
        (with(&plain, "page_end", Int64Array::from(vec![9, 0, 9])), "2: page_end: 0 is less than page_start 1"),
        (
            with(&plain, "timestamp_ms", TimestampSecondArray::from(vec![1, i64::MAX, 2])),
            "2: timestamp_ms: 9223372036854775807 is out of range",
        ),
    ] {
        let found = read_columns(&columns, &skip()).unwrap();
        assert_eq!(found.bad, [expected], "{:?}", columns[0]);
        assert_eq!((found.events.len(), found.bad_lines), (2, 1));
        let error = read_columns(&columns, &TraceOptions::default()).unwrap_err();
        assert!(matches!(error, TraceError::BadLine(line) if line.line == 2));
    }
    let columns = with(&plain, "bytes", Int64Array::from(vec![Some(1), None, Some(2)]));
    let options = TraceOptions { bad_lines: BadLines::Quarantine, ..TraceOptions::default() };
    let row: serde_json::Value = serde_json::from_slice(&read_columns(&columns, &options).unwrap().quarantine).unwrap();
    assert_eq!(
        (&row["bytes"], &row["prefix_id"], &row["layer"]),
        (&serde_json::Value::Null, &"prefix-1".into(), &1.into())
    );
}

#[test]
fn columns_that_cannot_be_events_are_named() {
    let check = |columns: &Columns, options: &TraceOptions, expected: &str| {
        let error = read_columns(columns, options).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
    };
    let plain = columns(3);
    let without = |name: &str| plain.iter().filter(|(other, _)| *other != name).cloned().collect::<Columns>();
    let names = TraceOptions { tenant: Some("t".into()), ..TraceOptions::default() };
    check(&without("bytes"), &names, "column `bytes`: missing");
    check(&without("tenant"), &TraceOptions::default(), "column `tenant`: missing");
    assert!(read_columns(&without("tenant"), &names).unwrap().events.iter().all(|event| event.tenant == "t"));
    let text = with(&plain, "layer", StringArray::from(vec!["1", "2", "3"]));
    check(&text, &names, "column `layer`: has type Utf8, where integers belong");
    let number = with(&plain, "prefix_id", Int64Array::from(vec![1, 2, 3]));
    check(&number, &names, "column `prefix_id`: has type Int64, where strings belong");
    let text = with(&plain, "latency_ms", StringArray::from(vec!["1", "2", "3"]));
    check(&text, &names, "column `latency_ms`: has type Utf8, where numbers belong");
}

#[test]
fn broken_files_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trace.parquet");
    write(&path, &columns(1000), WriterProperties::default());
    let whole = fs::read(&path).unwrap();
    for length in [4, 8, 11, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let error = read(&path, &skip(), &[]).unwrap_err();
        assert!(matches!(error, TraceError::Io { .. } | TraceError::Parquet { .. }), "{length}: {error}");
    }
    // Where a byte is flipped decides whether it shows: never as a panic.
    for at in (0..whole.len()).step_by(whole.len() / 200) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x55;
        fs::write(&path, &flipped).unwrap();
        let _ = read(&path, &skip(), &[]);
    }
    fs::write(&path, zstd::encode_all(whole.as_slice(), 1).unwrap()).unwrap();
    assert!(matches!(read(&path, &skip(), &[]), Err(TraceError::Unsupported { .. })));
    write(&path, &columns(0), WriterProperties::default());
    assert_eq!(read(&path, &skip(), &[]).unwrap().openings, [Opening::Empty]);
}
