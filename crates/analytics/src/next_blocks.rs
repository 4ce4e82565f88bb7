//! Which blocks to load next: a pure decision over a ranking and what is known of residence.
//!
//! [`next_blocks`] goes down a ranking and takes the best that are not there, each behind the ancestors it lacks.

use prefix_indexer_models::PrefixKey;
use std::collections::HashSet;

/// The longest chain of absent ancestors that is followed; a chain that is longer counts as going round.
const MAX_CHAIN: usize = 65_536;

/// A block of a ranking, with the way to the block it extends.
pub trait RankedBlock: Sized {
    /// Which block.
    fn key(&self) -> PrefixKey;

    /// Which block it extends; none for a chain head. Cheaper than [`parent`](Self::parent), and asked first.
    fn parent_key(&self) -> Option<PrefixKey>;

    /// The block it extends; none for a chain head, and for one whose parent is not known.
    fn parent(&self) -> Option<Self>;
}

/// What is known of where a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Where it will be wanted.
    Resident,
    /// Nowhere: loading it, or what extends it, is no use.
    Gone,
    /// Nobody knows, or it can be loaded.
    Loadable,
}

/// How many blocks to choose, and how far to look for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextLimits {
    /// Blocks to choose, ancestors included.
    pub wanted: usize,
    /// Rows of the ranking to look at.
    pub scan_limit: usize,
}

/// The blocks to load next, and what was passed over on the way.
#[derive(Debug, Clone, PartialEq)]
pub struct NextBlocks<B> {
    /// In the order of loading, a parent before what extends it, with their scores. An ancestor has the score of the block that needs it.
    pub chosen: Vec<(B, f64)>,
    /// Rows that were looked at.
    pub scored: usize,
    /// Rows that were resident.
    pub resident: usize,
    /// Rows that are gone, or extend one that is.
    pub gone: usize,
}

/// Takes the next blocks down a ranking that are not there, to a limit.
///
/// A chosen block comes behind those of its ancestors that are not resident. When they do not all fit, the ancestors go first and the
/// rest is left to the next time. Costs a step a row, and for each chosen block the digest of its parent's names.
pub fn next_blocks<B: RankedBlock>(
    ranking: impl IntoIterator<Item = (B, f64)>,
    limits: NextLimits,
    presence: impl Fn(&PrefixKey) -> Presence,
) -> NextBlocks<B> {
    let mut next = NextBlocks { chosen: Vec::with_capacity(limits.wanted.min(1024)), scored: 0, resident: 0, gone: 0 };
    let mut keys: HashSet<PrefixKey> = HashSet::with_capacity(limits.wanted.min(1024));
    let mut ranking = ranking.into_iter();
    while next.chosen.len() < limits.wanted && next.scored < limits.scan_limit {
        let Some((block, score)) = ranking.next() else { break };
        next.scored += 1;
        match presence(&block.key()) {
            Presence::Resident => next.resident += 1,
            Presence::Gone => next.gone += 1,
            Presence::Loadable if keys.contains(&block.key()) => {}
            Presence::Loadable => match lacking(block, &keys, &presence) {
                None => next.gone += 1,
                Some(chain) => {
                    let room = limits.wanted - next.chosen.len();
                    for block in chain.into_iter().rev().take(room) {
                        keys.insert(block.key());
                        next.chosen.push((block, score));
                    }
                }
            },
        }
    }
    next
}

/// The block and the ancestors it lacks, the block first; none when one of them is gone.
fn lacking<B: RankedBlock>(
    block: B,
    chosen: &HashSet<PrefixKey>,
    presence: &impl Fn(&PrefixKey) -> Presence,
) -> Option<Vec<B>> {
    let mut chain = vec![block];
    while let Some(parent_key) = chain.last().and_then(RankedBlock::parent_key) {
        if chosen.contains(&parent_key) || chain.len() > MAX_CHAIN {
            break;
        }
        match presence(&parent_key) {
            Presence::Resident => break,
            Presence::Gone => return None,
            Presence::Loadable => {}
        }
        let Some(parent) = chain.last().and_then(RankedBlock::parent) else { break };
        chain.push(parent);
    }
    Some(chain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks 0 to 9 are a chain from the root; 10 and up stand alone.
    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Block(u8);

    fn key(number: u8) -> PrefixKey {
        PrefixKey([number; 16])
    }

    impl RankedBlock for Block {
        fn key(&self) -> PrefixKey {
            key(self.0)
        }

        fn parent_key(&self) -> Option<PrefixKey> {
            (1..10).contains(&self.0).then(|| key(self.0 - 1))
        }

        fn parent(&self) -> Option<Block> {
            (1..10).contains(&self.0).then(|| Block(self.0 - 1))
        }
    }

    #[track_caller]
    fn check(ranking: &[u8], wanted: usize, resident: &[u8], gone: &[u8], expect: &[u8], counts: [usize; 3]) {
        let ranking = ranking.iter().map(|&number| (Block(number), f64::from(number)));
        let presence = |key: &PrefixKey| match key.0[0] {
            number if resident.contains(&number) => Presence::Resident,
            number if gone.contains(&number) => Presence::Gone,
            _ => Presence::Loadable,
        };
        let next = next_blocks(ranking, NextLimits { wanted, scan_limit: 6 }, presence);
        assert_eq!(next.chosen.iter().map(|(block, _)| block.0).collect::<Vec<_>>(), expect);
        assert_eq!([next.scored, next.resident, next.gone], counts);
    }

    #[test]
    fn the_best_that_are_not_there() {
        check(&[], 3, &[], &[], &[], [0, 0, 0]);
        check(&[20, 30, 40, 50], 2, &[], &[], &[20, 30], [2, 0, 0]);
        check(&[20, 30, 40, 50], 2, &[20, 40], &[], &[30, 50], [4, 2, 0]);
        check(&[20, 30, 40, 50], 2, &[20], &[30], &[40, 50], [4, 1, 1]);
    }

    #[test]
    fn the_scan_has_an_end() {
        check(&[20, 21, 22, 23, 24, 25, 26, 27], 2, &[20, 21, 22, 23, 24, 25], &[], &[], [6, 6, 0]);
    }

    #[test]
    fn ancestors_come_first_as_far_as_they_are_not_there() {
        check(&[2, 20], 4, &[], &[], &[0, 1, 2, 20], [2, 0, 0]);
        check(&[3, 2], 9, &[0], &[], &[1, 2, 3], [2, 0, 0]);
        check(&[2, 4], 9, &[], &[], &[0, 1, 2, 3, 4], [2, 0, 0]);
        check(&[5, 20], 3, &[], &[], &[0, 1, 2], [1, 0, 0]);
    }

    #[test]
    fn what_extends_something_that_is_gone_is_passed_over() {
        check(&[3, 20], 3, &[0], &[1], &[20], [2, 0, 1]);
    }

    #[test]
    fn parents_that_go_round_end() {
        #[derive(Clone, Copy)]
        struct Round(u8);
        impl RankedBlock for Round {
            fn key(&self) -> PrefixKey {
                key(self.0)
            }
            fn parent_key(&self) -> Option<PrefixKey> {
                Some(key(1 - self.0))
            }
            fn parent(&self) -> Option<Round> {
                Some(Round(1 - self.0))
            }
        }
        let limits = NextLimits { wanted: 4, scan_limit: 10 };
        assert_eq!(next_blocks([(Round(0), 1.0)], limits, |_| Presence::Loadable).chosen.len(), 4);
    }
}
