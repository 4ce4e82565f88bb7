//! Putting rows in order: by machine words where they differ, by exact rank and key where they do not.

mod best;

pub(crate) use best::{Best, Ranking};

use prefix_indexer_models::{PrefixKey, Rank};
use std::ops::Range;

/// Ties of more rows than this are sorted by words of their keys first, to keep them out of a list of whole ranks.
const LARGE_TIE: usize = 1 << 12;

/// Sorts positions, using the same memory again: 8 bytes a position.
#[derive(Debug, Default)]
pub(crate) struct Sorter {
    words: Vec<u64>,
}

impl Sorter {
    /// Emits `positions` best first: by `exact`, of which `coarse` is an approximation that never contradicts it.
    ///
    /// A word holds what tells the coarse ranks apart, as many bits as fit, over the position: sorting words sorts
    /// almost everything. Positions that differ in less are sorted among themselves.
    pub(crate) fn sort(
        &mut self,
        positions: Range<u32>,
        coarse: impl Fn(u32) -> u64,
        exact: impl Fn(u32) -> (Rank, PrefixKey),
        emit: &mut dyn FnMut(u32),
    ) {
        let start = positions.start;
        if positions.len() == 1 {
            return emit(start);
        }
        self.words.clear();
        self.words.extend(positions.clone().map(coarse));
        let words = &mut self.words;
        let position_bits = u64::BITS - (positions.len() as u64).leading_zeros();
        pack(words, position_bits);
        words.sort_unstable();
        let position = |word: u64| start + (word & ((1 << position_bits) - 1)) as u32;
        for tie in words.chunk_by(|a, b| a >> position_bits == b >> position_bits) {
            match tie {
                [word] => emit(position(*word)),
                _ => sort_tie(tie.iter().map(|&word| position(word)).collect(), &exact, emit),
            }
        }
    }
}

/// Turns coarse ranks into words that ascend as ranks descend: what tells them apart, then their position.
fn pack(words: &mut [u64], position_bits: u32) {
    let (least, most) = words.iter().fold((u64::MAX, 0), |(least, most), &word| (word.min(least), word.max(most)));
    let spread_bits = u64::BITS - most.saturating_sub(least).leading_zeros();
    let shift = (spread_bits + position_bits).saturating_sub(u64::BITS);
    for (position, word) in words.iter_mut().enumerate() {
        *word = ((most - *word) >> shift) << position_bits | position as u64;
    }
}

fn sort_tie(positions: Vec<u32>, exact: &impl Fn(u32) -> (Rank, PrefixKey), emit: &mut dyn FnMut(u32)) {
    let one_rank = positions.len() > LARGE_TIE && {
        let mut ranks = positions.iter().map(|&position| exact(position).0);
        let first = ranks.next();
        ranks.all(|rank| Some(rank) == first)
    };
    if !one_rank {
        return sort_exactly(positions.iter().copied(), exact, emit);
    }
    let position_bits = u64::BITS - (positions.len() as u64).leading_zeros();
    let mut words: Vec<u64> = positions.iter().map(|&position| !exact(position).1.hash64()).collect();
    pack(&mut words, position_bits);
    words.sort_unstable();
    let mask = (1 << position_bits) - 1;
    let position = |word: u64| positions.get((word & mask) as usize).copied();
    for tie in words.chunk_by(|a, b| a >> position_bits == b >> position_bits) {
        sort_exactly(tie.iter().filter_map(|&word| position(word)), exact, emit);
    }
}

fn sort_exactly(
    positions: impl Iterator<Item = u32>,
    exact: &impl Fn(u32) -> (Rank, PrefixKey),
    emit: &mut dyn FnMut(u32),
) {
    let mut ranked: Vec<((Rank, PrefixKey), u32)> = positions.map(|position| (exact(position), position)).collect();
    ranked.sort_unstable_by(|a, b| Rank::order(a.0, b.0));
    ranked.iter().for_each(|&(_, position)| emit(position));
}

#[cfg(test)]
mod tests {
    use super::*;
    use prefix_indexer_models::Ladder;

    fn check(of: impl Fn(u32) -> (f64, u64, u8), count: u32) {
        let ladder = Ladder::default();
        let exact = |position: u32| {
            let (sum, last, key) = of(position);
            let mut bytes = [key; 16];
            bytes[12..].copy_from_slice(&position.wrapping_mul(0x9e37_79b9).to_be_bytes());
            (ladder.rank(1, last, sum), PrefixKey(bytes))
        };
        let mut sorted = Vec::new();
        Sorter::default().sort(7..7 + count, |p| exact(p).0.coarse(), exact, &mut |position| sorted.push(position));
        let mut expected: Vec<u32> = (7..7 + count).collect();
        expected.sort_by(|&a, &b| Rank::order(exact(a), exact(b)));
        assert_eq!(sorted, expected);
    }

    #[test]
    fn sorts_as_comparing_would() {
        let mixed =
            |p: u32| (f64::from(p % 13) + 1.0, 1_700_000_000_000 + u64::from(p.wrapping_mul(77_777) % 999_999), 0);
        for count in [1, 2, 3, 100, 10_000] {
            check(mixed, count);
            check(|p| (1.0, 1000, p as u8), count);
            check(|_| (1.0, 1000, 9), count);
            check(|p| (1.0 + f64::EPSILON * f64::from(p % 5), 1000, p as u8), count);
            check(|p| (0.0, u64::from(p), 1), count);
            check(|p| (if p % 2 == 0 { 0.0 } else { 5.0 }, u64::from(p) << 40, 1), count);
        }
    }
}
