//! How long an event takes from a decoded batch into the statistics of its prefix.

use crate::{
    harness::{Measurement, Times},
    synthetic::{Random, START_MS, uses},
};
use anyhow::Result;
use prefix_indexer_models::{EventBatch, IndexSpec, PrefixTable, Shard};
use std::path::Path;

const BATCHES: u64 = 250;
const BATCH: usize = 4_000;
const PREFIXES: u64 = 100_000;

pub(crate) fn run(_scratch: &Path) -> Result<Vec<Measurement>> {
    let mut random = Random(1);
    let mut batch = |number: u64| -> EventBatch {
        let prefixes: Vec<u64> = (0..BATCH).map(|_| random.popular(PREFIXES)).collect();
        uses(prefixes.into_iter(), START_MS + number * 60_000, &mut random)
    };
    let batches: Vec<EventBatch> = (0..BATCHES).map(&mut batch).collect();
    let events = batches.iter().map(EventBatch::len).sum::<usize>();
    let spec = IndexSpec::default();
    let (mut hashes, mut prefixes) = (Vec::new(), 0);
    let times = Times::of_batches(10, 1, |_| {
        let mut table = PrefixTable::new(spec.clone());
        for batch in &batches {
            PrefixTable::hashes(&spec, batch, &mut hashes);
            table.fold(batch, &hashes, Shard::WHOLE, |_| {});
        }
        prefixes = table.len();
    });
    let note = format!("{events} events of {prefixes} prefixes, one thread");
    Ok(vec![Measurement::new("fold of an event", times.median() / events as f64, "ns").note(note)])
}
