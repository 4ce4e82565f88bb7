//! Reading an index that another process may be writing.
//!
//! A reader locks nobody out and writes nothing. It sees what has been flushed, one whole generation at a time: the manifest names
//! files that are never changed. When one of them is gone, a newer manifest is there, and the reader takes that. Where no writer
//! lives, it also sees what the last one was killed before it could flush.

use crate::{
    Reader, Segment, StorageError, StoreStatus, View,
    abandoned_log::AbandonedLog,
    files,
    files::is_absent,
    format::framed,
    jsonl,
    kinds::jsonl_store,
    lock,
    manifest::{Manifest, SegmentEntry},
    segment_file, side,
};
use arc_swap::ArcSwap;
use prefix_indexer_models::{IndexSpec, SourcePosition};
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Generations that may come and go while one is being opened, before that counts as an error.
const ATTEMPTS: usize = 1000;

/// A read-only index. Of the kinds of store, those that are on disk.
#[derive(Debug)]
pub struct IndexReader {
    dir: PathBuf,
    mmap: bool,
    generation: Generation,
    current: Arc<ArcSwap<View>>,
}

#[derive(Debug)]
struct Generation {
    manifest: Manifest,
    /// What the file that names it begins with: different in every generation.
    head: Vec<u8>,
    /// In the order of the manifest, newest first.
    segments: Vec<Arc<Segment>>,
    /// What was counted on top of them; none while a writer lives.
    log: Option<AbandonedLog>,
    view: Arc<View>,
}

impl IndexReader {
    /// Opens the newest generation: reads the manifest and a few kilobytes of each segment. Without `mmap` it reads
    /// all of them into memory. Where no writer lives, also counts the log that the last one left: nothing after a clean end, up
    /// to some 100 ms after a kill.
    ///
    /// # Errors
    /// [`StorageError::Absent`], [`StorageError::Corrupt`], [`StorageError::Version`], and those of the file system.
    pub fn open(dir: &Path, mmap: bool) -> Result<IndexReader, StorageError> {
        let generation = load(dir, mmap, None)?;
        let current = Arc::new(ArcSwap::new(generation.view.clone()));
        Ok(IndexReader { dir: dir.to_owned(), mmap, generation, current })
    }

    /// What the numbers of an index mean, without opening the rest of it: its log, above all, is left alone.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn spec_of(dir: &Path) -> Result<IndexSpec, StorageError> {
        let manifest = match naming_file(dir).ends_with(files::MANIFEST) {
            true => Manifest::load(dir).map(|manifest| manifest.spec),
            false => jsonl_store::read(dir).map(|(header, _)| header.spec),
        };
        manifest.map_err(|error| if is_absent(&error) { StorageError::Absent { path: dir.to_owned() } } else { error })
    }

    /// Takes the newest generation, or the log of a writer that has been killed, if it is another; whether it was. Some
    /// microseconds when nothing has changed, so callers may ask every 100 ms. Views that are held do not change.
    ///
    /// # Errors
    /// As [`open`](Self::open); the generation stays the one it was.
    pub fn refresh(&mut self) -> Result<bool, StorageError> {
        if head(&self.dir).is_ok_and(|head| head == self.generation.head) {
            let log = AbandonedLog::find(&self.dir, self.generation.lines());
            if log.is_ok_and(|log| log.is_none() || log == self.generation.log) {
                return Ok(false);
            }
        }
        let generation = load(&self.dir, self.mmap, Some(&self.generation))?;
        self.current.store(generation.view.clone());
        self.generation = generation;
        Ok(true)
    }

    /// What the numbers mean.
    pub fn spec(&self) -> &IndexSpec {
        &self.generation.manifest.spec
    }

    /// What is in the index.
    pub fn view(&self) -> Arc<View> {
        self.current.load_full()
    }

    /// A handle that follows [`refresh`](Self::refresh).
    pub fn reader(&self) -> Reader {
        Reader::new(self.current.clone())
    }

    /// How far sources have been read, in the order of first sight.
    pub fn sources(&self) -> impl Iterator<Item = &SourcePosition> {
        self.generation.manifest.sources.iter()
    }

    /// Learned state by name: format version and bytes.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`], and [`StorageError::Io`] when a newer generation has replaced it.
    pub fn side(&self, name: &str) -> Result<Option<(u32, Vec<u8>)>, StorageError> {
        let entry = self.generation.manifest.sides.iter().find(|entry| entry.name == name);
        entry.map(|entry| side::read(&self.dir, name, entry.generation)).transpose()
    }

    /// Size and state as of the generation. What is in the log is the writer's business: its bytes are given as 0.
    pub fn status(&self) -> StoreStatus {
        let view = self.view();
        StoreStatus {
            prefixes: view.len(),
            bytes: view.segments().iter().map(|segment| segment.bytes()).sum(),
            generation: self.generation.manifest.generation,
            segments: view.segments().len(),
            log_bytes: 0,
            counters: self.generation.manifest.counters,
        }
    }
}

