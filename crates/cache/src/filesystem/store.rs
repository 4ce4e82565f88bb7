//! The tier as threads that may wait see it: every call here does its I/O where it stands.

use super::{
    Eviction, FilesystemConfig, NAME,
    header::Header,
    index::{Index, Indexed},
    judge::{Beside, Judged},
    layout::{Id, Layout, Places},
    marker,
    members::{Company, Member},
    nowait::{Answer, Root},
    scan,
    turns::{Ticket, Turns},
};
use crate::{BackendStats, CacheError, Clock, Entry, Listed, Pattern, Result};
use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};

/// The largest file that is read where the caller stands, when that needs no waiting: a block of a mebibyte takes less than 100 us
/// there, and half as much again by way of the pool, whose threads give such memory back to the system after each read.
pub(super) const MAX_INLINE: u64 = (1 << 20) + (4 << 10);

/// The same for each of many at once, which add up.
pub(super) const MAX_INLINE_OF_MANY: u64 = 64 << 10;

/// How often the use of a file is noted on disk, for the next start and for other processes.
const NOTE_USE_EVERY_S: u64 = 60;

#[derive(Debug)]
pub(super) struct Store {
    pub(super) places: Places,
    pub(super) max_bytes: u64,
    pub(super) fsync: bool,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) root: Root,
    pub(super) member: Member,
    /// Held by the process that makes room.
    pub(super) evictor: Mutex<File>,
    pub(super) turns: Arc<Turns>,
    pub(super) index: Mutex<Index>,
    pub(super) eviction: Eviction,
    /// Who was there at the last scan, and what was written here since.
    pub(super) company: Mutex<Option<Company>>,
    pub(super) written: AtomicU64,
    pub(super) scanning: AtomicBool,
    pub(super) evicted: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) corrupt: AtomicU64,
}

impl Store {
    pub(super) fn open(config: &FilesystemConfig, clock: Arc<dyn Clock>) -> Result<Store> {
        let places = Places { root: config.path.clone(), layout: config.layout, escape: config.escape };
        let io = |action| move |source: io::Error| CacheError::backend(NAME, action, source);
        fs::create_dir_all(places.ours("")).map_err(io("cannot make the directory"))?;
        marker::check(&places)?;
        let member = Member::join(&places).map_err(io("cannot join the directory"))?;
        let evictor = File::create(places.ours("evictor.lock")).map_err(io("cannot make the evictor's lock"))?;
        // Before the scan, so that who comes during it is noticed after.
        let company = member.company().map_err(io("cannot look for other processes"))?;
        let mut index = Index::new(config.eviction);
        for file in scan::files(&places, config.eviction).map_err(io("cannot scan"))? {
            index.insert(file);
        }
        let store = Store {
            root: Root::open(&places.root).map_err(io("cannot open"))?,
            places,
            max_bytes: config.max_size.0,
            fsync: config.fsync,
            clock,
            member,
            evictor: Mutex::new(evictor),
            turns: Arc::default(),
            index: Mutex::new(index),
            eviction: config.eviction,
            company: Mutex::new(Some(company)),
            written: AtomicU64::new(0),
            scanning: AtomicBool::new(false),
            evicted: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            corrupt: AtomicU64::new(0),
        };
        store.make_room();
        Ok(store)
    }

