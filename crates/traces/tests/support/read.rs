//! Reads traces whole, as tests like them.

use prefix_indexer_models::{EventBatch, PrefixEvent, SourcePosition};
use prefix_indexer_traces::{Inputs, Opening, PieceReport, TraceError, TraceOptions};
use std::path::Path;

/// Everything that reading gave.
#[derive(Debug, Default)]
pub(crate) struct Whole {
    pub(crate) events: Vec<PrefixEvent>,
    pub(crate) openings: Vec<Opening>,
    /// `LINE: field: reason` of the bad lines.
    pub(crate) bad: Vec<String>,
    pub(crate) bad_lines: u64,
    pub(crate) quarantine: Vec<u8>,
    /// The newest position of each source.
    pub(crate) positions: Vec<SourcePosition>,
}

impl Whole {
    pub(crate) fn take(&mut self, report: PieceReport, batch: &EventBatch) {
        assert_eq!(report.events, batch.len() as u64);
        self.events.extend(batch.iter().map(|event| event.to_event()));
        self.openings.extend(report.opening);
        self.bad_lines += report.bad_lines;
        self.quarantine.extend_from_slice(&report.quarantine);
        let bad = |line: &prefix_indexer_traces::BadLine| {
            format!("{}: {}: {}", line.line, line.field.unwrap_or("-"), line.reason)
        };
        self.bad.extend(report.described.iter().map(bad));
        if let Some(position) = report.position {
            self.positions.retain(|old| old.source != position.source);
            self.positions.push(position);
        }
    }
}

/// Reads a file, going on from what is known of it.
pub(crate) fn read(path: &Path, options: &TraceOptions, known: &[SourcePosition]) -> Result<Whole, TraceError> {
    let (mut whole, mut batch) = (Whole::default(), EventBatch::new());
    let known = |path: &str| known.iter().filter(|position| position.source.path == path).cloned().collect();
    for piece in Inputs::from_args([path])?.open(options.clone(), known) {
        let report = piece?.decode(&mut batch)?;
        whole.take(report, &batch);
    }
    Ok(whole)
}
