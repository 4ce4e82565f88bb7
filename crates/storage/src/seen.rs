//! What was counted before: ids of batches and of events, remembered so that a second delivery adds nothing.
//!
//! Batch ids are kept for 24 hours of event time or a million of them, whichever is more; event ids in a window of the
//! latest million. Each flush saves what came since the last one as a small file; when those become many, the next flush
//! writes one in their place.

use crate::{
    BatchId, Forget, StorageError,
    codec::{self, Decode, Encode},
    id_window::IdWindow,
    side,
};
use prefix_indexer_models::{EventRef, KeyPolicy};
use std::{collections::VecDeque, path::Path};

const WINDOW: usize = 1_000_000;
const DAY_MS: u64 = 24 * 3_600_000;
/// The name of the files, as side files; no caller can use it, because theirs contain no dot.
pub(crate) const FILE: &str = "seen.ids";
const FILE_VERSION: u32 = 1;
/// Files that a flush leaves before it writes one in their place.
const MAX_FILES: usize = 16;

/// Identity of an event: three bytes of the tenant's digest, three of the model's, ten of everything's. The first six let
/// [`Seen::forget`] find what belongs to a tenant.
pub(crate) type EventDigest = [u8; 16];

#[derive(Debug, Default)]
pub(crate) struct Seen {
    batches: IdWindow,
    /// Newest event time of each batch.
    batch_times_ms: VecDeque<u64>,
    newest_batch_ms: u64,
    events: IdWindow,
    /// Events of a bulk load that is not committed yet.
    admitted: IdWindow,
    /// How many of the newest ids no file holds.
    unsaved: (usize, usize),
}

/// How much was remembered at some moment, to go back to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    batches: usize,
    events: usize,
}

#[derive(Debug, Encode, Decode)]
struct File {
    batches: Vec<([u8; 16], u64)>,
    events: Vec<[u8; 16]>,
}

impl Seen {
    pub(crate) fn has_batch(&self, id: BatchId) -> bool {
        self.batches.contains(&id.0)
    }

    /// Remembers an event; whether it was new.
    pub(crate) fn add_event(&mut self, id: EventDigest) -> bool {
        let new = !self.events.contains(&id) && !self.admitted.contains(&id);
        if new {
            self.push_event(id);
        }
        new
    }

    pub(crate) fn push_event(&mut self, id: EventDigest) {
        self.events.push(id);
        self.unsaved.1 += 1;
    }

    /// Remembers an event until [`push_admitted`](Self::push_admitted) or [`abandon`](Self::abandon); whether it was new.
    pub(crate) fn admit_event(&mut self, id: EventDigest) -> bool {
        let new = !self.events.contains(&id) && !self.admitted.contains(&id);
        if new {
            self.admitted.push(id);
            self.admitted.trim(WINDOW);
        }
        new
    }

    pub(crate) fn push_batch(&mut self, id: BatchId, newest_ms: u64) {
        if self.has_batch(id) {
            return;
        }
        // A batch of nothing but source positions is as old as the newest.
        let time_ms = if newest_ms == 0 { self.newest_batch_ms } else { newest_ms };
        self.newest_batch_ms = self.newest_batch_ms.max(time_ms);
        self.batches.push(id.0);
        self.batch_times_ms.push_back(time_ms);
        self.unsaved.0 += 1;
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { batches: self.batches.len(), events: self.events.len() }
    }

    /// Forgets what came since a mark, with no [`trim`](Self::trim) in between.
    pub(crate) fn go_back(&mut self, mark: Mark) {
        while self.batches.len() > mark.batches {
            self.batches.pop_newest();
            self.batch_times_ms.pop_back();
            self.unsaved.0 = self.unsaved.0.saturating_sub(1);
        }
        while self.events.len() > mark.events {
            self.events.pop_newest();
            self.unsaved.1 = self.unsaved.1.saturating_sub(1);
        }
    }

