//! What an index consists of, with every checksum verified. Takes no lock and changes nothing.

use crate::{
    Counters, StorageError, StoreKind, files, files::is_absent, jsonl, log, log_record, manifest::Manifest, seen,
    segment_file, side,
};
use prefix_indexer_models::{EventBatch, IndexSpec};
use serde::Serialize;
use std::path::Path;

/// Generations that may come and go while one is being verified.
const ATTEMPTS: usize = 10;

/// What there is, and what is wrong with it.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// Kind of store.
    pub kind: &'static str,
    /// Counts up with every flush, load and compaction.
    pub generation: u64,
    /// What the numbers mean.
    pub spec: IndexSpec,
    /// What has been counted, as of the generation.
    pub counters: Counters,
    /// Files that have been read into the index.
    pub sources: usize,
    /// Newest first.
    pub segments: Vec<SegmentReport>,
    /// What is not in segments yet.
    pub log: LogReport,
    /// Sorted by name, the files of remembered ids last.
    pub sides: Vec<SideReport>,
    /// Everything that is wrong, with file and position. Empty for a sound index.
    pub problems: Vec<String>,
}

/// One segment.
#[derive(Debug, Clone, Serialize)]
pub struct SegmentReport {
    /// Its file.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Rows in it.
    pub prefixes: u64,
    /// Rows whose key no older segment holds.
    pub fresh: u64,
    /// Time of the newest use in it.
    pub newest_ms: u64,
}

/// The write-ahead log.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LogReport {
    /// Batches that only the log holds.
    pub batches: u64,
    /// Their events.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Where a write was cut short, as `file: byte n`. No problem: it was never acknowledged.
    pub unfinished: Option<String>,
}

/// A side file.
#[derive(Debug, Clone, Serialize)]
pub struct SideReport {
    /// What it is called.
    pub name: String,
    /// Format version of its content.
    pub version: u32,
    /// Bytes of content.
    pub bytes: u64,
}

/// Reads everything an index consists of.
///
/// # Errors
/// When there is no index, or what names its parts cannot be read; all else is among the problems.
pub fn inspect(dir: &Path) -> Result<Inspection, StorageError> {
    if !dir.join(files::MANIFEST).exists() && dir.join(jsonl::PREFIXES).exists() {
        return inspect_lines(dir);
    }
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let manifest = Manifest::load(dir)?;
        let inspection = inspect_generation(dir, &manifest);
        // A file that is gone is a problem only if its generation is still in force.
        let vanished = Manifest::load(dir).is_ok_and(|now| now.generation != manifest.generation);
        if inspection.problems.is_empty() || !vanished {
            return Ok(inspection);
        }
        last = Some(inspection);
    }
    last.ok_or_else(|| StorageError::Absent { path: dir.to_owned() })
}

fn inspect_generation(dir: &Path, manifest: &Manifest) -> Inspection {
    let mut problems = Vec::new();
    let mut segments = Vec::new();
    for entry in &manifest.segments {
        let file = files::segment_path(dir, entry.id).display().to_string();
        match segment_file::open(dir, entry, true) {
            Ok(segment) => {
                problems.extend(segment.verify().err().map(|error| error.to_string()));
                let (prefixes, newest_ms) = (segment.len(), segment.newest_ms());
                segments.push(SegmentReport { file, bytes: entry.bytes, prefixes, fresh: entry.fresh, newest_ms });
            }
            Err(error) => {
                problems.push(error.to_string());
                segments.push(SegmentReport {
                    file,
                    bytes: entry.bytes,
                    prefixes: 0,
                    fresh: entry.fresh,
                    newest_ms: 0,
                });
            }
        }
    }
    let log = inspect_log(dir, manifest.log_from).unwrap_or_else(|error| {
        problems.push(error.to_string());
        LogReport::default()
    });
    let named = manifest.sides.iter().map(|entry| (entry.name.as_str(), entry.generation));
    let sides = inspect_sides(dir, named, &manifest.seen, &mut problems);
    Inspection {
        kind: StoreKind::Segments.name(),
        generation: manifest.generation,
        spec: manifest.spec.clone(),
        counters: manifest.counters,
        sources: manifest.sources.len(),
        segments,
        log,
        sides,
        problems,
    }
}

fn inspect_log(dir: &Path, from: u64) -> Result<LogReport, StorageError> {
    let mut events = 0;
    let mut batch = EventBatch::new();
    let end = log::read(dir, from, |body| {
        log_record::decode(body, &mut batch)?;
        events += batch.len() as u64;
        Ok(())
    })?;
    let unfinished = end.torn.map(|(path, offset)| format!("{}: byte {offset}", path.display()));
    Ok(LogReport { batches: end.records, events, bytes: end.bytes, unfinished })
}

fn inspect_sides<'a>(
    dir: &Path,
    named: impl Iterator<Item = (&'a str, u64)>,
    seen_files: &[u64],
    problems: &mut Vec<String>,
) -> Vec<SideReport> {
    let mut reports = Vec::new();
    for (name, generation) in named.chain(seen_files.iter().map(|&generation| (seen::FILE, generation))) {
        match side::read(dir, name, generation) {
            Ok((version, bytes)) => {
                reports.push(SideReport { name: name.to_owned(), version, bytes: bytes.len() as u64 });
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    // The checksum says that the bytes are those that were written; this, that they mean something.
    problems.extend(seen_files.iter().filter_map(|&file| seen::verify(dir, file).err()).map(|error| error.to_string()));
    problems.dedup();
    reports
}

fn inspect_lines(dir: &Path) -> Result<Inspection, StorageError> {
    let path = dir.join(jsonl::PREFIXES);
    let bytes = match files::read(&path) {
        Err(error) if is_absent(&error) => return Err(StorageError::Absent { path: dir.to_owned() }),
        bytes => bytes?,
    };
    let (header, rows) = jsonl::decode(&bytes, &path)?;
    let mut problems = Vec::new();
    let log_path = jsonl::log_path(dir, header.generation);
    let mut log = LogReport::default();
    let read = files::read(&log_path).and_then(|bytes| {
        let end = jsonl::read_batches(&bytes, &log_path, |_, events| {
            log.batches += 1;
            log.events += events.len() as u64;
            Ok(())
        })?;
        log.bytes = end as u64;
        log.unfinished = (end < bytes.len()).then(|| format!("{}: byte {end}", log_path.display()));
        Ok(())
    });
    problems.extend(read.err().map(|error| error.to_string()));
    let named = header.sides.iter().map(|(name, generation)| (name.as_str(), *generation));
    let sides = inspect_sides(dir, named, &header.seen, &mut problems);
    let newest_ms = rows.iter().map(|row| row.tally.last_seen_ms).max().unwrap_or(0);
    let file = path.display().to_string();
    let prefixes = rows.len() as u64;
    Ok(Inspection {
        kind: StoreKind::Jsonl.name(),
        generation: header.generation,
        spec: header.spec.clone(),
        counters: header.counters(),
        sources: header.sources.len(),
        segments: vec![SegmentReport { file, bytes: bytes.len() as u64, prefixes, fresh: prefixes, newest_ms }],
        log,
        sides,
        problems,
    })
}
