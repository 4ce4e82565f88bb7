//! What is chosen, against every other choice where there are few, and against an upper bound where there are many.
#![expect(clippy::unwrap_used, reason = "tests")]

use prefix_indexer_analytics::planner::{Block, Limits, Parent, Selection, choose};

struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

fn block(parent: Option<u32>, bytes: u64, saving_ms: f64) -> Block {
    let parent = parent.map_or(Parent::None, Parent::Block);
    Block { parent, bytes, saving_ms, recompute_ms: None, resident: false, quota: None }
}

/// A forest of one of several tastes.
fn forest(count: usize, taste: u64, random: &mut Random) -> Vec<Block> {
    let mut blocks = Vec::new();
    for number in 0..count as u64 {
        let parent = (number > 0 && random.below(4) > taste % 3).then(|| random.below(number) as u32);
        let bytes = match taste % 4 {
            0 => 10,
            1 => 1 + random.below(100),
            2 => 1 << random.below(12),
            _ => random.below(5),
        };
        let saving = match taste % 5 {
            0 => random.below(1_000) as f64 / 7.0,
            1 => bytes as f64 + random.below(10) as f64,
            2 => (1 << random.below(14)) as f64,
            3 => random.below(3) as f64,
            _ => 1.0 / (1 + random.below(50)) as f64,
        };
        blocks.push(Block { resident: random.below(9) == 0, ..block(parent, bytes, saving) });
    }
    blocks
}

fn is_resident(blocks: &[Block], number: u32) -> bool {
    let block = blocks[number as usize];
    let above = match block.parent {
        Parent::None => true,
        Parent::Block(parent) => is_resident(blocks, parent),
        Parent::Unknown => false,
    };
    block.resident && above
}

/// What a set of blocks saves: those whose ancestors are there, without what would be of use anyway.
fn saving(blocks: &[Block], chosen: &[u32]) -> f64 {
    let mut there: Vec<bool> = blocks.iter().map(|block| block.resident).collect();
    chosen.iter().for_each(|&number| there[number as usize] = true);
    let useful = |number: usize| {
        let mut at = number;
        loop {
            match blocks[at].parent {
                _ if !there[at] => return false,
                Parent::None => return true,
                Parent::Unknown => return false,
                Parent::Block(parent) => at = parent as usize,
            }
        }
    };
    (0..blocks.len())
        .filter(|&number| useful(number) && !is_resident(blocks, number as u32))
        .map(|number| blocks[number].saving_ms)
        .sum()
}

/// Every entry once, behind its parents, nothing that is resident, and within the limits.
fn check_valid(blocks: &[Block], limits: &Limits, selection: &Selection) {
    let mut there: Vec<bool> = blocks.iter().map(|block| block.resident).collect();
    let (mut bytes, mut quotas) = (0, limits.quotas.clone());
    for &number in &selection.blocks {
        let block = blocks[number as usize];
        assert!(!there[number as usize], "{number} is there");
        assert_ne!(block.parent, Parent::Unknown, "{number} cannot be closed");
        if let Parent::Block(parent) = block.parent {
            assert!(there[parent as usize], "{number} comes before its parent");
        }
        there[number as usize] = true;
        bytes += block.bytes;
        if let Some(quota) = block.quota {
            quotas[quota as usize] = quotas[quota as usize].checked_sub(block.bytes).unwrap();
        }
    }
    assert!(bytes <= limits.bytes);
}

/// The best of all choices, by trying them: blocks in an order where parents come first.
fn exhaustive(blocks: &[Block], limits: &Limits) -> f64 {
    fn go(blocks: &[Block], place: usize, chosen: &mut Vec<u32>, limits: &Limits, best: &mut f64) {
        if place == blocks.len() {
            *best = best.max(saving(blocks, chosen));
            return;
        }
        let block = blocks[place];
        let carried = match block.parent {
            Parent::None => true,
            Parent::Block(parent) => blocks[parent as usize].resident || chosen.contains(&parent),
            Parent::Unknown => false,
        };
        let quota = block.quota.map(|quota| limits.quotas[quota as usize]);
        let fits = block.bytes <= limits.bytes && quota.is_none_or(|left| block.bytes <= left);
        if carried && fits && !block.resident {
            let mut left = limits.clone();
            left.bytes -= block.bytes;
            if let Some(quota) = block.quota {
                left.quotas[quota as usize] -= block.bytes;
            }
            chosen.push(place as u32);
            go(blocks, place + 1, chosen, &left, best);
            chosen.pop();
        }
        go(blocks, place + 1, chosen, limits, best);
    }
    let mut best = 0.0;
    go(blocks, 0, &mut Vec::new(), limits, &mut best);
    best
}

