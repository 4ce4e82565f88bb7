//! Whole traces into an index: in bulk on all cores, or as they are written.

use crate::{PrefixIndexer, ServiceError, TryIngestError, receipts::Receipts};
use prefix_indexer_analytics::{AggregationEngine, NativeEngine};
use prefix_indexer_models::{EventBatch, SourceId, SourcePosition};
use prefix_indexer_storage::{Batch, Commit, Counters, IndexStore};
use prefix_indexer_traces::{Piece, PieceReport, TraceError};
use std::{collections::BTreeMap, time::Duration};

/// What became of some input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IngestReport {
    /// Events counted.
    pub events: u64,
    /// Lines or rows that are no events, where the policy is to go on.
    pub bad_lines: u64,
    /// Events left out because they were counted before.
    pub duplicates: u64,
}

/// Reads pieces to their end and adds what they hold to an index, around the log: when it returns, everything is durable.
///
/// `observe` sees every piece's report in the order of the input: progress, quarantined lines, how an input was opened. The
/// engine's limit on prefixes bounds the memory; an input with more of them is added in several steps, each of which
/// commits how far the input has been read.
///
/// # Errors
/// The first error in the order of the input. What earlier steps committed stays, and reading the input again goes on behind it.
pub fn ingest_pieces(
    store: &mut dyn IndexStore,
    mut pieces: impl Iterator<Item = Result<Piece, TraceError>> + Send,
    engine: NativeEngine,
    mut observe: impl FnMut(&PieceReport) -> Result<(), ServiceError> + Send,
) -> Result<IngestReport, ServiceError> {
    let spec = store.spec().clone();
    let mut total = IngestReport::default();
    loop {
        let mut step = IngestReport::default();
        let mut positions: BTreeMap<SourceId, SourcePosition> = BTreeMap::new();
        let admit = |events: &mut EventBatch, report: PieceReport| {
            observe(&report)?;
            step.bad_lines += report.bad_lines;
            step.duplicates += store.admit(events);
            if let Some(position) = report.position {
                positions.insert(position.source.clone(), position);
            }
            Ok(())
        };
        let decode = |piece: Piece, events: &mut EventBatch| piece.decode(events).map_err(ServiceError::from);
        let pulled = pieces.by_ref().map(|piece| piece.map_err(ServiceError::from));
        let aggregate = engine.aggregate(&spec, pulled, decode, admit);
        let aggregate = aggregate.inspect_err(|_| store.abandon())?;
        step.events = aggregate.events;
        let counters = Counters {
            events: step.events,
            bytes: aggregate.bytes,
            duplicates: step.duplicates,
            parent_conflicts: aggregate.tables.iter().map(|table| table.parent_conflicts()).sum(),
            parent_cycles: 0,
        };
        let commit = Commit { batch_id: None, sources: positions.into_values().collect() };
        store.load(aggregate.tables, &commit, counters)?;
        total.add(&step);
        if aggregate.exhausted {
            return Ok(total);
        }
    }
}

/// Hands pieces to a running index as they come, durably and with how far the input has been read, until they end. Waits
/// when the queue is full.
///
/// `observe` sees every piece's report in the order of the input.
///
/// # Errors
/// The first of reading, or of a write.
pub fn follow_pieces(
    indexer: &PrefixIndexer,
    pieces: impl Iterator<Item = Result<Piece, TraceError>>,
    mut observe: impl FnMut(&PieceReport) -> Result<(), ServiceError>,
) -> Result<IngestReport, ServiceError> {
    let mut report = IngestReport::default();
    let mut receipts = Receipts::default();
    for piece in pieces {
        let mut events = EventBatch::new();
        let decoded = piece?.decode(&mut events)?;
        observe(&decoded)?;
        report.bad_lines += decoded.bad_lines;
        let sources: Vec<SourcePosition> = decoded.position.into_iter().collect();
        if events.is_empty() && sources.is_empty() {
            continue;
        }
        receipts.push(submit(indexer, Batch { events, commit: Commit { batch_id: None, sources } })?);
        receipts.collect_ready(&mut report)?;
    }
    receipts.collect_all(&mut report)?;
    Ok(report)
}

/// Waits for room in the queue.
fn submit(indexer: &PrefixIndexer, mut batch: Batch) -> Result<crate::Receipt, ServiceError> {
    loop {
        let commit = batch.commit.clone();
        match indexer.try_ingest_durable(batch) {
            Ok(receipt) => return Ok(receipt),
            Err(TryIngestError::Full(events)) => {
                std::thread::sleep(Duration::from_millis(1));
                batch = Batch { events, commit };
            }
            Err(TryIngestError::Closed(_)) => return Err(ServiceError::Closed),
        }
    }
}

impl IngestReport {
    pub(crate) fn add(&mut self, other: &IngestReport) {
        self.events += other.events;
        self.bad_lines += other.bad_lines;
        self.duplicates += other.duplicates;
    }
}