impl Generation {
    fn new(manifest: Manifest, head: Vec<u8>, segments: Vec<Arc<Segment>>) -> Result<Generation, StorageError> {
        let view = Arc::new(View::new(manifest.spec.clone(), segments.clone())?);
        Ok(Generation { manifest, head, segments, log: None, view })
    }

    /// The generation of an index in JSON Lines, whose head is text.
    fn lines(&self) -> Option<u64> {
        self.head.starts_with(b"{").then_some(self.manifest.generation)
    }

    /// With what the last writer left in the log, unless there is a writer now.
    fn with_log(mut self, dir: &Path) -> Result<Generation, StorageError> {
        let lines = self.lines();
        if let Some(log) = AbandonedLog::find(dir, lines)? {
            self.view = log.replay(dir, &mut self.manifest, &self.segments, lines.is_some())?;
            self.log = Some(log);
        }
        Ok(self)
    }
}

/// The file that names a generation.
fn naming_file(dir: &Path) -> PathBuf {
    let manifest = dir.join(files::MANIFEST);
    let lines = dir.join(jsonl::PREFIXES);
    if !manifest.exists() && lines.exists() { lines } else { manifest }
}

/// Enough of that file to tell generations apart: the manifest's header has its checksum, the first line of JSON Lines its own.
fn head(dir: &Path) -> Result<Vec<u8>, StorageError> {
    let path = naming_file(dir);
    let mut head = Vec::new();
    File::open(&path)
        .and_then(|file| file.take(4096).read_to_end(&mut head))
        .map_err(files::io_error("cannot read", &path))?;
    if path.ends_with(files::MANIFEST) {
        head.truncate(framed::HEADER_BYTES);
    }
    Ok(head)
}

fn load(dir: &Path, mmap: bool, known: Option<&Generation>) -> Result<Generation, StorageError> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let head = match head(dir) {
            Err(error) if is_absent(&error) => return Err(StorageError::Absent { path: dir.to_owned() }),
            head => head?,
        };
        let outcome = load_once(dir, mmap, known, head.clone()).and_then(|generation| generation.with_log(dir));
        let replaced = self::head(dir).map_or(true, |now| now != head);
        match outcome {
            Ok(generation) if !replaced => return Ok(generation),
            // Replaced while it was read: whole all the same, but not the newest any more.
            Ok(generation) if last.is_some() => return Ok(generation),
            // A writer that came meanwhile may have changed any file; gone without a newer generation is really gone.
            Err(error) if !replaced && !lock::is_held(dir) && (!is_absent(&error) || last.as_ref() == Some(&head)) => {
                return Err(error);
            }
            _ => last = Some(head),
        }
    }
    let what = "the index changes faster than it can be opened".to_owned();
    Err(StorageError::Corrupt { path: naming_file(dir), offset: 0, what })
}

fn load_once(dir: &Path, mmap: bool, known: Option<&Generation>, head: Vec<u8>) -> Result<Generation, StorageError> {
    if !naming_file(dir).ends_with(files::MANIFEST) {
        let (header, segments) = jsonl_store::read(dir)?;
        let mut manifest = Manifest::new(header.spec.clone());
        manifest.generation = header.generation;
        manifest.counters = header.counters();
        manifest.sides = header.side_entries();
        manifest.sources = header.sources;
        return Generation::new(manifest, head, segments);
    }
    let manifest = Manifest::load(dir)?;
    let opened = |entry: &SegmentEntry| {
        let known = known?;
        let index = known.manifest.segments.iter().position(|old| old == entry)?;
        known.segments.get(index).cloned()
    };
    let mut segments = Vec::with_capacity(manifest.segments.len());
    for entry in &manifest.segments {
        segments.push(match opened(entry) {
            Some(segment) => segment,
            None => Arc::new(segment_file::open(dir, entry, mmap)?),
        });
    }
    Generation::new(manifest, head, segments)
}
