//! The exact eviction policies against naive models, on random traces and capacities.

#![expect(clippy::unwrap_used, reason = "tests")]

use prefix_indexer_models::{EventBatch, PrefixEvent};
use prefix_indexer_simulator::{EVICTIONS, EvictionPolicy, Setup, Trace, TraceBuilder};
use proptest::prelude::*;

/// A trace of requests of one block each.
fn trace(blocks: &[u8]) -> Trace {
    let event = |(time, block): (u64, &u8)| PrefixEvent {
        prefix_id: block.to_string(),
        tenant: "t".to_owned(),
        model_id: "m".to_owned(),
        timestamp_ms: time,
        ..PrefixEvent::default()
    };
    let batch: EventBatch = (0..).zip(blocks).map(event).collect();
    let mut builder = TraceBuilder::new();
    builder.push(&batch).unwrap();
    builder.finish()
}

fn hits(name: &str, trace: &Trace, capacity: u32) -> u64 {
    EvictionPolicy::by_name(name).unwrap().replay(trace, capacity, None).blocks
}

/// A tier as a plain list; `evict` says which place goes, given the places of the uses to come.
fn naive(
    references: &[u32],
    capacity: usize,
    on_hit: impl Fn(&mut Vec<u32>, usize),
    victim: impl Fn(&[u32], usize) -> usize,
) -> u64 {
    let (mut tier, mut hits) = (Vec::new(), 0);
    for (place, &block) in references.iter().enumerate() {
        if let Some(found) = tier.iter().position(|&held| held == block) {
            hits += 1;
            on_hit(&mut tier, found);
        } else if capacity > 0 {
            if tier.len() == capacity {
                tier.remove(victim(&tier, place));
            }
            tier.push(block);
        }
    }
    hits
}

fn naive_lru(references: &[u32], capacity: usize) -> u64 {
    let to_the_end = |tier: &mut Vec<u32>, found: usize| {
        let block = tier.remove(found);
        tier.push(block);
    };
    naive(references, capacity, to_the_end, |_, _| 0)
}

fn naive_fifo(references: &[u32], capacity: usize) -> u64 {
    naive(references, capacity, |_, _| (), |_, _| 0)
}

fn naive_min(references: &[u32], capacity: usize) -> u64 {
    let next = |block: u32, place: usize| references[place..].iter().position(|&other| other == block);
    let furthest = |tier: &[u32], place: usize| {
        (0..tier.len()).max_by_key(|&held| next(tier[held], place).unwrap_or(usize::MAX)).unwrap()
    };
    naive(references, capacity, |_, _| (), furthest)
}

/// SIEVE as the paper's figure 1 has it, over a vector with the newest block last.
fn naive_sieve(references: &[u32], capacity: usize) -> u64 {
    let (mut queue, mut hand, mut hits): (Vec<(u32, bool)>, usize, u64) = (Vec::new(), 0, 0);
    for &block in references {
        if let Some(found) = queue.iter_mut().find(|(held, _)| *held == block) {
            found.1 = true;
            hits += 1;
            continue;
        }
        if capacity == 0 {
            continue;
        }
        if queue.len() == capacity {
            // Towards the newest, and from there to the oldest again.
            if hand >= queue.len() {
                hand = 0;
            }
            while queue[hand].1 {
                queue[hand].1 = false;
                hand = (hand + 1) % queue.len();
            }
            // The next newer block moves into the place of the one that goes. Past the newest, the hand begins anew, even
            // though another block comes in there at once.
            let newest = hand + 1 == queue.len();
            queue.remove(hand);
            if newest {
                hand = 0;
            }
        }
        queue.push((block, false));
    }
    hits
}

/// LFU by looking at every block: fewest uses since it came in, then the one that has had that number the longest.
fn naive_lfu(references: &[u32], capacity: usize) -> u64 {
    let (mut tier, mut hits): (Vec<(u32, u64, usize)>, u64) = (Vec::new(), 0);
    for (place, &block) in references.iter().enumerate() {
        if let Some(found) = tier.iter_mut().find(|(held, ..)| *held == block) {
            *found = (block, found.1 + 1, place);
            hits += 1;
        } else if capacity > 0 {
            if tier.len() == capacity {
                let least = (0..tier.len()).min_by_key(|&held| (tier[held].1, tier[held].2)).unwrap();
                tier.remove(least);
            }
            tier.push((block, 1, place));
        }
    }
    hits
}