#[test]
fn small_forests_are_chosen_as_well_as_by_trying_everything() {
    let mut random = Random(1);
    for round in 0..600_u64 {
        let count = if round % 100 == 0 { 20 } else { 1 + random.below(13) as usize };
        let mut blocks = forest(count, round, &mut random);
        let all: u64 = blocks.iter().map(|block| block.bytes).sum();
        let mut limits = Limits { bytes: random.below(all + 2), ..Limits::default() };
        if round % 3 == 0 {
            limits.quotas = vec![random.below(all + 2), random.below(all / 2 + 2)];
            for number in 0..count {
                blocks[number].quota = match blocks[number].parent {
                    Parent::Block(parent) => blocks[parent as usize].quota,
                    _ => [None, Some(0), Some(1)][random.below(3) as usize],
                };
            }
        }
        let selection = choose(&blocks, &limits);
        check_valid(&blocks, &limits, &selection);
        let (found, best) = (saving(&blocks, &selection.blocks), exhaustive(&blocks, &limits));
        assert!(found >= best * 0.999_999, "round {round}: {found} of {best}: {blocks:?} {limits:?}");
    }
}

/// The densest first, the last one in part: more than any choice can save.
fn upper_bound(blocks: &[Block], bytes: u64) -> f64 {
    let all = choose(blocks, &Limits { bytes: u64::MAX, ..Limits::default() }).blocks;
    let (mut left, mut bound, mut at) = (bytes as f64, 0.0, 0);
    while at < all.len() && left > 0.0 {
        // The densest of what can come next, as a whole.
        let (mut saved, mut taken, mut best) = (0.0, 0.0, (f64::NEG_INFINITY, 0.0, 0.0, at + 1));
        for (end, &number) in all.iter().enumerate().skip(at) {
            saved += blocks[number as usize].saving_ms;
            taken += blocks[number as usize].bytes as f64;
            if saved / taken > best.0 {
                best = (saved / taken, saved, taken, end + 1);
            }
            if end > at + 2_000 {
                break;
            }
        }
        bound += best.1 * f64::min(1.0, left / best.2);
        left -= best.2;
        at = best.3;
    }
    bound
}

#[test]
fn large_forests_come_close_to_what_nothing_can_exceed() {
    let mut random = Random(2);
    for round in 0..12 {
        let mut blocks = forest(3_000, [1, 5, 9][round % 3], &mut random);
        blocks.iter_mut().for_each(|block| block.resident = false);
        let all: u64 = blocks.iter().map(|block| block.bytes).sum();
        for share in [50, 10, 3] {
            let limits = Limits { bytes: all / share, ..Limits::default() };
            let selection = choose(&blocks, &limits);
            check_valid(&blocks, &limits, &selection);
            let (found, bound) = (saving(&blocks, &selection.blocks), upper_bound(&blocks, limits.bytes));
            assert!(found <= bound * (1.0 + 1e-9) && found >= 0.97 * bound, "{round}, 1/{share}: {found} of {bound}");
        }
    }
}

fn check(blocks: &[Block], limits: &Limits, expect: &[u32]) {
    let selection = choose(blocks, limits);
    check_valid(blocks, limits, &selection);
    assert_eq!(selection.blocks, expect, "{blocks:?}");
}

fn bytes(bytes: u64) -> Limits {
    Limits { bytes, ..Limits::default() }
}