    /// Forgets what is too old to be remembered.
    pub(crate) fn trim(&mut self) {
        self.events.trim(WINDOW);
        let oldest_kept = self.newest_batch_ms.saturating_sub(DAY_MS);
        while self.batches.len() > WINDOW && self.batch_times_ms.front().is_some_and(|&ms| ms < oldest_kept) {
            self.batches.trim(self.batches.len() - 1);
            self.batch_times_ms.pop_front();
        }
        self.unsaved = (self.unsaved.0.min(self.batches.len()), self.unsaved.1.min(self.events.len()));
    }

    /// Remembers like any other what a bulk load admitted, for [`go_back`](Self::go_back) or [`settle`](Self::settle).
    pub(crate) fn push_admitted(&mut self) {
        let admitted = std::mem::take(&mut self.admitted);
        admitted.iter().for_each(|id| self.push_event(*id));
        self.admitted = admitted;
    }

    /// Ends a bulk load that was committed.
    pub(crate) fn settle(&mut self) {
        self.abandon();
        self.trim();
    }

    pub(crate) fn abandon(&mut self) {
        self.admitted = IdWindow::default();
    }

    /// Forgets the events of a tenant, a model or both; whether there were any.
    pub(crate) fn forget(&mut self, what: &Forget) -> bool {
        let tenant = what.tenant.as_deref().map(tag);
        let model = what.model_id.as_deref().map(tag);
        let meant = |id: &[u8; 16]| {
            tenant.is_none_or(|tag| id.starts_with(&tag)) && model.is_none_or(|tag| id[3..].starts_with(&tag))
        };
        let before = self.events.len();
        self.events = self.events.iter().filter(|id| !meant(id)).copied().collect();
        before != self.events.len()
    }

    pub(crate) fn has_unsaved(&self) -> bool {
        self.unsaved != (0, 0)
    }

    /// Writes what no file holds, or everything when `whole` or the files are many, and returns the generations of all files.
    pub(crate) fn save(
        &self,
        dir: &Path,
        generation: u64,
        files: &[u64],
        whole: bool,
    ) -> Result<Vec<u64>, StorageError> {
        if !whole && !self.has_unsaved() {
            return Ok(files.to_vec());
        }
        let whole = whole || files.len() >= MAX_FILES;
        let (batches, events) = if whole { (self.batches.len(), self.events.len()) } else { self.unsaved };
        let times = self.batch_times_ms.iter().copied();
        let batches = self.batches.iter().copied().zip(times).skip(self.batches.len() - batches);
        let file = File {
            batches: batches.collect(),
            events: self.events.iter().skip(self.events.len() - events).copied().collect(),
        };
        let mut body = Vec::new();
        codec::encode(&file, &mut body).map_err(|error| {
            crate::files::io_error("cannot encode", &crate::files::side_path(dir, FILE, generation))(
                std::io::Error::other(error),
            )
        })?;
        side::write(dir, FILE, generation, FILE_VERSION, &body)?;
        Ok(if whole { vec![generation] } else { [files, &[generation]].concat() })
    }

    /// After the manifest names the files of [`save`](Self::save).
    pub(crate) fn saved(&mut self) {
        self.unsaved = (0, 0);
    }

    pub(crate) fn load(dir: &Path, files: &[u64]) -> Result<Seen, StorageError> {
        let mut seen = Seen::default();
        for &generation in files {
            let File { batches, events } = load_file(dir, generation)?;
            batches.into_iter().for_each(|(id, newest_ms)| seen.push_batch(BatchId(id), newest_ms));
            events.into_iter().for_each(|id| seen.push_event(id));
            seen.trim();
        }
        seen.saved();
        Ok(seen)
    }
}

fn load_file(dir: &Path, generation: u64) -> Result<File, StorageError> {
    let path = crate::files::side_path(dir, FILE, generation);
    let (version, body) = side::read(dir, FILE, generation)?;
    if version != FILE_VERSION {
        return Err(StorageError::Version { path, found: version, known: (FILE_VERSION, FILE_VERSION) });
    }
    codec::decode(&body).map_err(|error| StorageError::Corrupt { path, offset: 0, what: error.to_string() })
}