proptest! {
    #[test]
    fn exact_policies_equal_naive_ones(blocks in prop::collection::vec(0..24_u8, 0..400), capacity in 0..26_u32) {
        let trace = trace(&blocks);
        let (references, size) = (trace.references(), capacity as usize);
        prop_assert_eq!(hits("lru", &trace, capacity), naive_lru(references, size));
        prop_assert_eq!(hits("fifo", &trace, capacity), naive_fifo(references, size));
        prop_assert_eq!(hits("sieve", &trace, capacity), naive_sieve(references, size));
        prop_assert_eq!(hits("lfu", &trace, capacity), naive_lfu(references, size));
        prop_assert_eq!(hits("min", &trace, capacity), naive_min(references, size));
    }

    #[test]
    fn no_policy_beats_min_or_a_tier_for_all(blocks in prop::collection::vec(0..40_u8, 1..400), capacity in 1..45_u32) {
        let trace = trace(&blocks);
        let most = blocks.len() as u64 - trace.unique_blocks() as u64;
        let bound = hits("min", &trace, capacity);
        for policy in EVICTIONS {
            let hits = policy.replay(&trace, capacity, None).blocks;
            prop_assert!(hits <= bound, "{}: {hits} of {bound}", policy.name);
            if capacity as usize >= trace.unique_blocks() {
                prop_assert_eq!(hits, most, "{}", policy.name);
            }
        }
    }

    #[test]
    fn tiers_hold_what_they_say_and_no_more(
        steps in prop::collection::vec((0..30_u32, any::<bool>()), 0..300),
        capacity in 0..20_u32,
    ) {
        for policy in EVICTIONS.iter().filter(|policy| !policy.clairvoyant) {
            let mut tier = policy.tier(&Setup { capacity, blocks: 30, references: &[] });
            for &(block, asked) in &steps {
                let held = tier.holds(block);
                if asked {
                    prop_assert_eq!(tier.touch(block), held, "{}", policy.name);
                } else {
                    tier.load(block);
                }
                prop_assert_eq!(tier.holds(block), capacity > 0, "{}", policy.name);
                let count = (0..30).filter(|&block| tier.holds(block)).count();
                prop_assert!(count <= capacity as usize, "{}: {count} of {capacity}", policy.name);
            }
        }
    }
}

#[test]
fn prefix_hits_need_all_ancestors() {
    let event = |time: u64, id: &str, parent: Option<&str>| PrefixEvent {
        prefix_id: id.to_owned(),
        tenant: "t".to_owned(),
        model_id: "m".to_owned(),
        timestamp_ms: time,
        parent_id: parent.map(str::to_owned),
        latency_ms: 4.0,
        ..PrefixEvent::default()
    };
    // a b c twice, through a FIFO tier of four blocks, after x and y have driven a out.
    let chain = |time| [event(time, "a", None), event(time, "b", Some("a")), event(time, "c", Some("b"))];
    let batch: EventBatch =
        chain(0).into_iter().chain([event(1, "x", None), event(2, "y", None)]).chain(chain(3)).collect();
    let mut builder = TraceBuilder::new();
    builder.push(&batch).unwrap();
    let trace = builder.finish();
    let latencies = [4.0; 5];
    let check = |capacity, blocks, prefixes, saved_ms| {
        let hits = EvictionPolicy::by_name("lru").unwrap().replay(&trace, capacity, Some(&latencies));
        assert_eq!((hits.references, hits.blocks, hits.prefixes, hits.saved_ms), (8, blocks, prefixes, saved_ms));
    };
    check(5, 3, 3, 12.0);
    // a is gone; bringing it back drives b out, and so on.
    check(4, 0, 0, 0.0);
    let sieve = EvictionPolicy::by_name("sieve").unwrap().replay(&trace, 4, Some(&latencies));
    // The hand takes a, then b when a comes back, then c: nothing was used twice.
    assert_eq!((sieve.blocks, sieve.prefixes), (0, 0));
    let min = EvictionPolicy::by_name("min").unwrap().replay(&trace, 4, Some(&latencies));
    // x goes for y, as it is not used again.
    assert_eq!((min.blocks, min.prefixes), (3, 3));
    let min = EvictionPolicy::by_name("min").unwrap().replay(&trace, 3, Some(&latencies));
    // x drives c out, as its next use is the furthest away.
    assert_eq!((min.blocks, min.prefixes), (2, 2));
}

#[test]
fn names_are_unique_and_unknown_ones_are_told_what_there_is() {
    let names: Vec<&str> = EVICTIONS.iter().map(|policy| policy.name).collect();
    assert_eq!(names, ["lru", "fifo", "lfu", "s3-fifo", "sieve", "arc", "min"]);
    assert!(EVICTIONS.iter().all(|policy| !policy.help.is_empty() && !policy.source.is_empty()));
    let error = EvictionPolicy::by_name("clock").unwrap_err().to_string();
    assert!(error.contains("lru, fifo, lfu, s3-fifo, sieve, arc, min"), "{error}");
}
