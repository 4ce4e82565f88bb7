//! The segment store: ranked segments in memory-mapped files, a write-ahead log, a manifest.

use crate::{
    IndexStore, OpenOptions, Row, Segment, StorageError, TablePart, View,
    compaction::{Compactor, Merged},
    core::{Accepted, Core},
    files,
    live::Live,
    live_store::{Extent, LiveStore, Medium, Next, Rows},
    lock::WriterLock,
    log::{self, LogEnd, LogWriter},
    log_record::{self, RecordEncoder},
    manifest::{Manifest, SegmentEntry},
    retention::Retention,
    seen::{self, Seen},
    segment_file, side,
};
use prefix_indexer_models::{EventBatch, IndexSpec};
use std::{
    fs,
    io::Write,
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
};

pub(super) fn open(dir: &Path, options: &OpenOptions) -> Result<Box<dyn IndexStore>, StorageError> {
    let made = if dir.join(files::MANIFEST).exists() {
        None
    } else {
        let Some(spec) = &options.spec else { return Err(StorageError::Absent { path: dir.to_owned() }) };
        create(dir, spec)?
    };
    let (lock, manifest, log) = match made {
        Some((lock, manifest, log)) => (lock, manifest, Some(log)),
        None => (WriterLock::acquire(dir)?, Manifest::load(dir)?, None),
    };
    options.check_spec(&manifest.spec)?;
    if log.is_none() {
        files::create_missing_dirs(dir, DIRECTORIES)?;
    }
    remove_leftovers(dir, &manifest)?;

    let mut segments = Vec::with_capacity(manifest.segments.len());
    for entry in &manifest.segments {
        segments.push(Arc::new(segment_file::open(dir, entry, options.mmap)?));
    }
    let live = Live::new(manifest.spec.clone(), segments)?;
    let seen = Seen::load(dir, &manifest.seen)?;
    let mut core = Core::new(live, seen, manifest.sources.clone(), manifest.counters);
    core.followed = options.followed(&manifest.spec, |name| {
        let entry = manifest.sides.iter().find(|entry| entry.name == name);
        entry.map(|entry| side::read(dir, name, entry.generation)).transpose()
    })?;
    let log = match log {
        Some(empty) => empty,
        None => {
            let end = replay(dir, &manifest, &mut core)?;
            log::repair(&end)?;
            let mut log = LogWriter::create(dir, end.next)?;
            log.set_earlier_bytes(end.bytes);
            log
        }
    };

    let files = Files {
        dir: dir.to_owned(),
        next_segment: manifest.next_segment,
        generation: manifest.generation,
        compactor: Compactor::new(dir, options.mmap),
        retention: options.retention(),
        mmap: options.mmap,
        manifest,
        log,
        encoder: RecordEncoder::default(),
        _lock: lock,
    };
    Ok(Box::new(LiveStore::new(core, files, options.retention())?))
}

/// Directories of an index.
const DIRECTORIES: [&str; 3] = [files::SEGMENT_DIR, files::SIDE_DIR, files::LOG_DIR];

/// Records that are decoded before they are counted.
const AHEAD: usize = 8;

/// Counts what was logged after the generation of the manifest, while another thread decodes what follows, which takes as long.
/// Writes nothing.
pub(crate) fn replay(dir: &Path, manifest: &Manifest, core: &mut Core) -> Result<LogEnd, StorageError> {
    let (sender, records) = mpsc::sync_channel(AHEAD);
    // It owns the sender, so that the records end where the log does.
    let read = move || {
        log::read(dir, manifest.log_from, |record| {
            let mut events = EventBatch::new();
            let decoded = log_record::decode(record, &mut events)?;
            // Where counting has failed nobody takes it, and yet the log is looked at to its end.
            drop(sender.send((decoded, events)));
            Ok(())
        })
    };
    thread::scope(|scope| {
        let end = scope.spawn(read);
        let counted = records.iter().try_for_each(|(record, events)| core.replay(&record, &events));
        drop(records);
        let end = end.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        // A segment that cannot be read is no fault of the log.
        counted.map(|()| end)
    })
}

/// Makes an empty index, unless another process has done so meanwhile. The manifest comes last: a crash before it leaves
/// nothing that looks like an index.
fn create(dir: &Path, spec: &IndexSpec) -> Result<Option<(WriterLock, Manifest, LogWriter)>, StorageError> {
    fs::create_dir_all(dir).map_err(files::io_error("cannot create", dir))?;
    let lock = WriterLock::acquire(dir)?;
    if dir.join(files::MANIFEST).exists() {
        return Ok(None);
    }
    let orphans = files::names(&dir.join(files::SEGMENT_DIR))?;
    if orphans.iter().any(|name| name.ends_with(".seg")) {
        let what = "the manifest is missing, but there are segments".to_owned();
        return Err(StorageError::Corrupt { path: dir.join(files::MANIFEST), offset: 0, what });
    }
    files::create_dirs(dir, DIRECTORIES)?;
    let manifest = Manifest::new(spec.clone());
    if !files::numbered(&dir.join(files::LOG_DIR), log::SUFFIX)?.is_empty()
        && log::read(dir, manifest.log_from, |_| Ok(()))?.records > 0
    {
        let what = "the manifest is missing, but there are log records".to_owned();
        return Err(StorageError::Corrupt { path: dir.join(files::MANIFEST), offset: 0, what });
    }
    // Syncs of different directories share a commit of the file system's journal when they run side by side. The manifest's
    // makes the directories beside it durable, too.
    let log = thread::scope(|scope| {
        let named = scope.spawn(|| files::sync_parent(dir));
        let log = LogWriter::create(dir, manifest.log_from);
        named.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        log
    })?;
    manifest.commit(dir)?;
    Ok(Some((lock, manifest, log)))
}

