//! The same statistics whatever the number of threads, and an end to every run whatever fails.
#![expect(clippy::unwrap_used, reason = "tests")]

use prefix_indexer_analytics::{Aggregate, AggregationEngine, NativeEngine};
use prefix_indexer_models::{EventBatch, IndexSpec, PrefixEvent, PrefixStats};
use std::{
    collections::HashSet,
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
};

const EVENTS_A_PIECE: u64 = 7;

fn engine(threads: u32, max_prefixes: usize) -> NativeEngine {
    NativeEngine::new(NonZeroU32::new(threads).unwrap(), max_prefixes)
}

/// The events of a piece: few prefixes come often, most once; the time is not in order.
fn events(piece: u64) -> impl Iterator<Item = PrefixEvent> {
    (piece * EVENTS_A_PIECE..(piece + 1) * EVENTS_A_PIECE).map(|number| {
        let random = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let prefix = if random % 3 == 0 { random % 10 } else { random % 5_000 };
        PrefixEvent {
            prefix_id: format!("prefix-{prefix}"),
            tenant: format!("tenant-{}", prefix % 3),
            model_id: "m".into(),
            bytes: random % 4096,
            latency_ms: random as f64 / 1e6,
            timestamp_ms: 1_700_000_000_000 + number * 1_000 - random % 500_000,
            parent_id: (prefix % 2 == 0).then(|| format!("parent-{}", random % 4)),
            ..PrefixEvent::default()
        }
    })
}

fn decode(piece: u64, batch: &mut EventBatch) -> Result<u64, String> {
    assert!(batch.is_empty());
    events(piece).for_each(|event| batch.push(&event.as_ref()));
    Ok(piece)
}

fn statistics(aggregate: &Aggregate) -> Vec<PrefixStats> {
    let mut rows: Vec<_> = aggregate.tables.iter().flat_map(|table| table.rows()).collect();
    rows.sort_by_key(|row| row.key);
    rows.iter().map(|row| row.to_stats()).collect()
}

fn run(threads: u32, pieces: u64) -> (Aggregate, Vec<u64>) {
    let mut admitted = Vec::new();
    let aggregate = engine(threads, usize::MAX)
        .aggregate(&IndexSpec::default(), (0..pieces).map(Ok::<_, String>), decode, |_, piece| {
            admitted.push(piece);
            Ok(())
        })
        .unwrap();
    (aggregate, admitted)
}

#[test]
fn threads_change_nothing() {
    for pieces in [0, 1, 2, 9, 400] {
        let (one, _) = run(1, pieces);
        let all: Vec<_> = (0..pieces).flat_map(events).collect();
        assert_eq!(one.events, pieces * EVENTS_A_PIECE);
        assert_eq!(one.bytes, all.iter().map(|event| event.bytes).sum());
        assert_eq!(one.newest_ms, all.iter().map(|event| event.timestamp_ms).max());
        assert_eq!(one.prefixes(), all.iter().map(|event| &event.prefix_id).collect::<HashSet<_>>().len());
        assert!(one.exhausted);
        for threads in 1..6 {
            let (many, admitted) = run(threads, pieces);
            assert_eq!(admitted, (0..pieces).collect::<Vec<_>>(), "in order, each once");
            assert_eq!(many.tables.len(), threads as usize);
            assert_eq!(statistics(&many), statistics(&one), "{threads} threads, {pieces} pieces");
            assert_eq!((many.events, many.bytes, many.newest_ms), (one.events, one.bytes, one.newest_ms));
        }
    }
}

#[test]
fn admission_removes_events() {
    for threads in 1..4 {
        let keep = |id: &str| id.ends_with(['1', '3', '5', '7', '9']);
        let aggregate = engine(threads, usize::MAX)
            .aggregate(&IndexSpec::default(), (0..50).map(Ok::<_, String>), decode, |batch, _| {
                batch.retain(|event| keep(event.prefix_id));
                Ok(())
            })
            .unwrap();
        let kept: Vec<_> = (0..50).flat_map(events).filter(|event| keep(&event.prefix_id)).collect();
        assert_eq!(aggregate.events, kept.len() as u64);
        assert_eq!(aggregate.bytes, kept.iter().map(|event| event.bytes).sum());
        let hits: u64 = statistics(&aggregate).iter().map(|stats| stats.tally.hit_count).sum();
        assert_eq!(hits, aggregate.events);
    }
}

