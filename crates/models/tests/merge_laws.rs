//! The laws of merging: which parts commute and associate exactly, which to rounding, which only approximately.
#![expect(clippy::unwrap_used, reason = "tests")]

use prefix_indexer_models::{EventBatch, IndexSpec, Ladder, PrefixEvent, PrefixStats, PrefixTable, Shard, Utility};
use proptest::prelude::*;

fn event() -> impl Strategy<Value = PrefixEvent> {
    (
        0..4u8,
        0..3u32,
        0..100u32,
        0..50u32,
        0..1u64 << 40,
        0.0..5e3f64,
        time(),
        prop::option::of(0..3u8),
        prop::option::of(0..9u32),
    )
        .prop_map(|(id, layer, page_start, pages, bytes, latency_ms, timestamp_ms, parent, depth)| PrefixEvent {
            prefix_id: format!("p{id}"),
            tenant: "acme".into(),
            model_id: "m".into(),
            layer,
            page_start,
            page_end: page_start + pages,
            bytes,
            latency_ms,
            timestamp_ms,
            parent_id: parent.map(|parent| format!("q{parent}")),
            depth,
            ..PrefixEvent::default()
        })
}

/// Near each other, far apart, and equal.
fn time() -> impl Strategy<Value = u64> {
    prop_oneof![0..1_000u64, 0..100_000_000u64, Just(1_700_000_000_000), 0..4_000_000_000_000u64]
}

fn spec() -> impl Strategy<Value = IndexSpec> {
    let ladder = prop_oneof![Just(Ladder::default()), Just(Ladder::new(&[777, 30_000, 3_600_001]).unwrap())];
    let utility = prop_oneof![Just(Utility::Hits), Just(Utility::Bytes), Just(Utility::Latency)];
    (ladder, utility).prop_map(|(ladder, utility)| IndexSpec { ladder, utility, ..IndexSpec::default() })
}

fn fold(spec: &IndexSpec, events: &[PrefixEvent]) -> PrefixTable {
    let batch: EventBatch = events.iter().cloned().collect();
    let mut hashes = Vec::new();
    PrefixTable::hashes(spec, &batch, &mut hashes);
    let mut table = PrefixTable::new(spec.clone());
    table.fold(&batch, &hashes, Shard::WHOLE, |_| ());
    table
}

fn merged(spec: &IndexSpec, parts: &[&PrefixTable]) -> Vec<PrefixStats> {
    let mut table = PrefixTable::new(spec.clone());
    for row in parts.iter().flat_map(|part| part.rows()) {
        table.merge([row.tenant, row.model_id, row.prefix_id], row.parent_id, row.tally, row.sums);
    }
    sorted(&table)
}

fn sorted(table: &PrefixTable) -> Vec<PrefixStats> {
    let mut stats: Vec<_> = table.rows().map(|row| row.to_stats()).collect();
    stats.sort_by(|a, b| a.prefix_id.cmp(&b.prefix_id));
    stats
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

/// Everything but gaps and parents: exact but for the rounding of sums.
fn assert_same_counts(a: &[PrefixStats], b: &[PrefixStats]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        let exact = |s: &PrefixStats| {
            let t = s.tally;
            (
                (s.prefix_id.clone(), t.hit_count, t.total_bytes, t.footprint_bytes, t.first_seen_ms, t.last_seen_ms),
                (t.layer_min, t.layer_max, t.page_start, t.page_end, t.depth),
            )
        };
        assert_eq!(exact(a), exact(b));
        assert!(close(a.tally.latency_sum_ms, b.tally.latency_sum_ms));
        for (x, y) in a.decayed.iter().zip(&b.decayed) {
            assert!(close(*x, *y), "{x} {y}");
        }
    }
}

