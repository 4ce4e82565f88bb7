//! What a prefetcher remembers of where blocks are, so that it need not ask for each of ten thousand leaders every cycle.
//!
//! A memory, not the truth: whatever is about to be fetched is asked for again, and what is remembered is forgotten after a while.

use prefix_indexer_analytics::Presence;
use prefix_indexer_models::PrefixKey;
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// Blocks remembered at most; 24 bytes each and the table around them.
const MOST: usize = 1 << 20;

/// Where blocks are, as of when they were looked at.
#[derive(Debug, Default)]
pub(crate) struct Known {
    blocks: HashMap<PrefixKey, Sight, BuildHasherDefault<Digest>>,
}

#[derive(Debug, Clone, Copy)]
struct Sight {
    presence: Presence,
    until_ms: u64,
}

impl Known {
    /// What is known of a block now.
    pub(crate) fn presence(&self, key: &PrefixKey, now_ms: u64) -> Presence {
        match self.blocks.get(key) {
            Some(sight) if sight.until_ms > now_ms => sight.presence,
            _ => Presence::Loadable,
        }
    }

    /// Nothing is known of a block any more.
    pub(crate) fn forget(&mut self, key: &PrefixKey) {
        self.blocks.remove(key);
    }

    /// Remembers for about `for_ms`: between three and five quarters of it, so that what was seen together is not asked for
    /// again together.
    pub(crate) fn saw(&mut self, key: PrefixKey, presence: Presence, now_ms: u64, for_ms: u64) {
        if self.blocks.len() >= MOST {
            self.blocks.retain(|_, sight| sight.until_ms > now_ms);
            if self.blocks.len() >= MOST {
                self.blocks.clear();
            }
        }
        let quarters = 768 + u64::from(key.0[15]) * 2;
        let until_ms = now_ms.saturating_add(for_ms.saturating_mul(quarters) / 1024);
        self.blocks.insert(key, Sight { presence, until_ms });
    }
}

/// Keys are digests: any eight bytes of one are a hash.
#[derive(Debug, Default)]
pub(crate) struct Digest(u64);

impl Hasher for Digest {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for (place, byte) in bytes.iter().take(8).enumerate() {
            self.0 ^= u64::from(*byte) << (8 * place);
        }
    }

    fn write_usize(&mut self, _length: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_forgotten_after_a_while() {
        let mut known = Known::default();
        let (a, b) = (PrefixKey([1; 16]), PrefixKey([2; 16]));
        known.saw(a, Presence::Resident, 0, 1_000);
        known.saw(b, Presence::Gone, 0, 1_000);
        assert_eq!((known.presence(&a, 700), known.presence(&b, 700)), (Presence::Resident, Presence::Gone));
        assert_eq!((known.presence(&a, 1_300), known.presence(&b, 1_300)), (Presence::Loadable, Presence::Loadable));
    }

    #[test]
    fn hashes_are_the_first_bytes_of_the_digest() {
        let mut hasher = Digest::default();
        std::hash::Hash::hash(&PrefixKey([1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9, 9, 9, 9, 9]), &mut hasher);
        assert_eq!(hasher.finish(), u64::from_le_bytes([1, 2, 3, 4, 5, 6, 7, 8]));
    }
}
