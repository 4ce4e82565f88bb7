//! Reads fuzzed bytes as a trace, and checks what must hold whatever they are.

use prefix_indexer_models::{EventBatch, PrefixEvent};
use prefix_indexer_traces::{BadLines, Format, Inputs, TraceError, TraceOptions};
use std::fs;

/// The events of `bytes`, read from a file in the named format (`auto` to recognise it), and the number of bad lines.
///
/// # Errors
/// What the reader says.
pub fn read(bytes: &[u8], format: &str) -> Result<(Vec<PrefixEvent>, u64), TraceError> {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let path = directory.path().join("trace");
    fs::write(&path, bytes).expect("a scratch file");
    let options = TraceOptions {
        format: Format::by_name(format)?,
        bad_lines: BadLines::Quarantine,
        ..TraceOptions::default()
    };
    let (mut events, mut bad, mut positions) = (Vec::new(), 0, Vec::new());
    let mut batch = EventBatch::new();
    for piece in Inputs::from_args([&path])?.open(options.clone(), |_| Vec::new()) {
        let report = piece?.decode(&mut batch)?;
        assert_eq!(report.events, batch.len() as u64);
        bad += report.bad_lines;
        for event in batch.iter() {
            event.validate().expect("readers give valid events only");
            events.push(event.to_event());
        }
        positions = report.position.into_iter().chain(positions).take(1).collect();
    }
    // Once it is all counted, nothing of it counts again.
    let mut again = 0;
    for piece in Inputs::from_args([&path])?.open(options, |_| positions.clone()) {
        again += piece?.decode(&mut batch)?.events;
    }
    assert!(positions.is_empty() || again == 0, "{again} events were counted twice");
    Ok((events, bad))
}

/// The reader of Parquet files catches panics of the decoder under it; libFuzzer's hook would take them for crashes. Those
/// that nobody catches still are.
pub fn allow_caught_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}
