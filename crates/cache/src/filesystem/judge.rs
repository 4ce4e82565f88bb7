//! Whether the bytes of a file are a value, and what is known of it.

use super::{
    header::{self, Header, Identity},
    scan,
};
use crate::Entry;
use bytes::Bytes;
use std::{fs, os::unix::fs::MetadataExt, path::Path, time::Duration};
use xxhash_rust::xxh3::xxh3_64;

/// Where the header of a file is.
pub(super) enum Beside {
    /// In the file itself, before the value.
    Within,
    /// In a file of its own, and it is this.
    Ours(Header),
    /// Nowhere: the file is somebody else's, and served as it is.
    Foreign,
}

/// What the bytes of a file came to.
pub(super) enum Judged {
    Found(Entry),
    Expired,
    /// The file of another key.
    Foreign,
    Corrupt,
}

impl Beside {
    /// What stands beside a file of the plain layout. `None`: a set of it has not come to its end, now or before a crash, and the
    /// file is what it held before.
    pub(super) fn of(sidecar: &Path, key: &str, file: &fs::Metadata) -> Option<Beside> {
        let Some(header) = scan::read_header(sidecar).filter(|header| header.key == key) else {
            return Some(Beside::Foreign);
        };
        if header.identity == Identity::of(file) {
            return Some(Beside::Ours(header));
        }
        // What somebody else put in place of ours came after it; what was there before is older than what stands beside.
        let (came, written) =
            ((file.ctime(), file.ctime_nsec()), fs::metadata(sidecar).ok().map(|m| (m.mtime(), m.mtime_nsec())));
        written.is_none_or(|written| came >= written).then_some(Beside::Foreign)
    }

    /// Judges the bytes of the whole file.
    pub(super) fn judge(self, key: &str, bytes: Vec<u8>, now_ms: u64) -> Judged {
        let (header, value) = match self {
            Beside::Foreign => return Judged::Found(Entry::new(bytes)),
            Beside::Ours(header) => (header, Bytes::from(bytes)),
            Beside::Within => {
                let Some(header) = header::decode(&bytes) else { return Judged::Corrupt };
                if header.key != key {
                    return Judged::Foreign;
                }
                let value = Bytes::from(bytes).slice(header.len..);
                (header, value)
            }
        };
        let Some(ttl) = header.left(now_ms) else { return Judged::Expired };
        if value.len() as u64 != header.value_len || xxh3_64(&value) != header.value_sum {
            return Judged::Corrupt;
        }
        Judged::Found(Entry { value, ttl, metadata: header.metadata })
    }
}

impl Header {
    /// What is left of the time to live; `None` when it is over.
    pub(super) fn left(&self, now_ms: u64) -> Option<Option<Duration>> {
        if self.expires_ms == 0 {
            return Some(None);
        }
        let left = self.expires_ms.saturating_sub(now_ms);
        (left > 0).then_some(Some(Duration::from_millis(left)))
    }

    /// How long a file of the hashed layout with this header is.
    pub(super) fn file_len(&self) -> u64 {
        (self.len as u64).saturating_add(self.value_len)
    }
}

impl Identity {
    pub(super) fn of(metadata: &fs::Metadata) -> Identity {
        let modified = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        Identity { inode: metadata.ino(), modified_ns: modified as u64 }
    }
}
