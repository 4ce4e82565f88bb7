//! The header of framed values.
//!
//! ```text
//!  0  4  magic "PIXV"
//!  4  1  version, 1
//!  5  1  what the payload is: 0 bytes, 1 bincode, 2 JSON, 3 MessagePack, 4 tensor
//!  6  1  compression: 0 none, 1 lz4 block, 2 zstd
//!  7  1  zero
//!  8  8  length of the payload before compression, little-endian
//! 16  8  XXH3 of the payload as stored, seeded with the XXH3 of bytes 0 to 16, little-endian
//! 24     payload
//! ```
//!
//! The header says how to read the value, so a cache whose settings changed still reads what was written before.

use super::{Compression, MAX_DECODED};
use crate::{CacheError, Result};
use bytes::Bytes;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

pub(super) const HEADER: usize = 24;
const MAGIC: [u8; 4] = *b"PIXV";
const VERSION: u8 = 1;
const SUM_AT: usize = 16;

/// What a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Bytes,
    Bincode,
    Json,
    MessagePack,
    Tensor,
}

const CONTENTS: [Content; 5] = [Content::Bytes, Content::Bincode, Content::Json, Content::MessagePack, Content::Tensor];

/// A frame whose payload `write` appends. The payload is written in place: without compression nothing is copied.
pub(crate) fn build(
    content: Content,
    compression: Compression,
    size_hint: usize,
    write: impl FnOnce(&mut Vec<u8>) -> Result<()>,
) -> Result<Bytes> {
    let mut frame = Vec::with_capacity(HEADER + size_hint);
    frame.resize(HEADER, 0);
    write(&mut frame)?;
    let length = frame.len() - HEADER;
    if length as u64 > MAX_DECODED {
        return Err(CacheError::TooLarge { backend: "frame".into(), size: length as u64, max: MAX_DECODED });
    }
    let mut used = Compression::None;
    if let Some(compressed) = compression.compress(&frame[HEADER..]) {
        frame.truncate(HEADER);
        frame.extend_from_slice(&compressed);
        used = compression;
    }
    frame[..4].copy_from_slice(&MAGIC);
    frame[4..8].copy_from_slice(&[VERSION, content as u8, used.id(), 0]);
    frame[8..SUM_AT].copy_from_slice(&(length as u64).to_le_bytes());
    let sum = checksum(&frame);
    frame[SUM_AT..HEADER].copy_from_slice(&sum.to_le_bytes());
    Ok(Bytes::from(frame))
}

/// What a frame holds; a share of its bytes where they are not compressed.
pub(crate) fn open(frame: &Bytes) -> Result<(Content, Bytes)> {
    let corrupt = |offset: usize, what: &str| CacheError::Corrupt { offset: offset as u64, what: what.into() };
    if frame.len() < HEADER {
        return Err(corrupt(frame.len(), "shorter than a header"));
    }
    if frame[..4] != MAGIC {
        return Err(corrupt(0, "not a framed value"));
    }
    if frame[4] != VERSION {
        return Err(corrupt(4, &format!("version {}; this program reads version {VERSION}", frame[4])));
    }
    if checksum(frame).to_le_bytes() != frame[SUM_AT..HEADER] {
        return Err(corrupt(SUM_AT, "the checksum is wrong"));
    }
    let content = *CONTENTS.get(frame[5] as usize).ok_or_else(|| corrupt(5, "unknown kind of payload"))?;
    let compression = Compression::from_id(frame[6]).ok_or_else(|| corrupt(6, "unknown compression"))?;
    let length = frame[8..SUM_AT].iter().rev().fold(0, |length: u64, &byte| length << 8 | u64::from(byte));
    if length > MAX_DECODED || frame[7] != 0 {
        return Err(corrupt(7, "an impossible header"));
    }
    let payload = frame.slice(HEADER..);
    let payload = match compression {
        Compression::None if payload.len() as u64 == length => payload,
        Compression::None => return Err(corrupt(8, "the length is wrong")),
        compression => compression.decompress(&payload, length as usize)?.into(),
    };
    Ok((content, payload))
}

fn checksum(frame: &[u8]) -> u64 {
    xxh3_64_with_seed(&frame[HEADER..], xxh3_64(&frame[..SUM_AT]))
}
