//! Events for measurements: 10,000 tenants of 0.01 % each, ids of 20 bytes, every other prefix with a parent.

use prefix_indexer_models::{EventBatch, EventRef, PrefixTable, Shard};

pub(crate) const TENANTS: u64 = 10_000;
pub(crate) const START_MS: u64 = 1_760_000_000_000;
pub(crate) const DAY_MS: u64 = 86_400_000;

/// SplitMix64: numbers without a pattern, the same in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(x ^ (x >> 31)) * u128::from(bound)) >> 64) as u64
    }

    /// A prefix of `bound`, low numbers more often: the product of two uniform numbers.
    pub(crate) fn popular(&mut self, bound: u64) -> u64 {
        self.below(bound) * self.below(bound) / bound
    }
}

pub(crate) fn prefix_id(number: u64) -> String {
    format!("prefix-{number:013}")
}

pub(crate) fn tenant(number: u64) -> String {
    format!("tenant-{:05}", number % TENANTS)
}

/// One use of each of these prefixes, within a day from `at_ms`.
pub(crate) fn uses(numbers: impl Iterator<Item = u64>, at_ms: u64, random: &mut Random) -> EventBatch {
    let mut batch = EventBatch::new();
    for number in numbers {
        let parent = prefix_id(number.saturating_sub(TENANTS));
        batch.push(&EventRef {
            prefix_id: &prefix_id(number),
            tenant: &tenant(number),
            model_id: "llama-3-70b",
            layer: 0,
            page_start: 0,
            page_end: 31,
            bytes: 1 << 20,
            latency_ms: 12.5,
            timestamp_ms: at_ms + random.below(DAY_MS),
            parent_id: (number % 2 == 0 && number >= TENANTS).then_some(&parent),
            depth: None,
            session_id: None,
            event_id: None,
        });
    }
    batch
}

/// Folds one use of each of these prefixes, and returns the numbers that they have in the table, each once.
pub(crate) fn fold(
    table: &mut PrefixTable,
    mut numbers: impl Iterator<Item = u64>,
    at_ms: u64,
    random: &mut Random,
) -> Vec<u32> {
    let (mut hashes, mut touched) = (Vec::new(), Vec::new());
    loop {
        let batch = uses(numbers.by_ref().take(50_000), at_ms, random);
        if batch.is_empty() {
            break;
        }
        PrefixTable::hashes(table.spec(), &batch, &mut hashes);
        table.fold(&batch, &hashes, Shard::WHOLE, |number| touched.push(number));
    }
    touched.sort_unstable();
    touched.dedup();
    touched
}
