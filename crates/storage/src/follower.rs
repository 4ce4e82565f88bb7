//! Learned state that follows the events of an index: it sees each that counts, once and in order, and every generation commits
//! it together with them.
//!
//! The store owns its follower, because only the store knows when an event counts: after a crash the log is shown to it again, from
//! where the committed state ends; what is loaded around the log counts with the load or not at all. What a follower learns,
//! and what its bytes mean, is its own business.

use crate::{StorageError, side::PendingSides};
use prefix_indexer_models::{EventBatch, IndexSpec};
use std::fmt;

/// Learns from events, and can be written down.
pub trait Follower: Send {
    /// Events that count.
    fn observe(&mut self, events: &EventBatch);

    /// Events that will count if [`settle`](Self::settle) follows, and never have been if [`abandon`](Self::abandon) does.
    fn admit(&mut self, events: &EventBatch);

    /// What was admitted counts.
    fn settle(&mut self);

    /// What was admitted does not count.
    fn abandon(&mut self);

    /// Adds what another index's follower had written down.
    ///
    /// # Errors
    /// Why that cannot be read; nothing of it has been added.
    fn merge(&mut self, version: u32, bytes: &[u8]) -> Result<(), String>;

    /// Version and bytes of the state, with what was admitted or without.
    ///
    /// # Errors
    /// Why it cannot be written.
    fn save(&self, with_admitted: bool) -> Result<(u32, Vec<u8>), String>;
}

/// A kind of follower.
#[derive(Clone, Copy)]
pub struct FollowerKind {
    /// Name of its side file.
    pub name: &'static str,
    /// Makes one that goes on from what an earlier one had written down, if anything.
    pub make: MakeFollower,
}

/// Makes a follower of an index with these settings; an error says why the bytes cannot be read.
pub type MakeFollower = fn(&IndexSpec, Option<(u32, Vec<u8>)>) -> Result<Box<dyn Follower>, String>;

impl PartialEq for FollowerKind {
    fn eq(&self, other: &FollowerKind) -> bool {
        self.name == other.name
    }
}

impl Eq for FollowerKind {}

impl fmt::Debug for FollowerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FollowerKind").field(&self.name).finish()
    }
}

/// The follower of a store.
pub(crate) struct Followed {
    name: &'static str,
    follower: Box<dyn Follower>,
    /// It has seen what no generation has committed.
    unsaved: bool,
    admitted: bool,
}

impl Followed {
    pub(crate) fn new(
        kind: &FollowerKind,
        spec: &IndexSpec,
        side: Option<(u32, Vec<u8>)>,
    ) -> Result<Followed, StorageError> {
        let follower = (kind.make)(spec, side).map_err(|reason| failed(kind.name, reason))?;
        Ok(Followed { name: kind.name, follower, unsaved: false, admitted: false })
    }

    pub(crate) fn observe(&mut self, events: &EventBatch) {
        if !events.is_empty() {
            self.follower.observe(events);
            self.unsaved = true;
        }
    }

    pub(crate) fn admit(&mut self, events: &EventBatch) {
        if !events.is_empty() {
            self.follower.admit(events);
            self.admitted = true;
        }
    }

    pub(crate) fn abandon(&mut self) {
        self.admitted = false;
        self.follower.abandon();
    }

    pub(crate) fn merge(&mut self, version: u32, bytes: &[u8]) -> Result<(), StorageError> {
        self.unsaved = true;
        self.follower.merge(version, bytes).map_err(|reason| failed(self.name, reason))
    }

    /// Puts what the next generation is to commit beside the other side files, if that is not what the last one did.
    pub(crate) fn put(&self, with_admitted: bool, sides: &mut PendingSides) -> Result<(), StorageError> {
        if self.unsaved || (with_admitted && self.admitted) {
            let (version, bytes) = self.follower.save(with_admitted).map_err(|reason| failed(self.name, reason))?;
            sides.put(self.name, version, &bytes)?;
        }
        Ok(())
    }

    pub(crate) fn saved(&mut self, with_admitted: bool) {
        self.unsaved = false;
        if with_admitted && std::mem::take(&mut self.admitted) {
            self.follower.settle();
        }
    }
}

fn failed(name: &'static str, reason: String) -> StorageError {
    StorageError::Follower { name, reason }
}
