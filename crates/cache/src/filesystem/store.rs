//! The tier as threads that may wait see it: every call here does its I/O where it stands.

use super::{
    FilesystemConfig, NAME,
    header::{self, Header, Identity},
    index::{Index, Indexed},
    layout::{Id, Layout, Places, make_parent},
    members::{Company, Member, forgive_absence},
    nowait::{Answer, Root},
    scan,
    turns::{Ticket, Turns},
};
use crate::{BackendStats, CacheError, Clock, Entry, Listed, Pattern, Result};
use bytes::Bytes;
use std::{
    fs::{self, File},
    io::{self, IoSlice, Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};
use xxhash_rust::xxh3::xxh3_64;

/// The largest file that is read where the caller stands, when that needs no waiting.
const MAX_INLINE: u64 = 64 << 10;

/// How often the use of a file is noted on disk, for the next start and for other processes.
const NOTE_USE_EVERY_S: u64 = 60;

/// A process looks for what others wrote after it has written this share of the budget itself.
pub(super) const SCAN_SHARE: u64 = 32;

#[derive(Debug)]
pub(super) struct Store {
    places: Places,
    max_bytes: u64,
    fsync: bool,
    clock: Arc<dyn Clock>,
    root: Root,
    member: Member,
    /// Held by the process that makes room.
    evictor: Mutex<File>,
    pub(super) turns: Arc<Turns>,
    index: Mutex<Index>,
    eviction: super::Eviction,
    /// Who was there at the last scan, and what was written here since.
    company: Mutex<Option<Company>>,
    written: AtomicU64,
    scanning: AtomicBool,
    evicted: AtomicU64,
    expired: AtomicU64,
    corrupt: AtomicU64,
}

/// What the bytes of a file came to.
enum Judged {
    Found(Entry),
    Expired,
    /// The file of another key, or of nobody's.
    Foreign,
    Corrupt,
}

impl Store {
    pub(super) fn open(config: &FilesystemConfig, clock: Arc<dyn Clock>) -> Result<Store> {
        let places = Places { root: config.path.clone(), layout: config.layout, escape: config.escape };
        let io = |action| move |source: io::Error| CacheError::backend(NAME, action, source);
        fs::create_dir_all(places.ours("")).map_err(io("cannot make the directory"))?;
        super::marker::check(&places)?;
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

    /// The entry, if that needs no waiting. `None`: it may; [`get`](Self::get) knows.
    pub(super) fn get_inline(&self, key: &str) -> Option<Result<Option<Entry>>> {
        if self.places.layout == Layout::Plain {
            return None;
        }
        let id = Id::of(key);
        let known = self.index().size(id);
        match self.root.read(&id.path(), known, MAX_INLINE) {
            // What the index has wrong, and what has to be removed, is for the pool.
            Answer::Absent if known.is_none() => Some(Ok(None)),
            Answer::Bytes(bytes) => match self.judge(key, bytes) {
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
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if is_absence(&error) => {
                self.index().remove(id);
                return Ok(None);
            }
            Err(error) => return Err(failed("cannot open", error)),
        };
        let metadata = file.metadata().map_err(|error| failed("cannot look at", error))?;
        if !metadata.is_file() {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(metadata.len() as usize);
        (&mut file).take(metadata.len()).read_to_end(&mut bytes).map_err(|error| failed("cannot read", error))?;
        let judged = match self.places.layout {
            Layout::Hashed => self.judge(key, bytes),
            Layout::Plain => self.judge_plain(id, key, bytes, identity(&metadata)),
        };
        match judged {
            Judged::Found(entry) => {
                let known = self.index().size(id).is_some();
                if !known {
                    // Another process, or an engine, has put it there.
                    self.index().insert(self.indexed(id, &name, metadata.len()));
                }
                self.index().used(id);
                if self.is_note_due(id) {
                    self.index().noted(id, self.clock.now_ms() / 1_000);
                    // Should it fail, the order after the next start is a little less exact.
                    drop(file.set_times(fs::FileTimes::new().set_accessed(SystemTime::now())));
                }
                Ok(Some(entry))
            }
            Judged::Foreign => Ok(None),
            Judged::Expired => {
                self.expired.fetch_add(1, Relaxed);
                self.remove_if_same(id, key, &path, &metadata);
                Ok(None)
            }
            Judged::Corrupt => {
                tracing::warn!(path = %path.display(), "a damaged file was dropped");
                self.corrupt.fetch_add(1, Relaxed);
                self.remove_if_same(id, key, &path, &metadata);
                Ok(None)
            }
        }
    }

    /// Whether `key` is there and not expired, by its header alone.
    pub(super) fn exists(&self, key: &str) -> Result<bool> {
        let id = Id::of(key);
        let Some(name) = self.places.name(id, key) else { return Ok(false) };
        let path = self.places.path(&name);
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if is_absence(&error) => return Ok(false),
            Err(error) => return Err(failed("cannot look at", error)),
        };
        Ok(match self.places.layout {
            Layout::Hashed => scan::read_header(&path).is_some_and(|header| {
                header.key == key
                    && header.len as u64 + header.value_len == metadata.len()
                    && self.left(header.expires_ms).is_some()
            }),
            Layout::Plain => {
                let header = scan::read_header(&self.places.sidecar(id));
                let ours = header.filter(|header| header.identity == identity(&metadata) && header.key == key);
                metadata.is_file() && ours.is_none_or(|header| self.left(header.expires_ms).is_some())
            }
        })
    }

    pub(super) fn set(self: &Arc<Store>, key: &str, entry: &Entry, ticket: &Ticket) -> Result<()> {
        let key_error = |why| Err(CacheError::Key { backend: NAME.into(), key: key.into(), why });
        if key.is_empty() {
            return key_error("it is empty");
        }
        let id = Id::of(key);
        let Some(name) = self.places.name(id, key) else { return key_error("its file name would be too long") };
        if key.len() > header::MAX_KEY {
            return key_error("it is longer than 32 KiB");
        }
        if entry.ttl == Some(Duration::ZERO) {
            return self.delete(key, ticket).map(drop);
        }
        let size = entry.size() + header::FIXED as u64 + key.len() as u64;
        if size > self.max_bytes {
            self.delete(key, ticket)?;
            return Err(CacheError::TooLarge { backend: NAME.into(), size, max: self.max_bytes });
        }
        let expires_ms = match entry.ttl {
            None => 0,
            Some(ttl) => self.clock.now_ms().saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)).max(1),
        };
        let result = self.write(key, id, &name, entry, expires_ms, ticket);
        if result.is_err() {
            // An absent value can be loaded again; an old one would be believed.
            drop(self.delete(key, ticket));
        }
        self.make_room();
        self.scan_if_due(size);
        result.map_err(|error| failed("cannot write", error))
    }

    fn write(&self, key: &str, id: Id, name: &str, entry: &Entry, expires_ms: u64, ticket: &Ticket) -> io::Result<()> {
        let path = self.places.path(name);
        let temporary = Temporary(self.member.temporary());
        let mut file = File::create_new(&temporary.0)?;
        let head = |identity| header::encode(key, &entry.metadata, &entry.value, expires_ms, identity);
        let mut size = entry.value.len() as u64;
        let sidecar = match self.places.layout {
            Layout::Hashed => {
                let head = head(Identity::default());
                size += head.len() as u64;
                write_both(&mut file, &head, &entry.value)?;
                None
            }
            Layout::Plain => {
                file.write_all(&entry.value)?;
                let head = head(identity(&file.metadata()?));
                size += head.len() as u64;
                let beside = Temporary(self.member.temporary());
                fs::write(&beside.0, head)?;
                Some(beside)
            }
        };
        if self.fsync {
            file.sync_data()?;
        }
        let _effect = ticket.effect();
        if ticket.is_overtaken(key) {
            return Ok(());
        }
        // What we know goes first: a value that it does not fit is taken for somebody else's, which it may well be.
        if let Some(beside) = sidecar {
            beside.rename_to(&self.places.sidecar(id))?;
        }
        temporary.rename_to(&path)?;
        if self.fsync
            && let Some(directory) = path.parent()
        {
            File::open(directory)?.sync_all()?;
        }
        self.index().insert(Indexed { id, size, name: self.index_name(name) });
        Ok(())
    }

    /// Says whether it was there and not expired.
    pub(super) fn delete(&self, key: &str, ticket: &Ticket) -> Result<bool> {
        let id = Id::of(key);
        let Some(name) = self.places.name(id, key) else { return Ok(false) };
        let was_there = self.exists(key)?;
        let _effect = ticket.effect();
        if ticket.is_overtaken(key) {
            return Ok(false);
        }
        Ok(self.unlink(id, &name).map_err(|error| failed("cannot delete", error))? && was_there)
    }

    /// The caller keeps other changes of the key out.
    fn unlink(&self, id: Id, name: &str) -> io::Result<bool> {
        let there = match forgive_absence(fs::remove_file(self.places.path(name))) {
            Err(error) if is_absence(&error) => false,
            other => other?,
        };
        if self.places.layout == Layout::Plain {
            forgive_absence(fs::remove_file(self.places.sidecar(id)))?;
        }
        self.index().remove(id);
        Ok(there)
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

    /// Deletes what goes first until the rest fits. One process does at a time; another leaves it to that one.
    fn make_room(&self) {
        let over = || self.index().bytes() > self.max_bytes;
        if !over() {
            return;
        }
        let Ok(lock) = self.evictor.try_lock() else { return };
        if lock.try_lock().is_err() {
            return;
        }
        while over() {
            let Some(file) = self.index().oldest() else { break };
            let name = file.name.as_deref().map_or_else(|| file.id.path(), str::to_owned);
            let aside = self.turns.aside(file.id);
            let _effect = aside.effect();
            // Somebody may have used or replaced it meanwhile.
            if self.index().oldest().is_none_or(|oldest| oldest != file) {
                continue;
            }
            match self.unlink(file.id, &name) {
                Ok(there) => drop(self.evicted.fetch_add(u64::from(there), Relaxed)),
                Err(error) => {
                    tracing::warn!(name, %error, "cannot make room");
                    break;
                }
            }
        }
        drop(lock.unlock());
    }

    /// Looks for what others wrote, in a thread of its own, once this process has written its share; not when nobody else was
    /// there.
    fn scan_if_due(self: &Arc<Store>, written: u64) {
        let written = self.written.fetch_add(written, Relaxed) + written;
        if written <= self.max_bytes / SCAN_SHARE || self.scanning.swap(true, Relaxed) {
            return;
        }
        self.written.store(0, Relaxed);
        let company = self.member.company().ok();
        let unchanged = company.as_ref().is_some_and(|company| company.alone) && *lock(&self.company) == company;
        *lock(&self.company) = company;
        if unchanged {
            self.scanning.store(false, Relaxed);
            return;
        }
        let store = Arc::clone(self);
        let thread = std::thread::Builder::new().name("cache-scan".into()).spawn(move || {
            store.rescan();
            store.scanning.store(false, Relaxed);
        });
        if thread.is_err() {
            self.scanning.store(false, Relaxed);
        }
    }

    /// Brings the index up to date with the directory, and makes room.
    pub(super) fn rescan(&self) {
        let since = self.index().moment();
        match scan::files(&self.places, self.eviction) {
            Ok(found) => self.index().reconcile(found, since),
            Err(error) => tracing::warn!(%error, "cannot scan"),
        }
        self.make_room();
    }

    /// What the bytes of a file of the hashed layout come to.
    fn judge(&self, key: &str, bytes: Vec<u8>) -> Judged {
        let Some(header) = header::decode(&bytes) else { return Judged::Corrupt };
        if header.key != key {
            return Judged::Foreign;
        }
        let value = Bytes::from(bytes).slice(header.len..);
        self.judge_value(header, value)
    }

    fn judge_value(&self, header: Header, value: Bytes) -> Judged {
        let Some(ttl) = self.left(header.expires_ms) else { return Judged::Expired };
        if value.len() as u64 != header.value_len || xxh3_64(&value) != header.value_sum {
            return Judged::Corrupt;
        }
        Judged::Found(Entry { value, ttl, metadata: header.metadata })
    }

    /// A file that is not the one we wrote is somebody else's, and served as it is.
    fn judge_plain(&self, id: Id, key: &str, value: Vec<u8>, identity: Identity) -> Judged {
        let header = scan::read_header(&self.places.sidecar(id));
        match header.filter(|header| header.identity == identity && header.key == key) {
            Some(header) => self.judge_value(header, value.into()),
            None => Judged::Found(Entry::new(value)),
        }
    }

    /// What is left of the time to live; `None` when it is over.
    fn left(&self, expires_ms: u64) -> Option<Option<Duration>> {
        if expires_ms == 0 {
            return Some(None);
        }
        let left = expires_ms.saturating_sub(self.clock.now_ms());
        (left > 0).then_some(Some(Duration::from_millis(left)))
    }

    /// Removes a file that is no good, unless it has been replaced by a good one.
    fn remove_if_same(&self, id: Id, key: &str, path: &Path, seen: &fs::Metadata) {
        let aside = self.turns.aside(id);
        let _effect = aside.effect();
        let same = fs::metadata(path).is_ok_and(|now| identity(&now) == identity(seen));
        if same && let Some(name) = self.places.name(id, key) {
            drop(self.unlink(id, &name));
        }
    }

    fn is_note_due(&self, id: Id) -> bool {
        self.index().is_note_due(id, self.clock.now_ms() / 1_000, NOTE_USE_EVERY_S)
    }

    fn indexed(&self, id: Id, name: &str, length: u64) -> Indexed {
        Indexed { id, size: length, name: self.index_name(name) }
    }

    fn index_name(&self, name: &str) -> Option<Box<str>> {
        (self.places.layout == Layout::Plain).then(|| name.into())
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        lock(&self.index)
    }
}

/// A temporary file, removed unless it was renamed.
struct Temporary(PathBuf);

impl Temporary {
    fn rename_to(self, path: &Path) -> io::Result<()> {
        let renamed = match fs::rename(&self.0, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_parent(path)?;
                fs::rename(&self.0, path)
            }
            other => other,
        };
        if renamed.is_ok() {
            std::mem::forget(self);
        }
        renamed
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

fn identity(metadata: &fs::Metadata) -> Identity {
    let modified = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    Identity { inode: metadata.ino(), modified_ns: modified as u64 }
}

/// One call for both where the system takes both.
fn write_both(file: &mut File, first: &[u8], second: &[u8]) -> io::Result<()> {
    let written = file.write_vectored(&[IoSlice::new(first), IoSlice::new(second)])?;
    file.write_all(first.get(written..).unwrap_or_default())?;
    file.write_all(second.get(written.saturating_sub(first.len())..).unwrap_or_default())
}

/// Errors that mean that there is no such file: also when a part of its path is a file, or it is a directory.
fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | IsADirectory)
}

fn failed(action: &'static str, source: io::Error) -> CacheError {
    CacheError::backend(NAME, action, source)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
