//! Events to count, and what they should add up to.

use prefix_indexer_models::{
    EventBatch, IndexSpec, PrefixEvent, PrefixStats, PrefixTable, Shard, SourceId, SourcePosition,
};
use prefix_indexer_storage::{Batch, Commit, Order, Scope, View};

/// A number that looks random and is the same every time.
pub(crate) fn noise(seed: u64) -> u64 {
    let mut word = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Events of some dozens of prefixes, of three tenants and two models, out of order by up to a minute.
pub(crate) fn events(count: u64) -> Vec<PrefixEvent> {
    (0..count).map(event).collect()
}

pub(crate) fn event(number: u64) -> PrefixEvent {
    let random = noise(number);
    let prefix = (random % 8) * (random >> 8 & 7) + (random >> 16) % 30;
    let parent = (random >> 24).is_multiple_of(3).then_some(prefix + 1000);
    PrefixEvent {
        prefix_id: format!("prefix-{prefix}"),
        tenant: format!("tenant-{}", prefix % 3),
        model_id: format!("model-{}", prefix % 2),
        layer: (random >> 32) as u32 % 4,
        page_start: (random >> 40) as u32 % 100,
        page_end: (random >> 40) as u32 % 100 + 9,
        bytes: 4096 + (random >> 20) % 100_000,
        latency_ms: (random >> 12 & 0xffff) as f64 / 128.0,
        timestamp_ms: 1_700_000_000_000 + number * 5_000 - (random >> 48) % 60_000,
        parent_id: parent.map(|parent| format!("prefix-{parent}")),
        depth: (random >> 28).is_multiple_of(2).then_some((random >> 50) as u32 % 9),
        ..PrefixEvent::default()
    }
}

pub(crate) fn batch(events: &[PrefixEvent]) -> Batch {
    Batch { events: events.iter().cloned().collect(), commit: Commit::default() }
}

pub(crate) fn fold(spec: &IndexSpec, events: &[PrefixEvent]) -> PrefixTable {
    let events: EventBatch = events.iter().cloned().collect();
    let mut hashes = Vec::new();
    PrefixTable::hashes(spec, &events, &mut hashes);
    let mut table = PrefixTable::new(spec.clone());
    table.fold(&events, &hashes, Shard::WHOLE, |_| ());
    table
}

/// All rows, sorted by names.
pub(crate) fn stats(view: &View) -> Vec<PrefixStats> {
    let mut stats: Vec<_> = view.rows().map(|row| row.unwrap().to_stats()).collect();
    stats.sort_by(|a, b| (&a.tenant, &a.model_id, &a.prefix_id).cmp(&(&b.tenant, &b.model_id, &b.prefix_id)));
    stats
}

/// Ids of all prefixes, best first.
pub(crate) fn ids(view: &View, order: Order) -> Vec<String> {
    view.ranked(Scope::default(), order).map(|row| row.unwrap().prefix_id().to_owned()).collect()
}

/// Equal but for rounding.
pub(crate) fn close(a: &PrefixStats, b: &PrefixStats) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
    let exact = |stats: &PrefixStats| {
        let mut stats = stats.clone();
        stats.tally.latency_sum_ms = 0.0;
        stats.tally.gaps.smoothed_ms = 0.0;
        stats.decayed.clear();
        stats
    };
    exact(a) == exact(b)
        && near(a.tally.latency_sum_ms, b.tally.latency_sum_ms)
        && near(a.tally.gaps.smoothed_ms, b.tally.gaps.smoothed_ms)
        && a.decayed.len() == b.decayed.len()
        && a.decayed.iter().zip(&b.decayed).all(|(a, b)| near(*a, *b))
}

pub(crate) fn position(path: &str, head: u8, offset: u64) -> SourcePosition {
    SourcePosition {
        source: SourceId { path: path.into(), head: [head; 32] },
        offset,
        lines: offset / 2,
        tail: [7; 32],
    }
}