#[test]
fn roots_come_first_and_the_densest_before_the_rest() {
    check(&[], &bytes(10), &[]);
    check(&[block(None, 1, 1.0)], &bytes(0), &[]);
    check(&[block(None, 2, 2.0), block(Some(0), 1, 9.0), block(None, 1, 3.0)], &bytes(9), &[0, 1, 2]);
    // Ten of one, or the two others: the densest is not the best.
    check(&[block(None, 1, 2.0), block(None, 10, 10.0)], &bytes(10), &[1]);
    // What saves nothing is not loaded, unless something that does stands on it.
    check(&[block(None, 1, 0.0), block(None, 1, 0.0), block(Some(1), 1, 1.0)], &bytes(9), &[1, 2]);
    // A chain that does not fit whole is worth nothing in part.
    check(&[block(None, 6, 0.0), block(Some(0), 6, 90.0), block(None, 6, 1.0)], &bytes(11), &[2]);
}

#[test]
fn resident_blocks_close_chains_for_nothing() {
    let chain = [block(None, 5, 1.0), block(Some(0), 5, 1.0), block(Some(1), 5, 9.0)];
    let resident = |numbers: &[usize]| {
        let mut blocks = chain;
        numbers.iter().for_each(|&number| blocks[number].resident = true);
        blocks
    };
    check(&chain, &bytes(5), &[0]);
    check(&resident(&[0, 1]), &bytes(5), &[2]);
    check(&resident(&[1]), &bytes(5), &[0]);
    check(&resident(&[1, 2]), &bytes(5), &[0]);
    check(&resident(&[0, 1, 2]), &bytes(5), &[]);
}

#[test]
fn blocks_that_cannot_be_reached_are_left_out_and_counted() {
    let mut blocks = vec![block(None, 1, 1.0), block(Some(2), 1, 5.0), block(Some(1), 1, 5.0)];
    blocks.push(Block { parent: Parent::Unknown, ..block(None, 1, 5.0) });
    blocks.push(block(Some(3), 1, 5.0));
    blocks.push(block(Some(99), 1, 5.0));
    check(&blocks, &bytes(9), &[0]);
    assert_eq!(choose(&blocks, &bytes(9)).unreachable, 5);
}

#[test]
fn what_is_computed_faster_than_loaded_is_left_out() {
    let timed = |parent, recompute_ms: Option<f64>| Block { recompute_ms, ..block(parent, 1_000, 1.0) };
    // A thousand bytes take a second.
    let limits = Limits { bytes: 1 << 20, bytes_per_second: Some(1_000.0), ..Limits::default() };
    let check = |blocks: &[Block], expect: &[u32]| {
        check(blocks, &limits, expect);
        assert_eq!(choose(blocks, &limits).recomputed, blocks.len() - expect.len());
    };
    check(&[timed(None, Some(900.0)), timed(None, Some(1_000.0)), timed(None, None)], &[1, 2]);
    // With what stands on it.
    check(&[timed(None, Some(500.0)), timed(Some(0), Some(1_600.0))], &[0, 1]);
    check(&[timed(None, Some(500.0)), timed(Some(0), Some(1_400.0))], &[]);
    check(&[timed(None, Some(1_500.0)), timed(Some(0), Some(500.0))], &[0]);
    check(&[timed(None, Some(0.0)), timed(Some(0), None), timed(Some(0), Some(1.0))], &[0, 1]);
}

#[test]
fn quotas_bind_beside_the_budget() {
    let of = |quota, bytes, saving_ms| Block { quota, ..block(None, bytes, saving_ms) };
    let blocks = [of(Some(0), 4, 9.0), of(Some(0), 4, 8.0), of(Some(1), 4, 3.0), of(None, 4, 1.0), of(None, 4, 2.0)];
    let limits = |bytes, quotas: [u64; 2]| Limits { bytes, quotas: quotas.to_vec(), ..Limits::default() };
    check(&blocks, &limits(12, [4, 9]), &[0, 2, 4]);
    check(&blocks, &limits(12, [9, 9]), &[0, 1, 2]);
    check(&blocks, &limits(20, [3, 3]), &[4, 3]);
    check(&blocks, &limits(99, [0, 99]), &[2, 4, 3]);
}
