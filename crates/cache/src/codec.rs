//! Typed values as bytes, and back.
//!
//! A [`Framing`] writes a value with a codec and a compression and puts a small header before it that records both, with a
//! checksum. Values that were never framed (`raw`: what an engine wrote and will read) never come near this module. There
//! is no codec that runs code from what it reads.

mod binary;
mod compression;
pub(crate) mod frame;

pub use compression::Compression;

use crate::{CacheError, Result};
use bytes::Bytes;
use frame::Content;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{io, sync::Arc};

/// The most bytes that one framed value may have before compression: 1 GiB.
pub(crate) const MAX_DECODED: u64 = 1 << 30;

/// How a typed value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Codec {
    /// Smallest and fastest. Field names are not written: a type must be read as it was written.
    #[default]
    Bincode,
    /// Text that anything can read.
    Json,
    /// Compact, self-describing, read by many languages. Field names are written.
    MessagePack,
}

/// A codec and a compression: how values are framed. Reading goes by the header alone.
///
/// ```
/// use prefix_indexer_cache::{Codec, Compression, Framing};
/// let written = Framing { codec: Codec::Json, compression: Compression::Zstd }.encode(&vec![1, 2, 3])?;
/// let read: Vec<u8> = Framing::decode(&written)?;
/// assert_eq!(read, [1, 2, 3]);
/// # Ok::<(), prefix_indexer_cache::CacheError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Framing {
    /// How the value is written.
    pub codec: Codec,
    /// How that is compressed. What would not get smaller is left as it is.
    pub compression: Compression,
}

impl Framing {
    /// The framed value.
    ///
    /// # Errors
    /// [`CacheError::Codec`] for a value that the codec cannot write; [`CacheError::TooLarge`] beyond 1 GiB.
    pub fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Bytes> {
        let codec = self.codec;
        frame::build(codec.content(), self.compression, 64, |into| codec.encode(value, into))
    }

    /// The value in a frame, whichever codec and compression wrote it.
    ///
    /// # Errors
    /// [`CacheError::Corrupt`] for bytes that are no frame or were changed; [`CacheError::Codec`] for a value that is no `T`.
    pub fn decode<T: DeserializeOwned>(framed: &Bytes) -> Result<T> {
        let (content, payload) = frame::open(framed)?;
        match content {
            Content::Bincode => binary::decode(&payload),
            Content::Json => serde_json::from_slice(&payload).map_err(|error| failed("json", error)),
            Content::MessagePack => from_message_pack(&payload),
            Content::Bytes | Content::Tensor => {
                Err(CacheError::Corrupt { offset: 5, what: "the payload is not a typed value".into() })
            }
        }
    }

    /// Whether the bytes are a frame that can be read, whatever is in it.
    ///
    /// # Errors
    /// [`CacheError::Corrupt`] says what is wrong with them.
    pub fn check(framed: &Bytes) -> Result<()> {
        frame::open(framed).map(drop)
    }

    /// Frames bytes as they are: compressed and checked, not encoded.
    ///
    /// # Errors
    /// [`CacheError::TooLarge`] beyond 1 GiB.
    pub fn wrap(&self, value: &[u8]) -> Result<Bytes> {
        frame::build(Content::Bytes, self.compression, value.len(), |into| {
            into.extend_from_slice(value);
            Ok(())
        })
    }

    /// The bytes in a frame that [`wrap`](Self::wrap) made; not copied where they are not compressed.
    ///
    /// # Errors
    /// [`CacheError::Corrupt`] for anything else.
    pub fn unwrap(framed: &Bytes) -> Result<Bytes> {
        match frame::open(framed)? {
            (Content::Bytes, payload) => Ok(payload),
            _ => Err(CacheError::Corrupt { offset: 5, what: "the payload is not plain bytes".into() }),
        }
    }
}

impl Codec {
    fn content(self) -> Content {
        match self {
            Codec::Bincode => Content::Bincode,
            Codec::Json => Content::Json,
            Codec::MessagePack => Content::MessagePack,
        }
    }

