//! Which files there are, how large, and which goes first.
//!
//! A map from ids to slots, and the slots in a doubly linked list from oldest to newest use (LRU) or write (FIFO). Every
//! operation is a few memory accesses; about 80 bytes a file (and its name in the plain layout). The index decides and counts;
//! what is really there, the file system knows.

use super::layout::Id;
use serde::Deserialize;
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// Which file goes first when there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Eviction {
    /// The one used longest ago.
    #[default]
    Lru,
    /// The one written longest ago.
    Fifo,
}

#[derive(Debug)]
pub(super) struct Index {
    eviction: Eviction,
    by_id: HashMap<Id, u32, BuildHasherDefault<TakeLow>>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    oldest: u32,
    newest: u32,
    bytes: u64,
    /// Moves with every insertion, so that a scan knows what came after it began.
    moment: u64,
}

#[derive(Debug)]
struct Slot {
    file: Indexed,
    inserted: u64,
    touched_s: u64,
    older: u32,
    newer: u32,
}

/// A file as the index knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Indexed {
    pub(super) id: Id,
    /// Bytes charged against the budget: the length of the file (and of what stands beside it).
    pub(super) size: u64,
    /// Relative to the root; `None` where the id is the name.
    pub(super) name: Option<Box<str>>,
}

const NONE: u32 = u32::MAX;

impl Index {
    pub(super) fn new(eviction: Eviction) -> Index {
        Index {
            eviction,
            by_id: HashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            oldest: NONE,
            newest: NONE,
            bytes: 0,
            moment: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn moment(&self) -> u64 {
        self.moment
    }

    pub(super) fn size(&self, id: Id) -> Option<u64> {
        self.by_id.get(&id).map(|&at| self.slots[at as usize].file.size)
    }

    /// A file was written: it is the newest, in place of what the id had before.
    pub(super) fn insert(&mut self, file: Indexed) {
        self.remove(file.id);
        self.moment += 1;
        self.bytes += file.size;
        let id = file.id;
        let slot = Slot { file, inserted: self.moment, touched_s: 0, older: NONE, newer: NONE };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = slot;
                at
            }
            None => {
                self.slots.push(slot);
                self.slots.len() as u32 - 1
            }
        };
        self.by_id.insert(id, at);
        self.link_newest(at);
    }

    /// A file was used.
    pub(super) fn used(&mut self, id: Id) {
        if self.eviction == Eviction::Lru
            && let Some(&at) = self.by_id.get(&id)
        {
            self.unlink(at);
            self.link_newest(at);
        }
    }

    /// Whether the use of a file at `now_s` ought to be noted on disk too: once in `every_s`.
    pub(super) fn is_note_due(&self, id: Id, now_s: u64, every_s: u64) -> bool {
        let slot = self.by_id.get(&id).map(|&at| &self.slots[at as usize]);
        self.eviction == Eviction::Lru && slot.is_some_and(|slot| now_s >= slot.touched_s + every_s)
    }

    pub(super) fn noted(&mut self, id: Id, now_s: u64) {
        if let Some(&at) = self.by_id.get(&id) {
            self.slots[at as usize].touched_s = now_s;
        }
    }

    pub(super) fn remove(&mut self, id: Id) -> bool {
        let Some(at) = self.by_id.remove(&id) else { return false };
        self.unlink(at);
        self.free.push(at);
        let file = &mut self.slots[at as usize].file;
        file.name = None;
        self.bytes -= file.size;
        true
    }

    /// The file that goes first.
    pub(super) fn oldest(&self) -> Option<Indexed> {
        (self.oldest != NONE).then(|| self.slots[self.oldest as usize].file.clone())
    }

    /// Takes over what a scan found that began at `since`: unknown files come in as the newest; known ones that it did not
    /// find, and that are not younger than it, go.
    pub(super) fn reconcile(&mut self, found: Vec<Indexed>, since: u64) {
        let seen: std::collections::HashSet<Id> = found.iter().map(|file| file.id).collect();
        let gone: Vec<Id> = self
            .by_id
            .iter()
            .filter(|&(id, &at)| !seen.contains(id) && self.slots[at as usize].inserted <= since)
            .map(|(&id, _)| id)
            .collect();
        for id in gone {
            self.remove(id);
        }
        for file in found {
            match self.by_id.get(&file.id) {
                None => self.insert(file),
                Some(&at) if self.slots[at as usize].inserted <= since => {
                    // Another process has replaced it.
                    let known = &mut self.slots[at as usize].file.size;
                    self.bytes = self.bytes - *known + file.size;
                    *known = file.size;
                }
                Some(_) => {}
            }
        }
    }

    fn unlink(&mut self, at: u32) {
        let (older, newer) = (self.slots[at as usize].older, self.slots[at as usize].newer);
        match older {
            NONE => self.oldest = newer,
            older => self.slots[older as usize].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => self.slots[newer as usize].older = older,
        }
    }

    fn link_newest(&mut self, at: u32) {
        let before = std::mem::replace(&mut self.newest, at);
        self.slots[at as usize].older = before;
        self.slots[at as usize].newer = NONE;
        match before {
            NONE => self.oldest = at,
            before => self.slots[before as usize].newer = at,
        }
    }
}

/// Ids are digests already: their low bits are as good as any hash.
#[derive(Debug, Default)]
struct TakeLow(u64);

impl Hasher for TakeLow {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, &byte| hash.rotate_left(8) ^ u64::from(byte));
    }

    fn write_u128(&mut self, id: u128) {
        self.0 = id as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(id: u128, size: u64) -> Indexed {
        Indexed { id: Id(id), size, name: None }
    }

    #[track_caller]
    fn check(mut index: Index, order: &[u128]) {
        let mut found = Vec::new();
        while let Some(oldest) = index.oldest() {
            found.push(oldest.id.0);
            index.remove(oldest.id);
        }
        assert_eq!((found.as_slice(), index.bytes(), index.len()), (order, 0, 0));
    }

    #[test]
    fn the_order_of_leaving() {
        for (eviction, order) in [(Eviction::Lru, [2, 4, 3, 1]), (Eviction::Fifo, [1, 2, 4, 3])] {
            let mut index = Index::new(eviction);
            for id in 1..=4 {
                index.insert(file(id, 10 * id as u64));
            }
            index.insert(file(3, 5));
            index.used(Id(1));
            assert_eq!((index.bytes(), index.size(Id(3))), (75, Some(5)));
            check(index, &order);
        }
    }

    #[test]
    fn a_use_is_noted_once_in_a_while() {
        let mut index = Index::new(Eviction::Lru);
        index.insert(file(1, 1));
        assert!(index.is_note_due(Id(1), 100, 60));
        index.noted(Id(1), 100);
        assert_eq!([130, 159, 160].map(|now| index.is_note_due(Id(1), now, 60)), [false, false, true]);
        assert!(!index.is_note_due(Id(2), 100, 60));
    }

    #[test]
    fn a_scan_brings_and_takes_but_not_what_is_younger_than_it() {
        let mut index = Index::new(Eviction::Lru);
        index.insert(file(1, 10));
        index.insert(file(2, 10));
        let since = index.moment();
        index.insert(file(3, 10));
        index.insert(file(2, 11));
        index.reconcile(vec![file(1, 12), file(2, 10), file(9, 1)], since);
        assert_eq!([1, 2, 3, 9].map(|id| index.size(Id(id))), [Some(12), Some(11), Some(10), Some(1)]);
        let since = index.moment();
        index.reconcile(vec![file(9, 1)], since);
        check(index, &[9]);
    }
}