proptest! {
    #[test]
    fn merging_parts_equals_folding_the_whole(
        spec in spec(), events in prop::collection::vec(event(), 1..60), cut in 0..60usize,
    ) {
        let (a, b) = events.split_at(cut.min(events.len()));
        let whole = fold(&spec, &events);
        assert_same_counts(&merged(&spec, &[&fold(&spec, a), &fold(&spec, b)]), &sorted(&whole));
    }

    #[test]
    fn merging_commutes(spec in spec(), a in prop::collection::vec(event(), 0..30), b in prop::collection::vec(event(), 0..30)) {
        let (a, b) = (fold(&spec, &a), fold(&spec, &b));
        let (ab, ba) = (merged(&spec, &[&a, &b]), merged(&spec, &[&b, &a]));
        assert_same_counts(&ab, &ba);
        for (x, y) in ab.iter().zip(&ba) {
            prop_assert_eq!(&x.parent_id, &y.parent_id);
            prop_assert_eq!(x.tally.gaps.histogram, y.tally.gaps.histogram);
            prop_assert!(close(x.tally.gaps.smoothed_ms, y.tally.gaps.smoothed_ms));
        }
    }

    #[test]
    fn merging_associates(
        spec in spec(),
        parts in prop::collection::vec(prop::collection::vec(event(), 0..20), 3),
    ) {
        let tables: Vec<_> = parts.iter().map(|part| fold(&spec, part)).collect();
        let join = |stats: Vec<PrefixStats>| {
            let mut table = PrefixTable::new(spec.clone());
            for s in &stats {
                table.merge([&s.tenant, &s.model_id, &s.prefix_id], s.parent_id.as_deref(), &s.tally, &s.decayed);
            }
            table
        };
        let left = merged(&spec, &[&join(merged(&spec, &[&tables[0], &tables[1]])), &tables[2]]);
        let right = merged(&spec, &[&tables[0], &join(merged(&spec, &[&tables[1], &tables[2]]))]);
        assert_same_counts(&left, &right);
        for (x, y) in left.iter().zip(&right) {
            prop_assert_eq!(&x.parent_id, &y.parent_id);
        }
    }

    #[test]
    fn gaps_of_parts_that_follow_each_other_merge_exactly(
        mut events in prop::collection::vec(event(), 1..60), cut in 0..60usize,
    ) {
        events.sort_by_key(|event| event.timestamp_ms);
        let spec = IndexSpec::default();
        let (a, b) = events.split_at(cut.min(events.len()));
        let parts = merged(&spec, &[&fold(&spec, a), &fold(&spec, b)]);
        for (part, whole) in parts.iter().zip(sorted(&fold(&spec, &events))) {
            let (x, y) = (part.tally.gaps, whole.tally.gaps);
            prop_assert_eq!((x.first_ms, x.last_ms, x.histogram), (y.first_ms, y.last_ms, y.histogram));
            // first_ms stops at 49.7 days, which is where "exactly" ends for the smoothed gap as well.
            if x.histogram[7] == 0 {
                prop_assert!(close(x.smoothed_ms, y.smoothed_ms), "{} {}", x.smoothed_ms, y.smoothed_ms);
            }
        }
    }

    #[test]
    fn scores_are_decayed_sums_and_ranks_order_them(
        spec in spec(), events in prop::collection::vec(event(), 1..60), later in 0..100_000_000u64,
    ) {
        let table = fold(&spec, &events);
        let now = events.iter().map(|event| event.timestamp_ms).max().unwrap() + later;
        for (rung, half_life) in spec.ladder.half_lives_ms().enumerate() {
            let mut ranked = Vec::new();
            for row in table.rows() {
                let expect: f64 = events
                    .iter()
                    .filter(|event| event.prefix_id == row.prefix_id)
                    .map(|event| {
                        let age = (now - event.timestamp_ms) as f64 / half_life as f64;
                        spec.utility.weight(&event.as_ref()) * (-age).exp2()
                    })
                    .sum();
                let score = spec.ladder.score(rung, row.tally.last_seen_ms, row.sums[rung], now);
                prop_assert!(expect < 1e-290 || close(score, expect), "{score} {expect}");
                ranked.push((spec.ladder.rank(rung, row.tally.last_seen_ms, row.sums[rung]), score));
            }
            ranked.sort_by_key(|(rank, _)| *rank);
            for pair in ranked.windows(2) {
                prop_assert!(pair[0].1 <= pair[1].1 * (1.0 + 1e-12));
            }
        }
    }

    #[test]
    fn shards_are_a_partition(events in prop::collection::vec(event(), 0..200), count in 1..5u32) {
        let spec = IndexSpec::default();
        let batch: EventBatch = events.iter().cloned().collect();
        let mut hashes = Vec::new();
        PrefixTable::hashes(&spec, &batch, &mut hashes);
        let shards: Vec<_> = (0..count)
            .map(|index| {
                let mut table = PrefixTable::new(spec.clone());
                table.fold(&batch, &hashes, Shard { index, count }, |_| ());
                table
            })
            .collect();
        let together = merged(&spec, &shards.iter().collect::<Vec<_>>());
        prop_assert_eq!(together, sorted(&fold(&spec, &events)));
    }
}
