//! Compressions, recognised by their first bytes.

use flate2::bufread::MultiGzDecoder;
use std::io::{self, BufReader, Read};

/// How a file is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Plain,
    Gzip,
    Zstd,
}

/// Bytes that tell a codec.
pub(crate) const MAGIC: usize = 4;

impl Codec {
    /// By the first [`MAGIC`] bytes.
    pub(crate) fn recognise(magic: &[u8]) -> Codec {
        match magic {
            [0x1f, 0x8b, ..] => Codec::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Codec::Zstd,
            // A skippable frame, as some zstd writers begin with.
            [first, 0x2a, 0x4d, 0x18, ..] if first & 0xf0 == 0x50 => Codec::Zstd,
            _ => Codec::Plain,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Codec::Plain => "plain",
            Codec::Gzip => "gzip",
            Codec::Zstd => "zstd",
        }
    }

    /// Decompresses all members or frames of a stream.
    pub(crate) fn reader(self, stored: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
        const BUFFER: usize = 64 << 10;
        Ok(match self {
            Codec::Plain => Box::new(stored),
            Codec::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER, stored))),
            Codec::Zstd => {
                Box::new(zstd::stream::read::Decoder::with_buffer(BufReader::with_capacity(BUFFER, stored))?)
            }
        })
    }
}
