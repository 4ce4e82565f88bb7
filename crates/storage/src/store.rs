//! What every store does.

use crate::{StorageError, View};
use arc_swap::ArcSwap;
use prefix_indexer_models::{EventBatch, IndexSpec, PrefixTable, SourceId, SourcePosition};
use serde::Serialize;
use std::sync::Arc;

/// Names a batch, so that giving it twice counts it once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub [u8; 16]);

/// What is committed together with events: all of it or none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Commit {
    /// Identity of the batch, if duplicates of it are to be recognised.
    pub batch_id: Option<BatchId>,
    /// How far the files that the events came from have been read.
    pub sources: Vec<SourcePosition>,
}

/// Events to append, with what is committed beside them.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Valid events.
    pub events: EventBatch,
    /// What goes with them.
    pub commit: Commit,
}

impl From<EventBatch> for Batch {
    /// Events without an identity or a source.
    fn from(events: EventBatch) -> Batch {
        Batch { events, commit: Commit::default() }
    }
}

/// What became of an appended batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Appended {
    /// Events counted.
    pub events: u64,
    /// Events left out because one of the same prefix with the same event id was counted before, or, for a batch whose id
    /// is known, all of them.
    pub duplicates: u64,
}

/// What to remove for good. At least one of the two is given; both together mean their intersection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forget {
    /// Everything of this tenant.
    pub tenant: Option<String>,
    /// Everything of this model.
    pub model_id: Option<String>,
}

/// What an index has counted since it was made; merged indexes add theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counters {
    /// Events counted.
    pub events: u64,
    /// Traffic in bytes.
    pub bytes: u64,
    /// Events left out as duplicates.
    pub duplicates: u64,
    /// Events that named another parent than the one known.
    pub parent_conflicts: u64,
    /// Parent links refused because they would have closed a cycle.
    pub parent_cycles: u64,
}

/// Size and state of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreStatus {
    /// Distinct prefixes.
    pub prefixes: u64,
    /// Bytes on disk (on the heap, for the memory store).
    pub bytes: u64,
    /// Counts up with every change of the set of segments.
    pub generation: u64,
    /// Segments that a query merges.
    pub segments: usize,
    /// Bytes in the write-ahead log that are not in segments yet.
    pub log_bytes: u64,
    /// What has been counted.
    pub counters: Counters,
}

/// A handle to the newest view of a store: cheap to clone, never blocks, and outlives the store.
#[derive(Debug, Clone)]
pub struct Reader {
    current: Arc<ArcSwap<View>>,
}

impl Reader {
    pub(crate) fn new(current: Arc<ArcSwap<View>>) -> Reader {
        Reader { current }
    }

    /// What is in the index now. It does not change while it is held.
    pub fn view(&self) -> Arc<View> {
        self.current.load_full()
    }
}

/// An index with one writer.
///
/// Every store passes the same conformance suite; the same events give the same answers to 1e-9.
pub trait IndexStore: Send {
    /// What the numbers mean.
    fn spec(&self) -> &IndexSpec;

    /// A handle for queries.
    fn reader(&self) -> Reader;

    /// Counts batches. When it returns, all of them are durable (one sync for the group). A batch whose id is remembered adds
    /// nothing. Queries see the events after the next [`publish`](Self::publish), or when 262,144 wait for it.
    ///
    /// # Errors
    /// A failed write leaves nothing of the group acknowledged; batches acknowledged before stay.
    /// After a failed sync nobody knows what is on disk: the store shows, commits and takes nothing more
    /// ([`StorageError::Halted`]) until it is opened again.
    fn append(&mut self, batches: &[Batch]) -> Result<Vec<Appended>, StorageError>;

    /// Shows queries all that was appended. To be called when no further batch waits: ranking many events together takes
    /// less time than one batch after the other.
    ///
    /// # Errors
    /// Those of merging; nothing that was appended is lost, and a flush shows it too.
    fn publish(&mut self) -> Result<(), StorageError>;

    /// Removes from a batch the events that were counted before, by prefix and event id, and remembers the others until
    /// [`load`](Self::load) commits them or [`abandon`](Self::abandon) does not. Returns how many it removed.
    fn admit(&mut self, events: &mut EventBatch) -> u64;

    /// Adds whole tables of differences, with no prefix in more than one of them, around the log: durable and in the view when
    /// it returns. `counters` add to those of the index; contradicting parents and cycles that come to light only against
    /// what the index holds are counted beside them. A commit whose batch id is remembered adds nothing.
    ///
    /// # Errors
    /// On failure nothing of it is in the index.
    fn load(&mut self, tables: Vec<PrefixTable>, commit: &Commit, counters: Counters) -> Result<(), StorageError>;

    /// Forgets what [`admit`](Self::admit) remembered since the last `load`.
    fn abandon(&mut self);

    /// How far a source has been read.
    fn source(&self, source: &SourceId) -> Option<&SourcePosition>;

    /// All sources with this path, newest last.
    fn sources_at(&self, path: &str) -> Vec<&SourcePosition>;

    /// Learned state by name: format version and bytes, as [`put_side`](Self::put_side) left it.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] when its checksum does not match.
    fn side(&self, name: &str) -> Result<Option<(u32, Vec<u8>)>, StorageError>;

    /// Keeps learned state under a name; durable with the next flush, together with all events before it.
    ///
    /// # Errors
    /// Those of writing a file.
    fn put_side(&mut self, name: &str, version: u32, bytes: &[u8]) -> Result<(), StorageError>;

    /// Adds what the follower of another index had written down to what this one's knows, durable with the next flush. Nothing
    /// without a follower ([`OpenOptions::follower`](crate::OpenOptions::follower)).
    ///
    /// # Errors
    /// [`StorageError::Follower`] when that cannot be read.
    fn merge_followed(&mut self, version: u32, bytes: &[u8]) -> Result<(), StorageError>;

    /// Moves everything from the log into segments, so that readers in other processes see it.
    ///
    /// # Errors
    /// Those of writing files; what was acknowledged stays in the log.
    fn flush(&mut self) -> Result<(), StorageError>;

    /// Merges all segments into one, in the current format, and applies retention.
    ///
    /// # Errors
    /// Those of reading and writing files; on failure the segments stay as they were.
    fn compact(&mut self) -> Result<(), StorageError>;

    /// Removes prefixes for good: from segments, log and side files of this crate. Returns how many.
    ///
    /// # Errors
    /// As [`compact`](Self::compact).
    fn forget(&mut self, what: &Forget) -> Result<u64, StorageError>;

    /// Size and state.
    fn status(&self) -> StoreStatus;
}
