//! What is in the fixture: segments of a flush and of a bulk load, learned state, remembered ids, sources, and a log.

use prefix_indexer_models::{
    EventBatch, IndexSpec, KeyPolicy, Ladder, PrefixEvent, PrefixTable, Shard, SourceId, SourcePosition, Utility,
};
use prefix_indexer_storage::{Batch, BatchId, Commit, Counters, OpenOptions, StorageError, StoreKind, open};
use std::{num::NonZeroU32, path::Path};

/// Events of the parts: flushed, loaded, only logged.
pub(crate) const PARTS: [std::ops::Range<u64>; 3] = [0..120, 120..240, 240..300];
/// Name, version and content of the side file.
pub(crate) const SIDE: (&str, u32, &[u8]) = ("learned", 7, b"what was learned");

pub(crate) fn spec() -> Result<IndexSpec, StorageError> {
    Ok(IndexSpec {
        ladder: Ladder::new(&[60_000, 300_000, 3_600_000])?,
        utility: Utility::Bytes,
        key_policy: KeyPolicy { layer_band: None, page_band: NonZeroU32::new(64) },
    })
}

pub(crate) fn make(dir: &Path) -> Result<(), StorageError> {
    let spec = spec()?;
    let mut store = open(StoreKind::Segments, dir, OpenOptions { spec: Some(spec.clone()), ..OpenOptions::default() })?;
    let [flushed, loaded, logged] = PARTS;
    store.append(&[Batch { events: events(flushed), commit: commit(1) }])?;
    store.put_side(SIDE.0, SIDE.1, SIDE.2)?;
    store.flush()?;
    let events_of = events(loaded);
    let counters =
        Counters { events: events_of.len() as u64, bytes: events_of.bytes().iter().sum(), ..Counters::default() };
    store.load(vec![fold(&spec, &events_of)], &commit(2), counters)?;
    store.append(&[Batch { events: events(logged), commit: commit(3) }])?;
    Ok(())
}

pub(crate) fn fold(spec: &IndexSpec, events: &EventBatch) -> PrefixTable {
    let mut hashes = Vec::new();
    PrefixTable::hashes(spec, events, &mut hashes);
    let mut table = PrefixTable::new(spec.clone());
    table.fold(events, &hashes, Shard::WHOLE, |_| ());
    table
}

pub(crate) fn commit(number: u64) -> Commit {
    let source = SourceId { path: format!("/traces/{number}.jsonl"), head: [number as u8; 32] };
    let position = SourcePosition { source, offset: number * 100, lines: number, tail: [9; 32] };
    Commit { batch_id: Some(BatchId([number as u8; 16])), sources: vec![position] }
}

/// In the order of time, so that parts merge exactly.
pub(crate) fn events(numbers: std::ops::Range<u64>) -> EventBatch {
    numbers.map(event).collect()
}

fn event(number: u64) -> PrefixEvent {
    let prefix = number * 7 % 23;
    PrefixEvent {
        prefix_id: format!("prefix-{prefix}"),
        tenant: if prefix.is_multiple_of(4) { "häuser".to_owned() } else { "acme".to_owned() },
        model_id: format!("model-{}", prefix % 2),
        layer: (number % 3) as u32,
        page_start: (prefix * 16) as u32,
        page_end: (prefix * 16 + number % 5) as u32,
        bytes: 1000 + number * 13,
        latency_ms: number as f64 / 16.0,
        timestamp_ms: 1_700_000_000_000 + number * 12_345,
        parent_id: (prefix > 2).then(|| format!("prefix-{}", prefix / 2)),
        depth: (!number.is_multiple_of(3)).then_some((prefix % 6) as u32),
        session_id: Some(format!("session-{}", number % 9)),
        event_id: number.is_multiple_of(2).then(|| format!("event-{number}")),
    }
}
