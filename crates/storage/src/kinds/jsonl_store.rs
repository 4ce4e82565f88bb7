//! The JSON Lines store: an index that people and other programs can read. A flush rewrites `prefixes.jsonl` atomically and begins
//! a new event log; queries run over a segment on the heap.

use crate::{
    BatchId, Commit, IndexStore, OpenOptions, Segment, StorageError, View,
    core::{Accepted, Core},
    files::{self, io_error},
    heap::{merge_all, next_segments},
    jsonl::{self, Header},
    live::Live,
    live_store::{Extent, LiveStore, Medium, Next},
    lock::WriterLock,
    log_record::LogRecord,
    seen::Seen,
    side,
};
use prefix_indexer_models::{IndexSpec, PrefixStats, PrefixTable};
use std::{
    fs::{File, OpenOptions as FileOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

pub(super) fn open(dir: &Path, options: &OpenOptions) -> Result<Box<dyn IndexStore>, StorageError> {
    let path = dir.join(jsonl::PREFIXES);
    if !path.exists() {
        let Some(spec) = &options.spec else { return Err(StorageError::Absent { path: dir.to_owned() }) };
        create(dir, spec)?;
    }
    let lock = WriterLock::acquire(dir)?;
    let (header, segments) = read(dir)?;
    options.check_spec(&header.spec)?;
    files::create_dir(&dir.join(files::SIDE_DIR))?;
    let seen = Seen::load(dir, &header.seen)?;
    let live = Live::new(header.spec.clone(), segments)?;
    let mut core = Core::new(live, seen, header.sources.clone(), header.counters());
    core.followed = options.followed(&header.spec, |name| {
        let entry = header.side_entries().into_iter().find(|entry| entry.name == name);
        entry.map(|entry| side::read(dir, name, entry.generation)).transpose()
    })?;
    let log_path = jsonl::log_path(dir, header.generation);
    let end = replay(&log_path, &mut core)?;
    let log = FileOptions::new().append(true).open(&log_path).and_then(|file| {
        // What a torn write left must not come before the next batch.
        file.set_len(end as u64)?;
        file.sync_all()?;
        Ok(file)
    });
    let store = JsonLines {
        dir: dir.to_owned(),
        log: log.map_err(io_error("cannot open", &log_path))?,
        log_path,
        log_bytes: end as u64,
        file_bytes: path.metadata().map_err(io_error("cannot read", &path))?.len(),
        header,
        stopped: None,
        _lock: lock,
    };
    store.remove_leftovers()?;
    Ok(Box::new(LiveStore::new(core, store, options.retention())?))
}

/// What `prefixes.jsonl` holds, and its rows as a segment.
pub(crate) fn read(dir: &Path) -> Result<(Header, Vec<Arc<Segment>>), StorageError> {
    let path = dir.join(jsonl::PREFIXES);
    let (header, rows) = jsonl::decode(&files::read(&path)?, &path)?;
    let mut table = PrefixTable::new(header.spec.clone());
    for row in &rows {
        let names = [row.tenant.as_str(), row.model_id.as_str(), row.prefix_id.as_str()];
        table.merge(names, row.parent_id.as_deref(), &row.tally, &row.decayed);
    }
    let fresh = table.len() as u64;
    let segments = if table.is_empty() {
        Vec::new()
    } else {
        vec![Arc::new(Segment::build(&header.spec, &[(&table).into()], fresh)?)]
    };
    Ok((header, segments))
}

/// Counts what an event log holds; returns where its whole batches end. Writes nothing.
pub(crate) fn replay(log_path: &Path, core: &mut Core) -> Result<usize, StorageError> {
    jsonl::read_batches(&files::read(log_path)?, log_path, |line, events| {
        let batch_id = jsonl::batch_id(line)
            .map_err(|what| StorageError::Corrupt { path: log_path.to_owned(), offset: 0, what })?
            .map(BatchId);
        let commit = Commit { batch_id, sources: line.sources.clone() };
        core.replay(&LogRecord { commit, duplicates: line.duplicates }, events)
    })
}

fn create(dir: &Path, spec: &IndexSpec) -> Result<(), StorageError> {
    files::create_dir(dir)?;
    let _lock = WriterLock::acquire(dir)?;
    let path = dir.join(jsonl::PREFIXES);
    if path.exists() {
        return Ok(());
    }
    let header = Header::new(1, spec, Default::default(), &[], &[], &[]);
    files::write_atomically(&jsonl::log_path(dir, 1), b"")?;
    let text = jsonl::encode(header, &[]).map_err(|error| io_error("cannot encode", &path)(error.into()))?;
    files::write_atomically(&path, text.as_bytes())
}

struct JsonLines {
    dir: PathBuf,
    header: Header,
    log: File,
    log_path: PathBuf,
    log_bytes: u64,
    file_bytes: u64,
    /// What made the log stop.
    stopped: Option<String>,
    _lock: WriterLock,
}

impl JsonLines {
    fn remove_leftovers(&self) -> Result<(), StorageError> {
        let own = self.log_path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        files::remove_others(&self.dir, |name| {
            !(files::is_temporary(name) || name.starts_with("events-") && name.ends_with(".jsonl") && name != own)
        })?;
        let named: Vec<PathBuf> = self
            .header
            .side_entries()
            .iter()
            .map(|side| files::side_path(&self.dir, &side.name, side.generation))
            .chain(self.header.seen.iter().map(|&file| files::side_path(&self.dir, crate::seen::FILE, file)))
            .collect();
        let sides = self.dir.join(files::SIDE_DIR);
        files::remove_others(&sides, |name| named.contains(&sides.join(name)))
    }
}

impl Medium for JsonLines {
    fn log(&mut self, group: &[Accepted<'_>]) -> Result<(), StorageError> {
        if let Some(what) = &self.stopped {
            return Err(StorageError::Halted { what: what.clone() });
        }
        let mut text = String::new();
        for batch in group.iter().filter(|batch| batch.is_logged()) {
            let id = batch.commit.batch_id.map(|id| id.0);
            jsonl::push_batch(&mut text, id, &batch.commit.sources, batch.duplicates, &batch.events)
                .map_err(|error| io_error("cannot encode a batch for", &self.log_path)(error.into()))?;
        }
        if text.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.log.write_all(text.as_bytes()) {
            if let Err(error) = self.log.set_len(self.log_bytes) {
                self.stopped = Some(format!("half a batch could not be removed from the log ({error})"));
            }
            return Err(io_error("cannot write", &self.log_path)(error));
        }
        if let Err(error) = self.log.sync_data() {
            self.stopped = Some(format!("a sync of the log failed ({error})"));
            return Err(io_error("cannot sync", &self.log_path)(error));
        }
        self.log_bytes += text.len() as u64;
        Ok(())
    }

    fn log_bytes(&self) -> u64 {
        self.log_bytes
    }

    fn commit(&mut self, next: Next<'_>) -> Result<Vec<Arc<Segment>>, StorageError> {
        let spec = next.flushed.spec().clone();
        let segments = next_segments(next.flushed, next.rows)?;
        let view = View::new(spec.clone(), segments)?;
        let rows = view.rows().map(|row| row.map(|row| row.to_stats())).collect::<Result<Vec<PrefixStats>, _>>()?;

        let generation = self.header.generation + 1;
        let sides = next.sides.write(&self.dir, generation, &self.header.side_entries())?;
        let seen = next.seen.save(&self.dir, generation, &self.header.seen, next.seen_changed)?;
        let log_path = jsonl::log_path(&self.dir, generation);
        files::write_atomically(&log_path, b"")?;
        let log = FileOptions::new().append(true).open(&log_path).map_err(io_error("cannot open", &log_path))?;
        let path = self.dir.join(jsonl::PREFIXES);
        let header = Header::new(generation, &spec, next.counters, next.sources, &sides, &seen);
        let text = jsonl::encode(header.clone(), &rows)
            .map_err(|error: serde_json::Error| io_error("cannot encode", &path)(io::Error::from(error)))?;
        if let Err(error) = files::write_atomically(&path, text.as_bytes()) {
            // The file on disk may name the new event log already: then the old one must not be written to any more.
            let old = read(&self.dir).is_ok_and(|(header, _)| header.generation == self.header.generation);
            if !old {
                self.stopped = Some(format!("it is not known which prefixes are in force ({error})"));
            }
            return Err(error);
        }
        (self.header, self.log, self.log_path, self.log_bytes) = (header, log, log_path, 0);
        self.file_bytes = text.len() as u64;
        if let Err(error) = self.remove_leftovers() {
            tracing::warn!(%error, "a file that the index no longer needs could not be removed");
        }
        merge_all(&view, &mut |_| true)
    }

    fn maintain(&mut self, _flushed: &View) -> Result<Option<Vec<Arc<Segment>>>, StorageError> {
        Ok(None)
    }

    fn side(&self, name: &str) -> Result<Option<(u32, Vec<u8>)>, StorageError> {
        let entries = self.header.side_entries();
        let entry = entries.iter().find(|entry| entry.name == name);
        entry.map(|entry| side::read(&self.dir, name, entry.generation)).transpose()
    }

    fn extent(&self, _view: &View) -> Extent {
        Extent { bytes: self.file_bytes + self.log_bytes, generation: self.header.generation }
    }
}
