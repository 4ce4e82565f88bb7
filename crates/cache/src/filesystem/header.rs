//! What stands before a value in its file, or beside it in the plain layout.
//!
//! ```text
//!  0  8  magic "PIXCACHE"
//!  8  4  version, 1
//! 12  4  length of the key
//! 16  4  length of the metadata
//! 20  4  zero
//! 24  8  length of the value
//! 32  8  when it expires, in ms since 1970; 0: never
//! 40  8  XXH3 of the value
//! 48  8  plain layout: inode of the file with the value; else 0
//! 56  8  plain layout: its time of modification in ns; else 0
//! 64  8  XXH3 of bytes 72 to the end of the header, seeded with the XXH3 of bytes 0 to 64
//! 72     the key, the metadata (u32 length and text, name and value in turn), zeros up to a multiple of 64
//! ```
//! All integers are little-endian. In the hashed layout the value follows.

use crate::Metadata;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

const MAGIC: [u8; 8] = *b"PIXCACHE";
const VERSION: u32 = 1;
const SUM_AT: usize = 64;
const KEY_AT: usize = 72;

/// Bytes that tell how long the whole header is.
pub(super) const FIXED: usize = KEY_AT;

/// The longest key in bytes.
pub(super) const MAX_KEY: usize = 32 << 10;

/// A header that was read and found whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) key: String,
    pub(super) metadata: Metadata,
    pub(super) value_len: u64,
    /// 0: never.
    pub(super) expires_ms: u64,
    pub(super) value_sum: u64,
    pub(super) identity: Identity,
    /// Length of the header itself.
    pub(super) len: usize,
}

/// What tells the file with a value from one that somebody put in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Identity {
    pub(super) inode: u64,
    pub(super) modified_ns: u64,
}

/// The header of a value. `key` must not be longer than [`MAX_KEY`].
pub(super) fn encode(key: &str, metadata: &Metadata, value: &[u8], expires_ms: u64, identity: Identity) -> Vec<u8> {
    let meta_len = metadata.size() as usize + metadata.len() * 8;
    let len = header_len(key.len(), meta_len);
    let mut header = Vec::with_capacity(len);
    header.extend_from_slice(&MAGIC);
    for part in [VERSION, key.len() as u32, meta_len as u32, 0] {
        header.extend_from_slice(&part.to_le_bytes());
    }
    for part in [value.len() as u64, expires_ms, xxh3_64(value), identity.inode, identity.modified_ns, 0] {
        header.extend_from_slice(&part.to_le_bytes());
    }
    header.extend_from_slice(key.as_bytes());
    for text in metadata.iter().flat_map(|(name, value)| [name, value]) {
        header.extend_from_slice(&(text.len() as u32).to_le_bytes());
        header.extend_from_slice(text.as_bytes());
    }
    header.resize(len, 0);
    let sum = checksum(&header);
    header[SUM_AT..KEY_AT].copy_from_slice(&sum.to_le_bytes());
    header
}

/// How long the header is that begins with `start`; `None` when `start` begins no header.
pub(super) fn length(start: &[u8]) -> Option<usize> {
    if start.len() < FIXED || start[..8] != MAGIC || u32_at(start, 8) != VERSION {
        return None;
    }
    let (key, meta) = (u32_at(start, 12) as usize, u32_at(start, 16) as usize);
    (key <= MAX_KEY).then(|| header_len(key, meta))
}

/// The header at the beginning of `bytes`; `None` unless it is whole and unchanged.
pub(super) fn decode(bytes: &[u8]) -> Option<Header> {
    let len = length(bytes)?;
    let header = bytes.get(..len)?;
    if checksum(header) != u64_at(header, SUM_AT) {
        return None;
    }
    let key_end = KEY_AT + u32_at(header, 12) as usize;
    let meta_end = key_end + u32_at(header, 16) as usize;
    Some(Header {
        key: std::str::from_utf8(header.get(KEY_AT..key_end)?).ok()?.to_owned(),
        metadata: metadata(header.get(key_end..meta_end)?)?,
        value_len: u64_at(header, 24),
        expires_ms: u64_at(header, 32),
        value_sum: u64_at(header, 40),
        identity: Identity { inode: u64_at(header, 48), modified_ns: u64_at(header, 56) },
        len,
    })
}

fn metadata(mut bytes: &[u8]) -> Option<Metadata> {
    let mut texts = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        texts.push(std::str::from_utf8(text).ok()?);
        bytes = rest;
    }
    Some(texts.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

fn header_len(key: usize, meta: usize) -> usize {
    (KEY_AT + key + meta).next_multiple_of(64)
}

fn checksum(header: &[u8]) -> u64 {
    xxh3_64_with_seed(&header[KEY_AT..], xxh3_64(&header[..SUM_AT]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u64_at(bytes, at) as u32
}

/// Eight bytes, or as many as there are; the rest counts as zeros.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].iter().take(8).rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_and_no_changed_byte_is_believed() {
        let metadata: Metadata = [("source", "prefetch"), ("", "x")].into_iter().collect();
        let identity = Identity { inode: 77, modified_ns: u64::MAX };
        let written = encode("a/key", &metadata, b"value", 1234, identity);
        let read = decode(&written).unwrap();
        assert_eq!((read.key.as_str(), &read.metadata, read.value_len), ("a/key", &metadata, 5));
        assert_eq!((read.expires_ms, read.value_sum, read.identity), (1234, xxh3_64(b"value"), identity));
        assert_eq!(read.len, written.len());
        for at in 0..written.len() {
            let mut changed = written.clone();
            changed[at] ^= 0x10;
            assert_eq!(decode(&changed), None, "byte {at}");
            assert_eq!(decode(&written[..at]), None, "cut at {at}");
        }
    }
}
