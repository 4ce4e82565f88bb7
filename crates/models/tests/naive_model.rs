//! A table against the plainest model there is: a list of events per prefix, added up when asked.
#![expect(clippy::unwrap_used, reason = "tests")]

use prefix_indexer_models::{
    EventBatch, IndexSpec, KeyPolicy, Ladder, PrefixEvent, PrefixKey, PrefixTable, Shard, TableRow, Utility,
};
use proptest::prelude::*;
use std::{collections::BTreeMap, num::NonZeroU32};

fn event() -> impl Strategy<Value = PrefixEvent> {
    let id = prop_oneof![
        (0..6u8).prop_map(|n| format!("p{n}")),
        (0..4u8).prop_map(|n| format!("{}{n}", "long-".repeat(9))),
        (0..4u8).prop_map(|n| format!("sixteen-bytes-{n:02}")),
    ];
    let time = prop_oneof![0..1_000u64, 0..100_000_000u64, Just(1_700_000_000_000), 0..4_000_000_000_000u64];
    let bytes = prop_oneof![0..1_000_000u64, Just(i64::MAX as u64)];
    let numbers = (0..9u32, 0..100u32, 0..50u32, prop::option::of(0..9u32));
    (id, 0..2u8, numbers, bytes, 0.0..5e3f64, time, prop::option::of(0..4u8)).prop_map(
        |(prefix_id, tenant, (layer, page_start, pages, depth), bytes, latency_ms, timestamp_ms, parent)| PrefixEvent {
            prefix_id,
            tenant: format!("tenant-{tenant}"),
            model_id: "m".into(),
            layer,
            page_start,
            page_end: page_start + pages,
            bytes,
            latency_ms,
            timestamp_ms,
            parent_id: parent.map(|parent| format!("a-parent-with-a-name-{parent}")),
            depth,
            ..PrefixEvent::default()
        },
    )
}

fn spec() -> impl Strategy<Value = IndexSpec> {
    let ladder = prop_oneof![
        Just(Ladder::default()),
        Just(Ladder::new(&[777, 30_000, 3_600_001]).unwrap()),
        Just(Ladder::new(&[1]).unwrap()),
        Just(Ladder::new(&[1, 2, 3, 5, 7, 11, 13, 3_652 * 86_400_000]).unwrap()),
    ];
    let band = || prop_oneof![Just(None), Just(NonZeroU32::new(4)), Just(NonZeroU32::new(1))];
    (ladder, prop::sample::select(Utility::ALL.to_vec()), band(), band()).prop_map(
        |(ladder, utility, layer_band, page_band)| IndexSpec {
            ladder,
            utility,
            key_policy: KeyPolicy { layer_band, page_band },
        },
    )
}