    fn encode<T: Serialize + ?Sized>(self, value: &T, into: &mut Vec<u8>) -> Result<()> {
        match self {
            Codec::Bincode => binary::encode(value, into),
            Codec::Json => serde_json::to_writer(into, value).map_err(|error| failed("json", error)),
            Codec::MessagePack => {
                rmp_serde::encode::write_named(into, value).map_err(|error| failed("messagepack", error))
            }
        }
    }
}

fn from_message_pack<T: DeserializeOwned>(mut payload: &[u8]) -> Result<T> {
    let value = rmp_serde::from_read(&mut payload).map_err(|error| failed("messagepack", error))?;
    if !payload.is_empty() {
        return Err(failed("messagepack", io::Error::other(format!("{} bytes follow the value", payload.len()))));
    }
    Ok(value)
}

fn failed(codec: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> CacheError {
    CacheError::Codec { codec, source: Arc::new(source) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Row {
        name: String,
        scores: Vec<f32>,
        tags: BTreeMap<String, Option<i64>>,
    }

    fn row() -> Row {
        let tags = [("a".to_owned(), Some(-7)), ("b".to_owned(), None)].into_iter().collect();
        Row { name: "näme".into(), scores: vec![0.1, -0.0, f32::MAX, f32::MIN_POSITIVE], tags }
    }

    fn framings() -> impl Iterator<Item = Framing> {
        let codecs = [Codec::Bincode, Codec::Json, Codec::MessagePack];
        let compressions = [Compression::None, Compression::Lz4, Compression::Zstd];
        codecs.into_iter().flat_map(move |codec| compressions.map(|compression| Framing { codec, compression }))
    }

    #[test]
    fn every_codec_and_compression_reads_what_it_wrote() {
        let rows = vec![row(); 40];
        for framing in framings() {
            let framed = framing.encode(&rows).unwrap();
            assert_eq!(Framing::decode::<Vec<Row>>(&framed).unwrap(), rows, "{framing:?}");
            let wrapped = framing.wrap(&[7; 1000]).unwrap();
            assert_eq!(Framing::unwrap(&wrapped).unwrap(), [7; 1000][..]);
            assert_eq!(wrapped.len() < 200, framing.compression != Compression::None);
        }
    }

    #[test]
    fn what_does_not_shrink_is_not_compressed_and_not_copied() {
        let framed = Framing::default().wrap(b"abc").unwrap();
        assert_eq!(framed[6], 0);
        assert_eq!(Framing::unwrap(&framed).unwrap().as_ptr(), framed[frame::HEADER..].as_ptr());
    }

    #[test]
    fn no_changed_byte_and_no_cut_is_ever_read() {
        for framing in framings() {
            let framed = framing.encode(&row()).unwrap();
            for at in 0..framed.len() {
                for bit in 0..8 {
                    let mut flipped = framed.to_vec();
                    flipped[at] ^= 1 << bit;
                    assert!(Framing::decode::<Row>(&flipped.into()).is_err(), "{framing:?}: bit {bit} of byte {at}");
                }
                assert!(Framing::decode::<Row>(&framed.slice(..at)).is_err());
            }
        }
    }

    #[test]
    fn a_version_that_is_not_known_is_named() {
        let mut framed = Framing::default().wrap(b"abc").unwrap().to_vec();
        framed[4] = 9;
        let error = Framing::unwrap(&framed.into()).unwrap_err().to_string();
        assert_eq!(error, "corrupt at byte 4: version 9; this program reads version 1");
    }

    #[test]
    fn what_follows_a_value_is_an_error() {
        for codec in [Codec::Bincode, Codec::MessagePack, Codec::Json] {
            let longer = frame::build(codec.content(), Compression::None, 0, |into| {
                codec.encode(&7_u8, into)?;
                into.push(b'1');
                into.push(b'"');
                Ok(())
            });
            assert!(Framing::decode::<u8>(&longer.unwrap()).is_err(), "{codec:?}");
        }
    }
}
