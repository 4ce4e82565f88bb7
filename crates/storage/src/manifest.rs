//! What an index consists of, as of one generation. Replacing this file is the one moment when a flush, a bulk load, a compaction
//! or a removal happens: before it nothing of them counts, after it all.

use crate::{
    Counters, StorageError,
    files::{self, is_absent},
    format::{self, framed},
};
use prefix_indexer_models::{IndexSpec, SourcePosition};
use std::path::Path;

/// One generation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Manifest {
    /// Counts up by at least one with every replacement.
    pub(crate) generation: u64,
    pub(crate) spec: IndexSpec,
    /// Newest first.
    pub(crate) segments: Vec<SegmentEntry>,
    /// Larger than every number a segment ever had.
    pub(crate) next_segment: u64,
    /// Number of the first log record that is not in the segments.
    pub(crate) log_from: u64,
    /// In the order of first sight.
    pub(crate) sources: Vec<SourcePosition>,
    /// Sorted by name.
    pub(crate) sides: Vec<SideEntry>,
    /// Generations of the files of remembered ids, oldest first.
    pub(crate) seen: Vec<u64>,
    pub(crate) counters: Counters,
}

/// A segment by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentEntry {
    pub(crate) id: u64,
    /// Size of its file, so that a truncated one is noticed when it is opened.
    pub(crate) bytes: u64,
    /// Prefixes that no older segment holds. Here and not in the file alone, because it grows when retention drops older rows.
    pub(crate) fresh: u64,
}

/// Learned state by name, and the generation in its file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SideEntry {
    pub(crate) name: String,
    pub(crate) generation: u64,
}

impl Manifest {
    /// The manifest of a new index.
    pub(crate) fn new(spec: IndexSpec) -> Manifest {
        Manifest {
            generation: 1,
            spec,
            segments: Vec::new(),
            next_segment: 1,
            log_from: 1,
            sources: Vec::new(),
            sides: Vec::new(),
            seen: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// # Errors
    /// [`StorageError::Absent`] where there is none, [`StorageError::Corrupt`], [`StorageError::Version`].
    pub(crate) fn load(dir: &Path) -> Result<Manifest, StorageError> {
        let path = dir.join(files::MANIFEST);
        let bytes = files::read(&path)
            .map_err(|error| if is_absent(&error) { StorageError::Absent { path: dir.to_owned() } } else { error })?;
        let (_, body) = framed::open(framed::MANIFEST, &bytes, &path)?;
        format::manifest::decode(body).map_err(|what| StorageError::Corrupt { path, offset: 0, what })
    }

    /// Replaces the manifest of an index, durably. After an error either the old or this one is in force.
    pub(crate) fn commit(&self, dir: &Path) -> Result<(), StorageError> {
        let path = dir.join(files::MANIFEST);
        let body = format::manifest::encode(self)
            .map_err(|what| files::io_error("cannot encode", &path)(std::io::Error::other(what)))?;
        files::write_atomically(&path, &framed::seal(framed::MANIFEST, 0, &body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prefix_indexer_models::{KeyPolicy, SourceId, Utility};
    use std::num::NonZeroU32;

    fn example() -> Manifest {
        let key_policy = KeyPolicy { layer_band: NonZeroU32::new(8), page_band: None };
        Manifest {
            generation: 9,
            spec: IndexSpec { ladder: "1m,7m".parse().unwrap(), utility: Utility::Latency, key_policy },
            segments: vec![SegmentEntry { id: 4, bytes: 99, fresh: 1 }, SegmentEntry { id: 2, bytes: 5, fresh: 2 }],
            next_segment: 5,
            log_from: 17,
            sources: vec![SourcePosition {
                source: SourceId { path: "/var/log/a.jsonl".into(), head: [3; 32] },
                offset: 12,
                lines: 1,
                tail: [4; 32],
            }],
            sides: vec![SideEntry { name: "life-tables".into(), generation: 3 }],
            seen: vec![1, 8],
            counters: Counters { events: 1, bytes: 2, duplicates: 3, parent_conflicts: 4, parent_cycles: 5 },
        }
    }

    #[test]
    fn comes_back() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Manifest::load(dir.path()), Err(StorageError::Absent { .. })));
        example().commit(dir.path()).unwrap();
        assert_eq!(Manifest::load(dir.path()).unwrap(), example());
        Manifest::new(IndexSpec::default()).commit(dir.path()).unwrap();
        assert_eq!(Manifest::load(dir.path()).unwrap(), Manifest::new(IndexSpec::default()));
    }

    #[test]
    fn every_cut_body_is_an_error() {
        let bytes = format::manifest::encode(&example()).unwrap();
        for cut in 0..bytes.len() {
            assert!(format::manifest::decode(&bytes[..cut]).is_err(), "cut {cut}");
        }
    }
}