fn check(spec: &IndexSpec, row: TableRow<'_>, events: &[&PrefixEvent]) {
    let tally = row.tally;
    let newest = events.iter().map(|e| e.timestamp_ms).max().unwrap();
    assert_eq!(tally.hit_count, events.len() as u64);
    assert_eq!(tally.total_bytes, events.iter().fold(0u64, |sum, e| sum.saturating_add(e.bytes)));
    let at_newest = events.iter().filter(|e| e.timestamp_ms == newest);
    assert_eq!(tally.footprint_bytes, at_newest.map(|e| e.bytes).max().unwrap());
    assert_eq!(tally.first_seen_ms, events.iter().map(|e| e.timestamp_ms).min().unwrap());
    assert_eq!(tally.last_seen_ms, newest);
    assert_eq!(tally.layer_min, events.iter().map(|e| e.layer).min().unwrap());
    assert_eq!(tally.layer_max, events.iter().map(|e| e.layer).max().unwrap());
    assert_eq!(tally.page_start, events.iter().map(|e| e.page_start).min().unwrap());
    assert_eq!(tally.page_end, events.iter().map(|e| e.page_end).max().unwrap());
    assert_eq!(tally.depth, events.iter().filter_map(|e| e.depth).min());
    let latency: f64 = events.iter().map(|e| e.latency_ms).sum();
    assert!((tally.latency_sum_ms - latency).abs() <= 1e-12 * latency);

    let digest = |parent: &&str| PrefixKey::new(KeyPolicy::default(), row.tenant, row.model_id, parent, 0, 0);
    assert_eq!(row.parent_id, events.iter().filter_map(|e| e.parent_id.as_deref()).min_by_key(digest));

    // A use older than the newest adds no gap, nor does one at the same time.
    let (mut last, mut gaps) = (events[0].timestamp_ms, Vec::new());
    for event in events {
        if event.timestamp_ms > last {
            gaps.push(event.timestamp_ms - last);
            last = event.timestamp_ms;
        }
    }
    assert_eq!(tally.gaps.count() as usize, gaps.len());
    let smoothed = gaps.iter().map(|&gap| gap as f64).reduce(|state, gap| state + 0.3 * (gap - state));
    assert!((tally.gaps.smoothed_ms - smoothed.unwrap_or(0.0)).abs() <= 1e-9 * tally.gaps.smoothed_ms);

    for (rung, half_life) in spec.ladder.half_lives_ms().enumerate() {
        let decayed = |e: &&PrefixEvent| {
            let age = newest - e.timestamp_ms;
            let weight = spec.utility.weight(&e.as_ref()) * (-((age % half_life) as f64 / half_life as f64)).exp2();
            weight * 0.5f64.powi((age / half_life).min(2000) as i32)
        };
        let expect: f64 = events.iter().map(decayed).sum();
        let score = spec.ladder.score(rung, newest, row.sums[rung], newest);
        assert!((score - expect).abs() <= 1e-13 * expect + 1e-290, "{} {score} {expect}", spec.ladder);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// In any order of events and times, with bands, with several batches, and with hashes so poor that everything collides.
    #[test]
    fn a_table_is_what_its_events_add_up_to(
        spec in spec(),
        events in prop::collection::vec(event(), 1..150),
        cut in 0..150usize,
        hash_bits in prop::sample::select(vec![0u32, 1, 33, 64]),
    ) {
        let mut table = PrefixTable::new(spec.clone());
        let mut hashes = Vec::new();
        let (a, b) = events.split_at(cut.min(events.len()));
        for part in [a, b] {
            let batch: EventBatch = part.iter().cloned().collect();
            PrefixTable::hashes(&spec, &batch, &mut hashes);
            hashes.iter_mut().for_each(|hash| *hash &= (u64::MAX).checked_shl(64 - hash_bits).unwrap_or(0));
            table.fold(&batch, &hashes, Shard::WHOLE, |_| ());
        }
        let mut model: BTreeMap<PrefixKey, Vec<&PrefixEvent>> = BTreeMap::new();
        for e in &events {
            let key = PrefixKey::new(spec.key_policy, &e.tenant, &e.model_id, &e.prefix_id, e.layer, e.page_start);
            model.entry(key).or_default().push(e);
        }
        prop_assert_eq!(table.len(), model.len());
        for row in table.rows() {
            let events = &model[&row.key];
            prop_assert!(events.iter().all(|e| e.prefix_id == row.prefix_id && e.tenant == row.tenant));
            check(&spec, row, events);
        }
    }
}

/// The index of a table grows many times while it is filled, and still finds everything.
#[test]
fn a_large_table_finds_what_it_holds() {
    let spec = IndexSpec::default();
    let mut table = PrefixTable::new(spec.clone());
    let mut hashes = Vec::new();
    for round in 0..2 {
        for start in (0..30_000).step_by(1_000) {
            let name = |n: usize| PrefixEvent {
                prefix_id: format!("prefix-{n}"),
                tenant: format!("tenant-{}", n % 7),
                model_id: "m".into(),
                timestamp_ms: (round * 30_000 + n) as u64,
                ..PrefixEvent::default()
            };
            let batch: EventBatch = (start..start + 1_000).map(name).collect();
            PrefixTable::hashes(&spec, &batch, &mut hashes);
            let mut number = start as u32;
            table.fold(&batch, &hashes, Shard::WHOLE, |touched| {
                assert_eq!(touched, number);
                number += 1;
            });
        }
    }
    assert_eq!(table.len(), 30_000);
    assert!(table.rows().all(|row| row.tally.hit_count == 2 && row.tally.gaps.last_ms == 30_000));
}
