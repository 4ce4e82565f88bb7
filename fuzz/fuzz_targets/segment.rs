//! A segment of any bytes is an error or can be read: no panic, no endless loop.
//!
//! Checksums would stop nearly every input at the door, so under `cfg(fuzzing)` storage takes them for right: what is met
//! here is what somebody could write who computes them. The first byte of an input says whether the rest is a file, or places
//! and values to change in a good one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prefix_indexer_models::{EventBatch, EventRef, IndexSpec, PrefixTable, Shard};
use prefix_indexer_storage::{Order, Scope, Segment, Source, View, write_tables};
use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

/// A good segment of several pages, tenants and models.
fn sample() -> &'static [u8] {
    static SAMPLE: OnceLock<Vec<u8>> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let mut batch = EventBatch::new();
        for n in 0..60u64 {
            let name = |kind: &str, number: u64| format!("{kind}{number}");
            let (prefix_id, parent) = (name("prefix-", n % 23), name("prefix-", n % 37 + 1));
            batch.push(&EventRef {
                prefix_id: &prefix_id,
                tenant: &name("tenant-", n % 3),
                model_id: &name("model-", n % 2),
                layer: 0,
                page_start: 0,
                page_end: n as u32,
                bytes: n,
                latency_ms: 1.5,
                timestamp_ms: 1_700_000_000_000 + n * 77_777,
                parent_id: (parent != prefix_id).then_some(&parent),
                depth: None,
                session_id: None,
                event_id: None,
            });
        }
        let spec = IndexSpec::default();
        let mut hashes = Vec::new();
        PrefixTable::hashes(&spec, &batch, &mut hashes);
        let mut table = PrefixTable::new(spec.clone());
        table.fold(&batch, &hashes, Shard::WHOLE, |_| ());
        let mut bytes = Vec::new();
        let written = write_tables(&spec, &[(&table).into()], table.len() as u64, &mut bytes, Path::new("sample"));
        assert_eq!(written.ok(), Some(bytes.len() as u64));
        bytes
    })
}

fn patched(changes: &[u8]) -> Vec<u8> {
    let mut bytes = sample().to_vec();
    for change in changes.chunks_exact(3) {
        // From the end: directory and tail are there, then tables and lists.
        let from_end = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
        let at = bytes.len() - 1 - from_end;
        bytes[at] = change[2];
    }
    bytes
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    let bytes = if kind % 2 == 0 { rest.to_vec() } else { patched(rest) };
    let Ok(segment) = Segment::open(Source::heap(bytes), Path::new("fuzzed")) else { return };
    let _ = segment.verify();
    let spec = segment.spec().clone();
    let segment = Arc::new(segment);
    let Ok(good) = Segment::open(Source::heap(sample().to_vec()), Path::new("sample")) else { return };
    let mut segments = vec![segment];
    if good.spec() == &spec {
        segments.push(Arc::new(good));
    }
    let parts: Vec<&Segment> = segments.iter().map(|segment| &**segment).collect();
    if let Ok(merged) = Segment::merge(&spec, &parts, &mut |row| row.hit_count() != 2) {
        let _ = merged.verify();
    }
    let Ok(view) = View::new(spec.clone(), segments) else { return };
    for tenant in [None, Some("tenant-1")] {
        for model_id in [None, Some("model-1")] {
            for order in (0..spec.ladder.len()).map(Order::Rung).chain([Order::Recency]) {
                for row in view.ranked(Scope { tenant, model_id }, order).take(5_000).flatten() {
                    let _ = row.recommend(0, u64::MAX);
                    let _ = view.get(&row.key());
                }
            }
        }
    }
    let mut table = PrefixTable::new(spec);
    for row in view.rows().take(5_000).flatten() {
        let stats = row.to_stats();
        let names = [stats.tenant.as_str(), &stats.model_id, &stats.prefix_id];
        table.merge(names, stats.parent_id.as_deref(), &stats.tally, &stats.decayed);
    }
});
