//! The steady scenario: rows without a prefetcher are replays; a prefetcher brings back what a tier has lost.

#![expect(clippy::unwrap_used, reason = "tests")]

use prefix_indexer_models::{EventBatch, PrefixEvent};
use prefix_indexer_simulator::{
    Access, Capacity, Costs, EVICTIONS, EvictionPolicy, Share, SimulatorError, TierSpec, Trace, TraceBuilder,
    scenarios::{
        restart,
        steady::{self, Options, Row},
    },
};

/// Requests of one block of 1,000 bytes each.
fn trace(requests: &[(u64, &str)]) -> Trace {
    let event = |&(timestamp_ms, id): &(u64, &str)| PrefixEvent {
        prefix_id: id.to_owned(),
        tenant: "t".to_owned(),
        model_id: "m".to_owned(),
        bytes: 1_000,
        timestamp_ms,
        ..PrefixEvent::default()
    };
    let mut builder = TraceBuilder::new();
    builder.push(&requests.iter().map(event).collect::<EventBatch>()).unwrap();
    builder.finish()
}

/// a is popular; x, y and z drive it out of a tier of two; then it comes back.
fn crowded() -> Trace {
    trace(&[(0, "a"), (1_000, "a"), (2_000, "a"), (3_000, "x"), (3_000, "y"), (3_000, "z"), (9_000, "a"), (9_500, "w")])
}

fn options(evictions: &[&str], capacity: u64) -> Options {
    Options {
        evictions: evictions.iter().map(|name| EvictionPolicy::by_name(name).unwrap()).collect(),
        capacities: vec![Capacity::Blocks(capacity)],
        costs: Costs { tokens_per_block: Some(16), prefill_us_per_token: Some(1_000.0) },
        interval_ms: 5_000,
        blocks_per_round: 1,
        ..Options::default()
    }
}

fn run(trace: &Trace, options: &Options, prefetchers: &[&str]) -> Vec<Row> {
    steady::run(trace, options, &mut restart::formula_rankers(Some(prefetchers)).unwrap(), |_, _| ()).unwrap()
}

#[test]
fn without_a_prefetcher_a_row_is_a_replay() {
    let trace = crowded();
    let options = Options {
        evictions: EVICTIONS.iter().collect(),
        capacities: vec![Capacity::Blocks(2), Capacity::Share(Share::percent(50))],
        ..options(&[], 0)
    };
    let rows = run(&trace, &options, &[]);
    assert_eq!(rows.len(), EVICTIONS.len() * 2);
    for (row, policy) in rows.chunks(2).zip(EVICTIONS) {
        // Half of five blocks, rounded down, are two.
        assert_eq!((row[0].capacity_blocks, row[1].capacity_blocks), (2, 2));
        let hits = policy.replay(&trace, 2, None);
        for row in row {
            assert_eq!((row.eviction, row.prefetch.as_deref(), row.references), (policy.name, None, 8));
            assert_eq!((row.block_hits, row.prefix_hits), (hits.blocks, hits.prefixes));
            assert_eq!(row.block_hit_ratio, Some(hits.blocks as f64 / 8.0));
            assert_eq!((row.tokens_saved, row.saved_ms), (Some(16 * hits.prefixes), Some(16.0 * hits.prefixes as f64)));
        }
    }
    let json = serde_json::to_value(&rows[1]).unwrap();
    for name in
        ["eviction", "prefetch", "capacity_blocks", "references", "block_hits", "prefix_hits", "block_hit_ratio"]
    {
        assert!(json.get(name).is_some(), "{name}");
    }
    assert_eq!(json["capacity"], "50%");
}

#[test]
fn a_prefetcher_brings_back_what_was_lost() {
    let rows = run(&crowded(), &options(&["lru"], 2), &["most-frequent", "most-recent"]);
    let [none, frequent, recent] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((none.prefetch.as_deref(), none.block_hits), (None, 2));
    // At 5,000 the two that rank highest are a, which is gone, and one of x, y and z.
    assert_eq!((frequent.prefetch.as_deref(), frequent.block_hits), (Some("most-frequent"), 3));
    assert_eq!((frequent.prefetched_blocks, frequent.prefetch_used, frequent.bytes_moved), (1, 1, 1_000));
    assert_eq!((frequent.prefetch_precision, frequent.prefetch_coverage), (Some(1.0), Some(1.0)));
    // The most recent two are x and y; the tier has y and z.
    assert_eq!((recent.block_hits, recent.prefetched_blocks, recent.prefetch_used), (2, 1, 0));
    assert_eq!((recent.prefetch_precision, recent.prefetch_coverage), (Some(0.0), Some(0.0)));
}

#[test]
fn lower_tiers_serve_what_the_first_one_lost_and_take_their_time() {
    let cold = |latency_ms| TierSpec {
        name: "cold".to_owned(),
        capacity: None,
        access: Access { latency_ms, bytes_per_second: Some(1e6) },
    };
    let slow = Options { lower: vec![cold(5.0)], ..options(&["lru"], 2) };
    let [row] = &run(&crowded(), &slow, &[])[..] else { panic!("one row") };
    // Three references to a spare 16 ms each; the last one waits for 1 ms of transfer and 5 ms of latency.
    assert_eq!((row.block_hits, row.tokens_saved, row.saved_ms), (2, Some(48), Some(42.0)));
    assert_eq!((row.lower[0].name.as_str(), row.lower[0].block_hits, row.lower[0].bytes_read), ("cold", 1, 1_000));
    // With a prefetch it waits for nothing; with one that takes longer than the four seconds left, it has it from below.
    let rows = run(&crowded(), &slow, &["most-frequent"]);
    assert_eq!((rows[1].saved_ms, rows[1].prefetch_late), (Some(48.0), 0));
    let slower = Options { lower: vec![cold(4_500.0)], ..options(&["lru"], 2) };
    let rows = run(&crowded(), &slower, &["most-frequent"]);
    assert_eq!((rows[1].prefetch_used, rows[1].prefetch_late, rows[1].saved_ms), (0, 1, Some(32.0)));
}

#[test]
fn looking_ahead_is_for_one_tier_without_a_prefetcher() {
    let rows = run(&crowded(), &options(&["min", "lru"], 2), &["most-recent"]);
    let names: Vec<(&str, Option<&str>)> = rows.iter().map(|row| (row.eviction, row.prefetch.as_deref())).collect();
    assert_eq!(names, [("min", None), ("lru", None), ("lru", Some("most-recent"))]);
    let cold = TierSpec { name: "cold".to_owned(), capacity: None, access: Access::default() };
    let refused = steady::run(&crowded(), &Options { lower: vec![cold], ..options(&["min"], 2) }, &mut [], |_, _| ());
    assert!(matches!(refused, Err(SimulatorError::Clairvoyant { name: "min" })));
}

#[test]
fn a_long_silence_costs_no_rounds() {
    let trace = trace(&[(0, "a"), (1 << 50, "a")]);
    let options = Options { interval_ms: 1, ..options(&["lru"], 1) };
    let rows = run(&trace, &options, &["most-recent"]);
    assert_eq!((rows[1].block_hits, rows[1].prefetched_blocks), (1, 0));
}

#[test]
fn an_empty_trace_has_no_ratio() {
    let rows = run(&TraceBuilder::new().finish(), &options(&["lru", "arc"], 2), &["decay-5m"]);
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| row.references == 0 && row.block_hit_ratio.is_none()));
}
