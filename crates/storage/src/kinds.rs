//! The kinds of store: a line each in the list below, a file each beside it. Help texts, the factory and the conformance
//! suite walk the list.

pub(crate) mod jsonl_store;
mod memory_store;
pub(crate) mod segment_store;

use crate::{FollowerKind, IndexStore, StorageError, follower::Followed, retention::Retention};
use prefix_indexer_models::IndexSpec;
use std::{fmt, path::Path, str::FromStr};

/// How a store is opened. The default opens an index that exists, maps its files and keeps everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenOptions {
    /// With it an index that does not exist is made; one that exists must have been made with the same.
    pub spec: Option<IndexSpec>,
    /// Prefixes not used within this time before the newest event go, in milliseconds. Applied by compaction.
    pub retain_ms: Option<u64>,
    /// The most prefixes to keep; the lowest-ranked by the longest half-life go. Applied by compaction.
    pub max_prefixes: Option<u64>,
    /// Whether segments are mapped into memory; else they are read, for file systems where mapping is not to be trusted.
    pub mmap: bool,
    /// What learns from the events of the index; it must be the same kind each time, or it misses some.
    pub follower: Option<FollowerKind>,
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions { spec: None, retain_ms: None, max_prefixes: None, mmap: true, follower: None }
    }
}

impl OpenOptions {
    fn retention(&self) -> Retention {
        Retention { retain_ms: self.retain_ms, max_prefixes: self.max_prefixes }
    }

    /// The follower, going on from the side file that `side` finds by name.
    fn followed(
        &self,
        spec: &IndexSpec,
        side: impl FnOnce(&str) -> Result<Option<(u32, Vec<u8>)>, StorageError>,
    ) -> Result<Option<Followed>, StorageError> {
        let followed = |kind: &FollowerKind| Followed::new(kind, spec, side(kind.name)?);
        self.follower.as_ref().map(followed).transpose()
    }

    /// # Errors
    /// [`StorageError::Spec`] when the index was made with other settings than asked for.
    fn check_spec(&self, found: &IndexSpec) -> Result<(), StorageError> {
        self.spec.as_ref().map_or(Ok(()), |asked| Ok(found.check_same(asked)?))
    }
}

/// Where an index is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum StoreKind {
    /// Ranked memory-mapped segments, a write-ahead log and a manifest.
    #[default]
    Segments,
    /// JSON Lines that people and other programs can read.
    Jsonl,
    /// Nothing on disk.
    Memory,
}

type Open = fn(&Path, &OpenOptions) -> Result<Box<dyn IndexStore>, StorageError>;

struct Listed {
    kind: StoreKind,
    name: &'static str,
    about: &'static str,
    open: Open,
}

const LIST: [Listed; 3] = [
    Listed {
        kind: StoreKind::Segments,
        name: "segments",
        about: "ranked memory-mapped segments and a write-ahead log",
        open: segment_store::open,
    },
    Listed {
        kind: StoreKind::Jsonl,
        name: "jsonl",
        about: "JSON Lines for people and other programs; rewritten by every flush",
        open: jsonl_store::open,
    },
    Listed {
        kind: StoreKind::Memory,
        name: "memory",
        about: "nothing on disk: gone when the program ends",
        open: memory_store::open,
    },
];

impl StoreKind {
    /// All of them, in the order help texts list them.
    pub const ALL: [StoreKind; LIST.len()] = [LIST[0].kind, LIST[1].kind, LIST[2].kind];

    fn listed(self) -> &'static Listed {
        LIST.iter().find(|listed| listed.kind == self).unwrap_or(&LIST[0])
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        self.listed().name
    }

    /// One line of help.
    pub fn about(self) -> &'static str {
        self.listed().about
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for StoreKind {
    type Err = StorageError;

    fn from_str(name: &str) -> Result<StoreKind, StorageError> {
        StoreKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| StorageError::UnknownKind {
            name: name.to_owned(),
            known: StoreKind::ALL.map(StoreKind::name).join(", "),
        })
    }
}

/// Opens an index for writing, or makes one. The memory store ignores the path.
///
/// # Errors
/// [`StorageError::Absent`] without a spec to make one, [`StorageError::Spec`], [`StorageError::Locked`],
/// [`StorageError::Corrupt`], [`StorageError::Version`], and those of the file system.
pub fn open(kind: StoreKind, path: &Path, options: OpenOptions) -> Result<Box<dyn IndexStore>, StorageError> {
    (kind.listed().open)(path, &options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_kind_lists_what_there_is() {
        let error = "redis".parse::<StoreKind>().unwrap_err().to_string();
        assert_eq!(error, "`redis` is not a kind of store: expected segments, jsonl, memory");
        for kind in StoreKind::ALL {
            assert_eq!(kind.name().parse::<StoreKind>().unwrap(), kind);
        }
    }
}