/// Whether a file of remembered ids can be read.
pub(crate) fn verify(dir: &Path, generation: u64) -> Result<(), StorageError> {
    load_file(dir, generation).map(|_| ())
}

/// Digests events, remembering the tags of the last tenant and model.
#[derive(Debug, Default)]
pub(crate) struct Digester {
    tenant: (String, [u8; 3]),
    model_id: (String, [u8; 3]),
}

impl Digester {
    /// The identity of an event that has an event id.
    pub(crate) fn digest(&mut self, policy: KeyPolicy, event: &EventRef<'_>) -> Option<EventDigest> {
        let event_id = event.event_id?;
        for (known, name) in [(&mut self.tenant, event.tenant), (&mut self.model_id, event.model_id)] {
            if known.0 != name {
                *known = (name.to_owned(), tag(name));
            }
        }
        let mut hasher = blake3::Hasher::new();
        for part in [event.tenant, event.model_id, event.prefix_id, event_id] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        let (layer, page) = policy.bands(event.layer, event.page_start);
        hasher.update(&layer.to_le_bytes()).update(&page.to_le_bytes());
        let mut id = [0; 16];
        id[..3].copy_from_slice(&self.tenant.1);
        id[3..6].copy_from_slice(&self.model_id.1);
        id[6..].copy_from_slice(&hasher.finalize().as_bytes()[..10]);
        Some(id)
    }
}

fn tag(name: &str) -> [u8; 3] {
    let mut tag = [0; 3];
    tag.copy_from_slice(&blake3::hash(name.as_bytes()).as_bytes()[..3]);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> [u8; 16] {
        u128::from(number).to_le_bytes()
    }

    #[test]
    fn batches_are_kept_for_a_million_or_a_day() {
        let mut seen = Seen::default();
        for number in 0..WINDOW as u64 + 10 {
            seen.push_batch(BatchId(id(number)), 1_000 + number);
        }
        seen.trim();
        assert!(seen.has_batch(BatchId(id(0))), "within a day, however many");
        seen.push_batch(BatchId(id(u64::MAX)), 1_005 + DAY_MS);
        seen.trim();
        assert!(!seen.has_batch(BatchId(id(4))));
        assert!(seen.has_batch(BatchId(id(5))), "a day old to the millisecond");
        seen.push_batch(BatchId(id(u64::MAX - 1)), 100 * DAY_MS);
        seen.trim();
        assert_eq!(seen.batches.len(), WINDOW, "a million, however old");
    }

    #[test]
    fn what_is_saved_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        crate::files::create_dir(&dir.path().join(crate::files::SIDE_DIR)).unwrap();
        let (mut seen, mut files) = (Seen::default(), Vec::new());
        for generation in 1..=40_u64 {
            seen.push_batch(BatchId(id(generation)), generation);
            assert!(seen.add_event(id(1000 + generation)));
            assert!(!seen.add_event(id(1000 + generation)));
            files = seen.save(dir.path(), generation, &files, false).unwrap();
            seen.saved();
            assert!(files.len() <= MAX_FILES);
        }
        assert_eq!(seen.save(dir.path(), 99, &files, false).unwrap(), files, "nothing new, no file");
        let loaded = Seen::load(dir.path(), &files).unwrap();
        assert_eq!((loaded.batches.len(), loaded.events.len()), (40, 40));
        assert!((1..=40).all(|number| loaded.has_batch(BatchId(id(number)))));
    }

    #[test]
    fn going_back_and_abandoning() {
        let mut seen = Seen::default();
        assert!(seen.add_event(id(1)));
        let mark = seen.mark();
        seen.push_batch(BatchId(id(9)), 5);
        assert!(seen.add_event(id(2)));
        seen.go_back(mark);
        assert!(!seen.has_batch(BatchId(id(9))));
        assert!(!seen.add_event(id(1)));
        assert!(seen.admit_event(id(2)));
        assert!(!seen.admit_event(id(2)));
        seen.abandon();
        assert!(seen.admit_event(id(2)));
        seen.push_admitted();
        seen.settle();
        assert!(!seen.add_event(id(2)));
    }
}