    /// The entry, if that needs no waiting and its file has at most `max` bytes. `None`: it may; [`get`](Self::get) knows.
    pub(super) fn get_inline(&self, key: &str, max: u64) -> Option<Result<Option<Entry>>> {
        if self.places.layout == Layout::Plain {
            return None;
        }
        let id = Id::of(key);
        let known = self.index().size(id);
        match self.root.read(&id.path(), known, max) {
            // What the index has wrong, and what has to be removed, is for the pool.
            Answer::Absent if known.is_none() => Some(Ok(None)),
            Answer::Bytes(bytes) => match Beside::Within.judge(key, bytes, self.clock.now_ms()) {
                Judged::Found(entry) if known.is_some() && !self.is_note_due(id) => {
                    self.index().used(id);
                    Some(Ok(Some(entry)))
                }
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn get(&self, key: &str) -> Result<Option<Entry>> {
        let id = Id::of(key);
        let Some(name) = self.places.name(id, key) else { return Ok(None) };
        let path = self.places.path(&name);
        let Some((file, metadata, beside)) = self.open_file(key, id, &path)? else {
            self.forget_if_gone(id, &path);
            return Ok(None);
        };
        // Asks the file for its length and reads it in one piece, where a limited reader would go in small steps.
        let mut bytes = Vec::new();
        (&file).read_to_end(&mut bytes).map_err(|error| failed("cannot read", error))?;
        match beside.judge(key, bytes, self.clock.now_ms()) {
            Judged::Found(entry) => {
                self.used(id, &name, &file, metadata.len());
                return Ok(Some(entry));
            }
            Judged::Foreign => return Ok(None),
            Judged::Expired => drop(self.expired.fetch_add(1, Relaxed)),
            Judged::Corrupt => {
                tracing::warn!(path = %path.display(), "a damaged file was dropped");
                self.corrupt.fetch_add(1, Relaxed);
            }
        }
        self.remove_if_same(id, &name, &metadata);
        Ok(None)
    }

    /// The file of a key, and what is known of it apart from its contents; `None` when it is absent.
    fn open_file(&self, key: &str, id: Id, path: &Path) -> Result<Option<(File, fs::Metadata, Beside)>> {
        // In the plain layout a value and what stands beside it are two files: no set of ours may come between.
        let aside = (self.places.layout == Layout::Plain).then(|| self.turns.aside(id));
        let _effect = aside.as_ref().map(Ticket::effect);
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if is_absence(&error) => return Ok(None),
            Err(error) => return Err(failed("cannot open", error)),
        };
        let metadata = file.metadata().map_err(|error| failed("cannot look at", error))?;
        let beside = match self.places.layout {
            Layout::Hashed => Some(Beside::Within),
            Layout::Plain => Beside::of(&self.places.sidecar(id), key, &metadata),
        };
        Ok(beside.filter(|_| metadata.is_file()).map(|beside| (file, metadata, beside)))
    }

    /// Another process may have deleted what the index still counts.
    fn forget_if_gone(&self, id: Id, path: &Path) {
        if self.index().size(id).is_some() {
            let aside = self.turns.aside(id);
            let _effect = aside.effect();
            // Looked at again: a set may just have come to its end.
            if fs::symlink_metadata(path).is_err_and(|error| is_absence(&error)) {
                self.index().remove(id);
            }
        }
    }

    fn used(&self, id: Id, name: &str, file: &File, length: u64) {
        let mut index = self.index();
        if index.size(id).is_none() {
            // Another process, or an engine, has put it there.
            index.insert(Indexed { id, size: length, name: self.index_name(name) });
        }
        index.used(id);
        let now_s = self.clock.now_ms() / 1_000;
        if index.is_note_due(id, now_s, NOTE_USE_EVERY_S) {
            index.noted(id, now_s);
            drop(index);
            // Should it fail, the order after the next start is a little less exact.
            drop(file.set_times(fs::FileTimes::new().set_accessed(SystemTime::now())));
        }
    }

    /// Whether `key` is there and not expired, by its header alone.
    pub(super) fn exists(&self, key: &str) -> Result<bool> {
        let id = Id::of(key);
        let Some(name) = self.places.name(id, key) else { return Ok(false) };
        let path = self.places.path(&name);
        let Some((_, metadata, beside)) = self.open_file(key, id, &path)? else { return Ok(false) };
        let header = match beside {
            Beside::Foreign => return Ok(true),
            Beside::Ours(header) => Some(header),
            Beside::Within => {
                let whole = |header: &Header| header.key == key && header.file_len() == metadata.len();
                scan::read_header(&path).filter(whole)
            }
        };
        Ok(header.is_some_and(|header| header.left(self.clock.now_ms()).is_some()))
    }

    pub(super) fn list(&self, pattern: &Pattern, limit: usize) -> Result<Vec<Listed>> {
        let mut rows = Vec::new();
        for (file, key) in self.matching(pattern)? {
            if !self.exists(&key)? {
                continue;
            }
            let size = match &file.name {
                Some(name) => fs::metadata(self.places.path(name)).map_or(0, |metadata| metadata.len()),
                None => scan::read_header(&self.places.path(&file.id.path())).map_or(0, |header| header.value_len),
            };
            rows.push(Listed { key, size });
        }
        rows.sort_unstable();
        rows.truncate(limit);
        Ok(rows)
    }

    pub(super) fn clear(&self, pattern: &Pattern) -> Result<u64> {
        let mut cleared = 0;
        for (file, key) in self.matching(pattern)? {
            // A ticket of its own: a set that is asked for after this moment stays.
            let ticket = self.turns.ticket(file.id);
            cleared += u64::from(self.delete(&key, &ticket)?);
        }
        Ok(cleared)
    }

    /// What the directory holds, whoever put it there.
    fn matching(&self, pattern: &Pattern) -> Result<Vec<(Indexed, String)>> {
        let files = scan::files(&self.places, self.eviction).map_err(|error| failed("cannot scan", error))?;
        let with_key = files.into_iter().filter_map(|file| scan::key_of(&self.places, &file).map(|key| (file, key)));
        Ok(with_key.filter(|(_, key)| pattern.matches(key)).collect())
    }

    pub(super) fn stats(&self) -> BackendStats {
        let index = self.index();
        BackendStats {
            entries: Some(index.len() as u64),
            bytes: Some(index.bytes()),
            max_bytes: Some(self.max_bytes),
            evicted: self.evicted.load(Relaxed),
            expired: self.expired.load(Relaxed),
            corrupt: self.corrupt.load(Relaxed),
        }
    }

    fn is_note_due(&self, id: Id) -> bool {
        self.index().is_note_due(id, self.clock.now_ms() / 1_000, NOTE_USE_EVERY_S)
    }

    pub(super) fn index_name(&self, name: &str) -> Option<Box<str>> {
        (self.places.layout == Layout::Plain).then(|| name.into())
    }

    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        lock(&self.index)
    }
}

/// Errors that mean that there is no such file: also when a part of its path is a file, or it is a directory.
pub(super) fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | IsADirectory)
}

pub(super) fn failed(action: &'static str, source: io::Error) -> CacheError {
    CacheError::backend(NAME, action, source)
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
