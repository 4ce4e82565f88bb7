//! Unlikely shapes: nothing, everything equal, one huge id, weights of zero, rungs that have nothing in common.

use crate::support::{Index, assert_answers, bytes_of, bytes_of_table, open};
use prefix_indexer_models::{IndexSpec, Ladder, PrefixEvent, PrefixKey, PrefixTable, Utility};
use prefix_indexer_storage::{Order, Scope, Segment, StorageError, View};
use std::sync::Arc;

fn event(prefix_id: &str, timestamp_ms: u64) -> PrefixEvent {
    PrefixEvent {
        prefix_id: prefix_id.into(),
        tenant: "t".into(),
        model_id: "m".into(),
        timestamp_ms,
        ..PrefixEvent::default()
    }
}

/// Each batch its own segment, then all merged, then as a file.
fn check(spec: IndexSpec, batches: &[Vec<PrefixEvent>]) -> Index {
    let mut index = Index::new(spec);
    batches.iter().for_each(|batch| index.append(batch));
    let stats = index.stats();
    assert_answers(&index.view(), &stats);
    let parts: Vec<&Segment> = index.segments.iter().map(|segment| &**segment).collect();
    let bytes = bytes_of(&parts, &index.spec);
    assert_eq!(bytes, bytes_of_table(&index.table));
    index.segments = vec![Arc::new(open(bytes))];
    assert_answers(&index.view(), &stats);
    index
}

fn with(ladder: &[u64], utility: Utility) -> IndexSpec {
    IndexSpec { ladder: Ladder::new(ladder).unwrap(), utility, ..IndexSpec::default() }
}

#[test]
fn nothing() {
    let spec = IndexSpec::default();
    for segment in [Segment::build(&spec, &[], 0), Segment::merge(&spec, &[], &mut |_| true)] {
        let segment = segment.unwrap();
        assert!(segment.is_empty() && segment.newest_ms() == 0);
        segment.verify().unwrap();
        assert!(segment.get(&PrefixKey::default()).unwrap().is_none());
    }
    let empty = open(bytes_of_table(&PrefixTable::new(spec.clone())));
    empty.verify().unwrap();
    for segments in [vec![], vec![Arc::new(empty)]] {
        assert_answers(&View::new(spec.clone(), segments).unwrap(), &[]);
    }
}

#[test]
fn ties_break_by_key() {
    let names: Vec<String> = (0..500).map(|n| format!("p{n}")).collect();
    let batch: Vec<PrefixEvent> = names.iter().map(|name| event(name, 1_700_000_000_000)).collect();
    let index = check(IndexSpec::default(), &[batch[..300].to_vec(), batch]);
    let view = index.view();
    for order in [Order::Rung(2), Order::Recency] {
        let keys: Vec<PrefixKey> = view
            .ranked(Scope::default(), order)
            .map(|row| row.unwrap())
            .filter(|row| row.hit_count() == 2)
            .map(|row| row.key())
            .collect();
        assert_eq!(keys.len(), 300);
        assert!(keys.is_sorted());
    }
}

#[test]
fn ladders_of_one_to_eight_rungs_without_a_common_span() {
    let rungs = [1, 7, 1_001, 30_011, 86_399_999, 604_800_001, 2_592_000_007, 300_000_000_000];
    for count in 1..=rungs.len() {
        let batches: Vec<Vec<PrefixEvent>> = (0..3u64)
            .map(|batch| {
                (0..20).map(|n| event(&format!("p{}", n % 9), 1_700_000_000_000 + batch * 977 + n * n * 13)).collect()
            })
            .collect();
        check(with(&rungs[..count], Utility::Hits), &batches);
    }
}

#[test]
fn weights_of_zero_are_listed_last() {
    let sized = |id: &str, at: u64, bytes: u64| PrefixEvent { bytes, ..event(id, at) };
    let batch = vec![sized("a", 5, 0), sized("b", 9, 0), sized("c", 1, 3)];
    let index = check(with(&[1_000], Utility::Bytes), &[batch]);
    let view = index.view();
    let listed: Vec<&str> = view.ranked(Scope::default(), Order::Rung(0)).map(|row| row.unwrap().prefix_id()).collect();
    assert_eq!(listed[0], "c");
    assert_eq!(listed.len(), 3);
}

/// A use that weighs nothing, long after the others, moves the landmark so far that the sum is lost: the newest row ranks
/// behind the row that it supersedes, and still only it counts.
#[test]
fn a_newer_row_may_rank_behind_the_one_it_supersedes() {
    let sized = |id: &str, at: u64, bytes: u64| PrefixEvent { bytes, ..event(id, at) };
    let far = 1_000_000_000;
    let batches = [
        vec![sized("a", 5, 100), sized("b", 6, 50), sized("d", 7, 1)],
        vec![sized("a", far, 0), sized("c", 8, 70)],
        vec![sized("b", far, 0), sized("a", far + 1, 0)],
        vec![sized("b", far + 2, 9)],
    ];
    let index = check(with(&[1_000, 7_777], Utility::Bytes), &batches);
    let view = index.view();
    let listed: Vec<&str> = view.ranked(Scope::default(), Order::Rung(0)).map(|row| row.unwrap().prefix_id()).collect();
    assert_eq!(listed, ["b", "c", "d", "a"]);
}

#[test]
fn one_huge_id_among_small_ones() {
    let huge = "x".repeat(1 << 20);
    let child = PrefixEvent { parent_id: Some(huge.clone()), ..event("child", 3) };
    let foreign = PrefixEvent { parent_id: Some("y".repeat(1 << 20)), ..event("orphan", 3) };
    let index =
        check(IndexSpec::default(), &[vec![event("a", 1), event(&huge, 2), child.clone()], vec![child, foreign]]);
    let view = index.view();
    let parents: Vec<usize> = view.rows().filter_map(|row| row.unwrap().parent_id().map(str::len)).collect();
    assert_eq!(parents, [1 << 20, 1 << 20]);
}

#[test]
fn other_settings_are_refused() {
    let (spec, other) = (IndexSpec::default(), with(&[1], Utility::Hits));
    let segment = Arc::new(Segment::build(&spec, &[], 0).unwrap());
    assert!(matches!(View::new(other.clone(), vec![segment.clone()]), Err(StorageError::Spec(_))));
    assert!(matches!(Segment::merge(&other, &[&segment], &mut |_| true), Err(StorageError::Spec(_))));
    assert!(matches!(Segment::build(&other, &[(&PrefixTable::new(spec)).into()], 0), Err(StorageError::Spec(_))));
}