/// Removes what a crash kept from being committed, or from being removed after it was replaced. The log removes its own.
fn remove_leftovers(dir: &Path, manifest: &Manifest) -> Result<(), StorageError> {
    remove_unnamed(dir, manifest, None)?;
    files::remove_others(&dir.join(files::LOG_DIR), |name| !files::is_temporary(name))?;
    files::remove(&files::temporary_path(&dir.join(files::MANIFEST)))
}

/// Removes segments and side files that the manifest does not name, but for the segment that is being written.
fn remove_unnamed(dir: &Path, manifest: &Manifest, writing: Option<u64>) -> Result<(), StorageError> {
    let named: Vec<PathBuf> = manifest
        .segments
        .iter()
        .map(|entry| files::segment_path(dir, entry.id))
        .chain(writing.map(|id| files::segment_path(dir, id)))
        .chain(writing.map(|id| files::temporary_path(&files::segment_path(dir, id))))
        .chain(manifest.sides.iter().map(|side| files::side_path(dir, &side.name, side.generation)))
        .chain(manifest.seen.iter().map(|&generation| files::side_path(dir, seen::FILE, generation)))
        .collect();
    for kind in [files::SEGMENT_DIR, files::SIDE_DIR] {
        let kind = dir.join(kind);
        files::remove_others(&kind, |name| named.contains(&kind.join(name)))?;
    }
    Ok(())
}

/// The files of an index that is open for writing.
struct Files {
    dir: PathBuf,
    manifest: Manifest,
    /// Numbers that were tried and failed are not used again: the manifest that was to name them may be in force.
    next_segment: u64,
    generation: u64,
    log: LogWriter,
    encoder: RecordEncoder,
    compactor: Compactor,
    retention: Retention,
    mmap: bool,
    _lock: WriterLock,
}

impl Files {
    fn take_segment_id(&mut self) -> u64 {
        self.next_segment += 1;
        self.next_segment - 1
    }

    fn write_segment(
        &mut self,
        write: impl FnOnce(&mut (dyn Write + Send), &Path) -> Result<u64, StorageError>,
    ) -> Result<(SegmentEntry, Arc<Segment>), StorageError> {
        let id = self.take_segment_id();
        let (entry, segment) = segment_file::write(&self.dir, id, self.mmap, write)?;
        Ok((entry, Arc::new(segment)))
    }

