//! Small files that are read whole: the manifest and side files. A header of 64 bytes, then the body.

use crate::{
    StorageError,
    codec::{self, Decode, Encode},
};
use std::path::Path;

pub(crate) const HEADER_BYTES: usize = 64;
/// Bytes of the header that the checksum covers, beside the body; the checksum follows them.
const CHECKED: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
struct Header {
    magic: [u8; 8],
    /// Of the format.
    version: u32,
    /// Of the content, which belongs to whoever wrote it.
    content_version: u32,
    body_bytes: u64,
    unused: u64,
    /// BLAKE3 of the header's first 32 bytes and the body.
    checksum: [u8; 32],
}

/// A kind of file: how it begins, and the format versions this program reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    magic: [u8; 8],
    oldest: u32,
    newest: u32,
}

pub(crate) const MANIFEST: Kind = Kind { magic: *b"PXI-MAN\n", oldest: 1, newest: 1 };
pub(crate) const SIDE: Kind = Kind { magic: *b"PXI-SID\n", oldest: 1, newest: 1 };

/// The bytes of a file.
pub(crate) fn seal(kind: Kind, content_version: u32, body: &[u8]) -> Vec<u8> {
    let mut header = Header {
        magic: kind.magic,
        version: kind.newest,
        content_version,
        body_bytes: body.len() as u64,
        unused: 0,
        checksum: [0; 32],
    };
    header.checksum = checksum(&encoded(&header)[..CHECKED], body);
    let mut out = encoded(&header);
    out.extend_from_slice(body);
    out
}

/// Version of the content, and the body. `path` is for errors.
pub(crate) fn open<'a>(kind: Kind, bytes: &'a [u8], path: &Path) -> Result<(u32, &'a [u8]), StorageError> {
    let corrupt = |offset: usize, what: &str| StorageError::Corrupt {
        path: path.to_owned(),
        offset: offset as u64,
        what: what.to_owned(),
    };
    let Some((head, body)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(corrupt(bytes.len(), "the file ends within its header"));
    };
    let header: Header = codec::decode(head).map_err(|error| corrupt(0, &error.to_string()))?;
    if header.magic != kind.magic {
        return Err(corrupt(0, "another kind of file"));
    }
    if header.version < kind.oldest || header.version > kind.newest {
        let known = (kind.oldest, kind.newest);
        return Err(StorageError::Version { path: path.to_owned(), found: header.version, known });
    }
    if header.body_bytes != body.len() as u64 {
        return Err(corrupt(bytes.len(), &format!("{} bytes where {} were written", body.len(), header.body_bytes)));
    }
    if header.checksum != checksum(&head[..CHECKED], body) {
        return Err(corrupt(0, "the content does not match its checksum"));
    }
    Ok((header.content_version, body))
}

fn checksum(head: &[u8], body: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(head).update(body);
    *hasher.finalize().as_bytes()
}

fn encoded(header: &Header) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES);
    // Integers and arrays into memory: nothing there that can fail.
    let written = codec::encode(header, &mut out);
    debug_assert!(written.is_ok_and(|bytes| bytes == HEADER_BYTES));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flip_and_every_cut_is_an_error() {
        let path = Path::new("f");
        let whole = seal(SIDE, 7, b"some bytes");
        assert_eq!(open(SIDE, &whole, path).unwrap(), (7, &b"some bytes"[..]));
        for at in 0..whole.len() {
            for flip in [1, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                assert!(open(SIDE, &bytes, path).is_err(), "{at}");
            }
            assert!(open(SIDE, &whole[..at], path).is_err(), "cut {at}");
        }
        assert!(open(MANIFEST, &whole, path).is_err());
        let mut longer = whole;
        longer.push(0);
        assert!(open(SIDE, &longer, path).is_err());
    }

    #[test]
    fn an_unknown_version_is_named() {
        let mut bytes = seal(MANIFEST, 0, b"");
        bytes[8] = 9;
        let error = open(MANIFEST, &bytes, Path::new("MANIFEST")).unwrap_err().to_string();
        assert_eq!(error, "MANIFEST: format version 9; this program reads versions 1 to 1");
    }
}
