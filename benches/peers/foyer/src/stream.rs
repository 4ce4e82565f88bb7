//! The stream of requests: made up, the same every time.
//!
//! Requests ask for prefixes, of which few are popular (Zipf); each is a chain of blocks, asked for in order, as an engine
//! does that looks how much of a prompt it has. Every fifth request is for a prefix that nobody asks for again. Sizes differ by
//! prefix, as they do by model.

use bytes::Bytes;

/// Prefixes that are asked for again and again.
const PREFIXES: usize = 2_000;
/// Popularity of the nth: 1 / n to this power.
const SKEW: f64 = 0.9;
const LARGEST: usize = 128 << 10;

/// A block: what it is called and what it holds.
pub(crate) struct Block {
    pub(crate) key: String,
    pub(crate) value: Bytes,
}

pub(crate) struct Stream {
    random: Random,
    /// Of the first n prefixes, the share of requests.
    shares: Vec<f64>,
    once: u64,
    /// All values are parts of this, so that none has to be made while the clock runs.
    bytes: Bytes,
}

impl Stream {
    pub(crate) fn new() -> Stream {
        let mut random = Random(7);
        let bytes: Vec<u8> = (0..LARGEST / 4).flat_map(|_| random.next().to_le_bytes()).collect();
        let mut shares: Vec<f64> = (1..=PREFIXES).map(|n| (n as f64).powf(-SKEW)).collect();
        let mut sum = 0.0;
        for share in &mut shares {
            sum += *share;
            *share = sum;
        }
        shares.iter_mut().for_each(|share| *share /= sum);
        Stream { random, shares, once: PREFIXES as u64, bytes: bytes.into() }
    }

    /// The blocks of the next request.
    pub(crate) fn request(&mut self) -> Vec<Block> {
        let prefix = if self.random.next().is_multiple_of(5) {
            self.once += 1;
            self.once
        } else {
            let at = self.random.next() as f64 / u64::MAX as f64;
            self.shares.partition_point(|share| *share < at) as u64
        };
        let mut of_prefix = Random(prefix);
        let (blocks, size) = (1 + of_prefix.next() % 16, 16 << 10 << (of_prefix.next() % 4));
        (0..blocks).map(|block| self.block(prefix, block, size)).collect()
    }

    fn block(&self, prefix: u64, block: u64, size: usize) -> Block {
        let offset = Random(prefix << 8 | block).next() as usize % LARGEST;
        Block { key: format!("acme/llama/{prefix:016x}/{block:03}"), value: self.bytes.slice(offset..offset + size) }
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}
