//! More rows than a page, a list of the best or one thread takes.

use crate::support::{Index, assert_answers, bytes_of_table, expected, nowhere, open};
use prefix_indexer_models::{EventBatch, IndexSpec, PrefixEvent, PrefixTable, Shard};
use prefix_indexer_storage::{Order, Scope, View, write_tables};
use std::sync::Arc;

fn events(count: u64, tenants: u64, models: u64) -> impl Iterator<Item = PrefixEvent> {
    (0..count).map(move |n| {
        let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        PrefixEvent {
            prefix_id: format!("p{n}"),
            tenant: format!("t{}", mixed % tenants),
            model_id: format!("m{}", mixed % models),
            parent_id: (n % 3 == 0).then(|| format!("p{}", n + 1)),
            timestamp_ms: 1_700_000_000_000 + mixed % 50_000_000,
            ..PrefixEvent::default()
        }
    })
}

fn table(events: &[PrefixEvent], shard: Shard) -> PrefixTable {
    let spec = IndexSpec::default();
    let batch: EventBatch = events.iter().cloned().collect();
    let mut hashes = Vec::new();
    PrefixTable::hashes(&spec, &batch, &mut hashes);
    let mut table = PrefixTable::new(spec);
    table.fold(&batch, &hashes, shard, |_| ());
    table
}

/// Every list is longer than the list of the best, so that queries go on with the partitions.
#[test]
fn more_rows_than_the_list_of_the_best() {
    let mut index = Index::new(IndexSpec::default());
    let all: Vec<PrefixEvent> = events(4_000, 9, 2).collect();
    index.append(&all);
    for round in 1..4u64 {
        let again: Vec<PrefixEvent> = all
            .iter()
            .skip(round as usize)
            .step_by(3)
            .map(|event| PrefixEvent { timestamp_ms: event.timestamp_ms + round * 3_000_000, ..event.clone() })
            .collect();
        index.append(&again);
    }
    let stats = index.stats();
    assert_answers(&index.view(), &stats);
    index.merge(0..2);
    index.merge(0..3);
    assert_answers(&index.view(), &stats);
}

/// Tables are shards of one another's prefixes; two threads write them.
#[test]
fn shards_and_threads_make_no_difference() {
    let all: Vec<PrefixEvent> = events(40_000, 300, 3).collect();
    let whole = bytes_of_table(&table(&all, Shard::WHOLE));
    let shards: Vec<PrefixTable> = (0..3).map(|index| table(&all, Shard { index, count: 3 })).collect();
    let parts: Vec<_> = shards.iter().rev().map(Into::into).collect();
    let mut sharded = Vec::new();
    write_tables(&IndexSpec::default(), &parts, 40_000, &mut sharded, nowhere()).unwrap();
    assert!(whole == sharded);
    let segment = open(whole);
    segment.verify().unwrap();
    assert_eq!(segment.partitions(), 300);
}

/// One tenant and model, and more rows than are copied to be ranked.
#[test]
fn one_large_partition() {
    let all: Vec<PrefixEvent> = events(70_000, 1, 1).collect();
    let table = table(&all, Shard::WHOLE);
    let segment = open(bytes_of_table(&table));
    segment.verify().unwrap();
    let view = View::new(IndexSpec::default(), vec![Arc::new(segment)]).unwrap();
    let stats: Vec<_> = table.rows().map(|row| row.to_stats()).collect();
    for order in [Order::Rung(1), Order::Recency] {
        let listed = view.ranked(Scope::default(), order).map(|row| row.unwrap().to_stats());
        assert!(listed.eq(expected(view.spec(), &stats, Scope::default(), order)));
    }
}

#[test]
fn a_hundred_thousand_partitions() {
    let all: Vec<PrefixEvent> =
        events(100_000, 1, 1).enumerate().map(|(n, event)| PrefixEvent { tenant: format!("t{n}"), ..event }).collect();
    let table = table(&all, Shard::WHOLE);
    let segment = open(bytes_of_table(&table));
    segment.verify().unwrap();
    assert_eq!(segment.partitions(), 100_000);
    let view = View::new(IndexSpec::default(), vec![Arc::new(segment)]).unwrap();
    let stats: Vec<_> = table.rows().map(|row| row.to_stats()).collect();
    for (model_id, count) in [(None, 3_000), (Some("m0"), 3_000)] {
        let scope = Scope { tenant: None, model_id };
        let listed = view.ranked(scope, Order::Rung(0)).take(count).map(|row| row.unwrap().to_stats());
        assert!(listed.eq(expected(view.spec(), &stats, scope, Order::Rung(0)).into_iter().take(count)));
    }
    let one = Scope { tenant: Some("t77777"), model_id: Some("m0") };
    assert_eq!(view.ranked(one, Order::Recency).map(|row| row.unwrap().prefix_id()).collect::<Vec<_>>(), ["p77777"]);
}

/// Ranks say nothing, keys decide: in the queue of partitions that begin, in the heap of those that go on, and between them.
#[test]
fn partitions_whose_rows_rank_alike() {
    let alike = |event: PrefixEvent| PrefixEvent { timestamp_ms: event.timestamp_ms % 7 + 1_700_000_000_000, ..event };
    let all: Vec<PrefixEvent> = events(6_000, 201, 2).map(alike).collect();
    let table = table(&all, Shard::WHOLE);
    let view = View::new(IndexSpec::default(), vec![Arc::new(open(bytes_of_table(&table)))]).unwrap();
    let stats: Vec<_> = table.rows().map(|row| row.to_stats()).collect();
    for order in [Order::Rung(0), Order::Recency] {
        for scope in [Scope::default(), Scope { tenant: None, model_id: Some("m1") }] {
            let listed = view.ranked(scope, order).map(|row| row.unwrap().to_stats());
            assert!(listed.eq(expected(view.spec(), &stats, scope, order)));
        }
    }
}
