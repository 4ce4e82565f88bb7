//! How long an event takes from a decoded batch into the statistics of its prefix.

use crate::harness::{Measurement, Times};
use anyhow::Result;
use prefix_indexer_models::{EventBatch, EventRef, IndexSpec, PrefixTable, Shard};
use std::path::Path;

const EVENTS: u64 = 1_000_000;
const PREFIXES: u64 = 100_000;
const BATCH: u64 = 4_096;

pub(crate) fn run(_scratch: &Path) -> Result<Vec<Measurement>> {
    let batches = batches();
    let spec = IndexSpec::default();
    let mut hashes = Vec::new();
    let times = Times::of_batches(10, 1, |_| {
        let mut table = PrefixTable::new(spec.clone());
        for batch in &batches {
            PrefixTable::hashes(&spec, batch, &mut hashes);
            table.fold(batch, &hashes, Shard::WHOLE, |_| {});
        }
        std::hint::black_box(table.len());
    });
    let note = format!("{EVENTS} events of {PREFIXES} prefixes, one thread");
    Ok(vec![Measurement::new("fold of an event", times.median() / EVENTS as f64, "ns").note(note)])
}

/// Popular prefixes come often: of two random numbers the smaller one, squared.
fn batches() -> Vec<EventBatch> {
    let mut state = 1_u64;
    let mut random = |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (u128::from(state ^ state >> 29) * u128::from(bound) >> 64) as u64
    };
    let (mut batches, mut batch) = (Vec::new(), EventBatch::new());
    for number in 0..EVENTS {
        let least = random(PREFIXES).min(random(PREFIXES));
        let prefix = least * least / PREFIXES;
        batch.push(&EventRef {
            prefix_id: &format!("{:016x}", prefix.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            tenant: ["acme", "globex", "initech"][(prefix % 3) as usize],
            model_id: "llama-3-8b",
            layer: (number % 32) as u32,
            page_start: 0,
            page_end: 31,
            bytes: 1 << 20,
            latency_ms: 2.5,
            timestamp_ms: 1_760_000_000_000 + number * 10,
            parent_id: None,
            depth: None,
            session_id: None,
            event_id: None,
        });
        if batch.len() as u64 == BATCH {
            batches.push(std::mem::take(&mut batch));
        }
    }
    batches.push(batch);
    batches
}