/// Something fails at every position, and at a later one too: the first in the order of the input is returned, all
/// before it is admitted, nothing after it, and the run ends.
#[test]
fn the_first_error_in_input_order_is_returned() {
    const PIECES: u64 = 20;
    for threads in [1, 2, 3, 8] {
        for first in 0..PIECES {
            for kind in 0..3 {
                for second in [first + 1, first + 3, PIECES] {
                    for second_kind in 0..3 {
                        let fails =
                            |piece, at: u64| (piece == first && kind == at) || (piece == second && second_kind == at);
                        let mut admitted = Vec::new();
                        let pieces = (0..PIECES).map(|piece| if fails(piece, 0) { Err(piece) } else { Ok(piece) });
                        let result = engine(threads, usize::MAX).aggregate(
                            &IndexSpec::default(),
                            pieces,
                            |piece, batch| {
                                if piece == first {
                                    std::thread::yield_now();
                                }
                                if fails(piece, 1) { Err(piece) } else { decode(piece, batch).map_err(|_| piece) }
                            },
                            |_, piece| {
                                if fails(piece, 2) {
                                    return Err(piece);
                                }
                                admitted.push(piece);
                                Ok(())
                            },
                        );
                        assert_eq!(
                            result.err(),
                            Some(first),
                            "{threads} threads, {first} {kind} {second} {second_kind}"
                        );
                        assert_eq!(admitted, (0..first).collect::<Vec<_>>());
                    }
                }
            }
        }
    }
}

/// Rounds end where the input says, not where threads happen to be; nothing is lost between them.
#[test]
fn full_tables_end_a_round_at_the_same_piece() {
    const PIECES: u64 = 600;
    let rounds = |threads| {
        let mut pieces = (0..PIECES).map(Ok::<_, String>);
        let mut rounds = Vec::new();
        loop {
            let round =
                engine(threads, 300).aggregate(&IndexSpec::default(), &mut pieces, decode, |_, _| Ok(())).unwrap();
            assert!(round.prefixes() <= 300 + (33 * EVENTS_A_PIECE) as usize);
            rounds.push((round.events, statistics(&round)));
            if round.exhausted {
                return rounds;
            }
            assert!(round.prefixes() >= 300);
        }
    };
    let one = rounds(1);
    assert!(one.len() > 5, "{} rounds", one.len());
    assert_eq!(one.iter().map(|(events, _)| events).sum::<u64>(), PIECES * EVENTS_A_PIECE);
    for threads in 2..5 {
        assert!(rounds(threads) == one, "{threads} threads");
    }
}

/// However long the input, only so many pieces are taken that have not been admitted.
#[test]
fn pieces_in_flight_are_bounded() {
    for threads in [1, 2, 4, 20] {
        let (pulled, admitted) = (AtomicU64::new(0), AtomicU64::new(0));
        let pieces = (0..500).map(|piece| {
            let ahead = pulled.fetch_add(1, Ordering::SeqCst) - admitted.load(Ordering::SeqCst);
            assert!(ahead <= u64::from(4 * threads).min(32), "{ahead} ahead");
            Ok::<_, String>(piece)
        });
        engine(threads, usize::MAX)
            .aggregate(&IndexSpec::default(), pieces, decode, |_, _| {
                admitted.fetch_add(1, Ordering::SeqCst);
                Ok(())
            })
            .unwrap();
        assert_eq!(admitted.load(Ordering::SeqCst), 500);
    }
}

/// A panic in the caller's function comes out as a panic; the other workers do not wait for the piece.
#[test]
fn a_panic_ends_the_run() {
    for threads in 1..5 {
        for place in 0..3 {
            let at = |piece: u64, here| assert!(!(piece == 30 && place == here), "on purpose");
            let run = std::panic::AssertUnwindSafe(|| {
                engine(threads, usize::MAX).aggregate(
                    &IndexSpec::default(),
                    (0..60).map(|piece| {
                        at(piece, 0);
                        Ok(piece)
                    }),
                    |piece, batch| {
                        at(piece, 1);
                        decode(piece, batch)
                    },
                    |_, piece| {
                        at(piece, 2);
                        Ok(())
                    },
                )
            });
            assert!(std::panic::catch_unwind(run).is_err());
        }
    }
}