    fn write_rows(
        &mut self,
        spec: &IndexSpec,
        parts: &[TablePart<'_>],
        fresh: u64,
    ) -> Result<(SegmentEntry, Arc<Segment>), StorageError> {
        self.write_segment(|out, path| crate::write_tables(spec, parts, fresh, out, path))
    }

    fn write_merged(
        &mut self,
        flushed: &View,
        keep: &mut dyn FnMut(&Row<'_>) -> bool,
    ) -> Result<(SegmentEntry, Arc<Segment>), StorageError> {
        let segments: Vec<&Segment> = flushed.segments().iter().map(Arc::as_ref).collect();
        self.write_segment(|out, path| crate::write_merged(flushed.spec(), &segments, keep, out, path))
    }

    /// Writes what the rows of a generation need, and returns its segments.
    fn write_generation(
        &mut self,
        spec: &IndexSpec,
        flushed: &View,
        rows: Rows<'_>,
    ) -> Result<(Vec<SegmentEntry>, Vec<Arc<Segment>>), StorageError> {
        Ok(match rows {
            Rows::Same => (self.manifest.segments.clone(), flushed.segments().to_vec()),
            Rows::Newer { parts, fresh } => {
                let (entry, segment) = self.write_rows(spec, parts, fresh)?;
                ([&[entry], self.manifest.segments.as_slice()].concat(), [&[segment], flushed.segments()].concat())
            }
            Rows::Rewritten { .. } if flushed.segments().is_empty() => (Vec::new(), Vec::new()),
            Rows::Rewritten { keep } => {
                self.compactor.cancel();
                let (entry, segment) = self.write_merged(flushed, keep)?;
                if segment.is_empty() { (Vec::new(), Vec::new()) } else { (vec![entry], vec![segment]) }
            }
        })
    }

    /// Puts a manifest in force, then removes what it no longer names.
    fn replace_manifest(&mut self, manifest: Manifest) -> Result<(), StorageError> {
        self.generation = manifest.generation;
        manifest.commit(&self.dir)?;
        self.manifest = manifest;
        // The generation is in force, whatever comes of this; what stays is removed the next time.
        let removed = remove_unnamed(&self.dir, &self.manifest, self.compactor.writing());
        if let Err(error) = removed {
            tracing::warn!(%error, "a file that the index no longer needs could not be removed");
        }
        Ok(())
    }

    fn install(&mut self, flushed: &View, merged: Merged) -> Result<Vec<Arc<Segment>>, StorageError> {
        let mut segments = flushed.segments().to_vec();
        let mut entries = self.manifest.segments.clone();
        let Some(begin) = entries.iter().position(|entry| Some(&entry.id) == merged.inputs.first()) else {
            return Ok(segments);
        };
        let end = begin + merged.inputs.len();
        // What was written meanwhile may hold keys whose older rows went: those rows are the first of their key now.
        for index in 0..begin {
            let between = View::new(flushed.spec().clone(), segments[index + 1..begin].to_vec())?;
            let mut more = 0;
            for row in segments[index].rows().filter(|_| !merged.dropped.is_empty()) {
                let key = row?.key();
                if merged.dropped.binary_search(&key).is_ok() && between.get(&key)?.is_none() {
                    more += 1;
                }
            }
            if more > 0 {
                entries[index].fresh += more;
                segments[index] = Arc::new(segment_file::open(&self.dir, &entries[index], self.mmap)?);
            }
        }
        let (entry, segment) = merged.output.map_or((None, None), |(entry, segment)| (Some(entry), Some(segment)));
        entries.splice(begin..end, entry);
        segments.splice(begin..end, segment.map(Arc::new));
        let manifest = Manifest {
            generation: self.generation + 1,
            segments: entries,
            next_segment: self.next_segment,
            ..self.manifest.clone()
        };
        self.replace_manifest(manifest)?;
        Ok(segments)
    }
}

impl Medium for Files {
    fn log(&mut self, group: &[Accepted<'_>]) -> Result<(), StorageError> {
        let encoder = &mut self.encoder;
        for batch in group.iter().filter(|batch| batch.is_logged()) {
            let staged = self.log.stage(|out| encoder.encode(&batch.events, batch.commit, batch.duplicates, out));
            if let Err(error) = staged {
                self.log.discard();
                return Err(error);
            }
        }
        self.log.begin()
    }

    fn finish_log(&mut self) -> Result<(), StorageError> {
        self.log.finish()
    }

    fn log_bytes(&self) -> u64 {
        self.log.bytes()
    }

    fn commit(&mut self, next: Next<'_>) -> Result<Vec<Arc<Segment>>, StorageError> {
        let spec = next.flushed.spec().clone();
        let generation = self.generation + 1;
        let (dir, known_sides) = (self.dir.clone(), self.manifest.sides.clone());
        // Learned state is written and synced beside the segment.
        let (written, sides) = thread::scope(|scope| {
            let sides = scope.spawn(|| next.sides.write(&dir, generation, &known_sides));
            let written = self.write_generation(&spec, next.flushed, next.rows);
            (written, sides.join().unwrap_or_else(|panic| resume_unwind(panic)))
        });
        let ((entries, segments), sides) = (written?, sides?);
        let seen = next.seen.save(&self.dir, generation, &self.manifest.seen, next.seen_changed)?;
        self.log.rotate()?;
        self.replace_manifest(Manifest {
            generation,
            spec,
            segments: entries,
            next_segment: self.next_segment,
            log_from: self.log.next(),
            sources: next.sources.to_vec(),
            sides,
            seen,
            counters: next.counters,
        })?;
        if let Err(error) = self.log.remove_earlier() {
            tracing::warn!(%error, "a log file that segments cover could not be removed");
        }
        Ok(segments)
    }

    fn maintain(&mut self, flushed: &View) -> Result<Option<Vec<Arc<Segment>>>, StorageError> {
        let installed = match self.compactor.finished()? {
            Some(merged) => Some(self.install(flushed, merged)?),
            None => None,
        };
        if self.compactor.writing().is_none() {
            let spec = flushed.spec();
            let segments = installed.as_deref().unwrap_or(flushed.segments());
            let plan = self.compactor.plan(&self.manifest.segments, spec, segments, &self.retention)?;
            if let Some(plan) = plan {
                let id = self.take_segment_id();
                self.compactor.start(plan, id)?;
            }
        }
        Ok(installed)
    }

    fn side(&self, name: &str) -> Result<Option<(u32, Vec<u8>)>, StorageError> {
        let entry = self.manifest.sides.iter().find(|entry| entry.name == name);
        entry.map(|entry| side::read(&self.dir, name, entry.generation)).transpose()
    }

    fn extent(&self, _view: &View) -> Extent {
        let segments: u64 = self.manifest.segments.iter().map(|entry| entry.bytes).sum();
        Extent { bytes: segments + self.log.bytes(), generation: self.manifest.generation }
    }
}
