//! The divergence model on simulated conversations over a shared system prompt.

#[path = "patterns/random.rs"]
mod random;

use prefix_indexer_analytics::{Divergence, Reliability};
use random::Random;

const MINUTE: u64 = 60_000;

/// Requests of conversations, each a chain of blocks in the order of first sight. A turn keeps all but the last block of
/// the turn before it and adds three; all begin with one of two system prompts of four blocks.
fn conversations(seed: u64, count: usize, end: f64) -> Vec<(u64, Vec<u32>)> {
    let random = &mut Random(seed);
    let mut requests: Vec<(u64, Vec<u64>)> = Vec::new();
    let mut fresh = 100;
    for _ in 0..count {
        let prompt = random.below(2) * 10;
        let mut chain: Vec<u64> = (prompt..prompt + 4).collect();
        let mut now = random.unit() * end;
        loop {
            chain.extend(fresh..fresh + 3);
            fresh += 3;
            requests.push((now as u64, chain.clone()));
            now += 5_000.0 + random.gap(60_000.0);
            if now > end || random.unit() < 0.2 {
                break;
            }
            chain.pop();
        }
    }
    requests.sort();
    let mut numbers = std::collections::HashMap::new();
    let number = |block: u64, numbers: &mut std::collections::HashMap<u64, u32>| {
        let next = numbers.len() as u32;
        *numbers.entry(block).or_insert(next)
    };
    requests
        .into_iter()
        .map(|(time_ms, chain)| (time_ms, chain.into_iter().map(|block| number(block, &mut numbers)).collect()))
        .collect()
}

#[test]
fn calibrated_and_closed_under_ancestors() {
    let end = 2 * 60 * MINUTE;
    let requests = conversations(1, 1_500, end as f64);
    let mut model = Divergence::default();
    let mut seen = 0;
    let mut reliability = Reliability::default();
    for now_ms in (end * 6 / 10..end - 5 * MINUTE).step_by(3 * MINUTE as usize) {
        while requests[seen].0 < now_ms {
            model.observe(requests[seen].0, &requests[seen].1);
            seen += 1;
        }
        let probabilities = model.probabilities(now_ms, MINUTE);
        let mut used = vec![false; model.len()];
        for (_, chain) in requests[seen..].iter().take_while(|request| request.0 < now_ms + MINUTE) {
            for &block in chain {
                if let Some(used) = used.get_mut(block as usize) {
                    *used = true;
                }
            }
        }
        for (&probability, &used) in probabilities.iter().zip(&used) {
            reliability.record(probability, used);
        }
        for (_, chain) in &requests[..seen] {
            let chain = chain.iter().map(|&block| probabilities[block as usize]);
            assert!(chain.is_sorted_by(|parent, child| parent >= child));
        }
    }
    for (from, to, row) in reliability.rows() {
        println!("{from} to {to}: {row:?}");
    }
    let ratio = reliability.ratio().unwrap();
    assert!((0.9..1.1).contains(&ratio), "{ratio}");
    // It tells blocks apart: what comes back is known, and most of what does not, too.
    let (mut sure, mut rest) = (0, 0);
    for (from, _, row) in reliability.rows() {
        *(if from >= 0.3 { &mut sure } else { &mut rest }) += row.observed;
    }
    assert!(sure > rest, "{sure} {rest}");
}

#[test]
fn the_end_of_a_request_is_where_the_next_one_leaves() {
    let mut model = Divergence::default();
    let mut fresh = 0;
    // Each conversation goes on once, ten seconds later, from the last but one block.
    for number in 0..200u64 {
        let chain: Vec<u32> = (fresh..fresh + 4).collect();
        let next: Vec<u32> = (fresh..fresh + 3).chain(fresh + 4..fresh + 6).collect();
        fresh += 6;
        model.observe(number * MINUTE, &chain);
        model.observe(number * MINUTE + 10_000, &next);
    }
    let now_ms = 200 * MINUTE;
    model.observe(now_ms, &[fresh, fresh + 1, fresh + 2, fresh + 3]);
    let probabilities = model.probabilities(now_ms, MINUTE);
    let newest = &probabilities[fresh as usize..];
    assert!(newest[..3].iter().all(|&probability| probability > 0.7), "{newest:?}");
    assert!(newest[3] < 0.1, "{newest:?}");
    assert!(probabilities[6..12].iter().all(|&probability| probability < 0.1), "{:?}", &probabilities[6..12]);
}

#[test]
fn what_a_conversation_leaves_behind_is_unlikely() {
    let mut model = Divergence::default();
    let mut fresh = 0;
    // Every conversation drops the last three blocks of its first request and goes on for good.
    for number in 0..300u64 {
        let start_ms = number * MINUTE;
        let kept = fresh..fresh + 3;
        let mut chain: Vec<u32> = (fresh..fresh + 6).collect();
        fresh += 6;
        model.observe(start_ms, &chain);
        for turn in 1..6 {
            chain = kept.clone().chain(if turn == 1 { 0..0 } else { kept.end + 3..fresh }).collect();
            chain.push(fresh);
            fresh += 1;
            model.observe(start_ms + turn * 10_000, &chain);
        }
    }
    // One more conversation, just after it went on.
    let now_ms = 300 * MINUTE + 40_000;
    let first = fresh;
    model.observe(now_ms - 20_000, &[first, first + 1, first + 2, first + 3, first + 4, first + 5]);
    model.observe(now_ms - 10_000, &[first, first + 1, first + 2, first + 6]);
    let probabilities = model.probabilities(now_ms - 9_000, 30_000);
    let at = |block: u32| probabilities[(first + block) as usize];
    assert!(at(2) > 0.6 && at(6) > 0.6, "goes on: {:?}", &probabilities[first as usize..]);
    assert!(at(3) < 0.1 && at(5) < 0.1, "left behind: {:?}", &probabilities[first as usize..]);
}

#[test]
fn odd_chains() {
    let mut model = Divergence::default();
    model.observe(0, &[]);
    assert!(model.is_empty() && model.probabilities(0, 1).is_empty());
    model.observe(1_000, &[0, 0, 0]);
    model.observe(500, &[0, 1]); // late
    model.observe(2_000, &[1, 0]); // upside down: the first parent stays
    model.observe(2_000, &[0, 7, 8]); // unknown and not next: left out
    model.observe(2_000, &[u32::MAX]);
    assert_eq!(model.len(), 2);
    let probabilities = model.probabilities(0, u64::MAX);
    assert!(probabilities.iter().all(|probability| (0.0..=1.0).contains(probability)), "{probabilities:?}");
}

#[test]
fn state_survives_serialisation() {
    let mut model = Divergence::default();
    let requests = conversations(2, 100, 1_800_000.0);
    let (first, second) = requests.split_at(requests.len() / 2);
    first.iter().for_each(|(time_ms, chain)| model.observe(*time_ms, chain));
    let mut back: Divergence = serde_json::from_str(&serde_json::to_string(&model).unwrap()).unwrap();
    assert_eq!(back, model);
    for (time_ms, chain) in second {
        [&mut back, &mut model].into_iter().for_each(|model| model.observe(*time_ms, chain));
    }
    assert_eq!(back.hazards(1_800_000, MINUTE), model.hazards(1_800_000, MINUTE));
}
