//! The same answers as a plain model, and no merge changes one.

use crate::support::{Index, assert_answers, bytes_of, open};
use prefix_indexer_models::{IndexSpec, KeyPolicy, Ladder, PrefixEvent, Utility};
use prefix_indexer_storage::Segment;
use proptest::prelude::*;
use std::{num::NonZeroU32, sync::Arc};

fn event() -> impl Strategy<Value = PrefixEvent> {
    let names = (0..12u8, 0..4u8, 0..3u8, prop::option::of(0..14u8));
    let numbers =
        (0..3u32, 0..100u32, 0..50u32, prop_oneof![Just(0), 0..1u64 << 40], prop_oneof![Just(0.0), 0.0..5e3f64]);
    (names, numbers, time()).prop_map(|(names, (layer, page_start, pages, bytes, latency_ms), timestamp_ms)| {
        let (id, tenant, model, parent) = names;
        PrefixEvent {
            prefix_id: format!("p{id}"),
            tenant: format!("tenant {tenant}"),
            model_id: format!("model {model}"),
            layer,
            page_start,
            page_end: page_start + pages,
            bytes,
            latency_ms,
            timestamp_ms,
            parent_id: parent.filter(|&parent| parent != id).map(|parent| format!("p{parent}")),
            depth: (layer > 0).then_some(layer),
            ..PrefixEvent::default()
        }
    })
}

/// Near each other, far apart, and equal.
fn time() -> impl Strategy<Value = u64> {
    prop_oneof![0..1_000u64, 0..100_000_000u64, Just(1_700_000_000_000), 0..4_000_000_000_000u64, Just(i64::MAX as u64)]
}

fn spec() -> impl Strategy<Value = IndexSpec> {
    let ladder = prop_oneof![
        Just(vec![60_000, 300_000, 1_200_000, 3_600_000, 21_600_000]),
        Just(vec![1]),
        Just(vec![777, 30_000, 3_600_001]),
        Just(vec![1, 2, 3, 5, 7, 11, 13, 17]),
    ];
    let utility = prop_oneof![Just(Utility::Hits), Just(Utility::Bytes), Just(Utility::Latency)];
    let band = || prop::option::of(1..40u32).prop_map(|band| band.and_then(NonZeroU32::new));
    (ladder, utility, band(), band()).prop_map(|(ladder, utility, layer_band, page_band)| IndexSpec {
        ladder: Ladder::new(&ladder).unwrap(),
        utility,
        key_policy: KeyPolicy { layer_band, page_band },
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn agree_with_the_model_whatever_is_merged(
        spec in spec(),
        batches in prop::collection::vec(prop::collection::vec(event(), 1..60), 1..7),
        merges in prop::collection::vec((0..6usize, 2..4usize), 0..4),
    ) {
        let mut index = Index::new(spec);
        batches.iter().for_each(|batch| index.append(batch));
        let stats = index.stats();
        assert_answers(&index.view(), &stats);
        for (start, length) in merges {
            if start + length <= index.segments.len() {
                index.merge(start..start + length);
                assert_answers(&index.view(), &stats);
            }
        }
        let parts: Vec<&Segment> = index.segments.iter().map(|segment| &**segment).collect();
        let bytes = bytes_of(&parts, &index.spec);
        prop_assert_eq!(&bytes, &crate::support::bytes_of_table(&index.table), "merged or built: the same bytes");
        index.segments = vec![Arc::new(open(bytes))];
        assert_answers(&index.view(), &stats);
    }
}
