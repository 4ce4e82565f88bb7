//! The two files of the JSON Lines store: one JSON object a line, with checksums.
//!
//! `prefixes.jsonl` begins with a [`Header`], then one prefix a line. `events-<16 hex>.jsonl` holds for each batch a
//! [`BatchLine`], then its events in the native format. A batch is torn when the file ends within it; whatever else is wrong is damage.

use crate::{Counters, StorageError, manifest::SideEntry};
use prefix_indexer_models::{EventBatch, IndexSpec, PrefixEvent, PrefixStats, SourcePosition};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::path::{Path, PathBuf};

pub(crate) const PREFIXES: &str = "prefixes.jsonl";
/// The event log of a generation.
pub(crate) fn log_path(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("events-{generation:016x}.jsonl"))
}

const FORMAT: &str = "prefix-indexer";
const VERSION: u32 = 1;

/// The first line of `prefixes.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    format: String,
    version: u32,
    pub(crate) generation: u64,
    pub(crate) spec: IndexSpec,
    pub(crate) prefixes: u64,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    pub(crate) duplicates: u64,
    pub(crate) parent_conflicts: u64,
    pub(crate) parent_cycles: u64,
    pub(crate) sources: Vec<SourcePosition>,
    /// Side files: name and generation.
    pub(crate) sides: Vec<(String, u64)>,
    /// Generations of the files of remembered ids.
    pub(crate) seen: Vec<u64>,
    /// BLAKE3 of the lines that follow.
    rows: String,
    /// BLAKE3 of this line with this field empty.
    line: String,
}

impl Header {
    pub(crate) fn new(
        generation: u64,
        spec: &IndexSpec,
        counters: Counters,
        sources: &[SourcePosition],
        sides: &[SideEntry],
        seen: &[u64],
    ) -> Header {
        Header {
            format: FORMAT.to_owned(),
            version: VERSION,
            generation,
            spec: spec.clone(),
            prefixes: 0,
            events: counters.events,
            bytes: counters.bytes,
            duplicates: counters.duplicates,
            parent_conflicts: counters.parent_conflicts,
            parent_cycles: counters.parent_cycles,
            sources: sources.to_vec(),
            sides: sides.iter().map(|side| (side.name.clone(), side.generation)).collect(),
            seen: seen.to_vec(),
            rows: String::new(),
            line: String::new(),
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            events: self.events,
            bytes: self.bytes,
            duplicates: self.duplicates,
            parent_conflicts: self.parent_conflicts,
            parent_cycles: self.parent_cycles,
        }
    }

    pub(crate) fn side_entries(&self) -> Vec<SideEntry> {
        self.sides.iter().map(|(name, generation)| SideEntry { name: name.clone(), generation: *generation }).collect()
    }
}

/// Before the events of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct BatchLine {
    /// 32 hexadecimal digits.
    pub(crate) batch_id: Option<String>,
    pub(crate) sources: Vec<SourcePosition>,
    pub(crate) duplicates: u64,
    /// Events that follow, a line each.
    pub(crate) events: u64,
    /// Their bytes.
    bytes: u64,
    /// BLAKE3 of their lines.
    rows: String,
    /// BLAKE3 of this line with this field empty.
    line: String,
}

/// A line that carries its own checksum.
trait Sealed: Serialize + DeserializeOwned + Clone {
    fn line(&mut self) -> &mut String;
}

impl Sealed for Header {
    fn line(&mut self) -> &mut String {
        &mut self.line
    }
}

impl Sealed for BatchLine {
    fn line(&mut self) -> &mut String {
        &mut self.line
    }
}

fn seal(mut value: impl Sealed) -> serde_json::Result<String> {
    value.line().clear();
    let digest = blake3::hash(serde_json::to_string(&value)?.as_bytes()).to_hex().to_string();
    *value.line() = digest;
    Ok(serde_json::to_string(&value)? + "\n")
}

fn unseal<T: Sealed>(line: &str) -> Result<T, String> {
    let value: T = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let sealed = seal(value.clone()).map_err(|error| error.to_string())?;
    if sealed.trim_end() == line { Ok(value) } else { Err("the line does not match its checksum".to_owned()) }
}

fn push_line(out: &mut String, value: &impl Serialize) -> serde_json::Result<()> {
    out.push_str(&serde_json::to_string(value)?);
    out.push('\n');
    Ok(())
}

/// The content of `prefixes.jsonl`.
pub(crate) fn encode(mut header: Header, rows: &[PrefixStats]) -> serde_json::Result<String> {
    let mut lines = String::new();
    rows.iter().try_for_each(|row| push_line(&mut lines, row))?;
    header.prefixes = rows.len() as u64;
    header.rows = blake3::hash(lines.as_bytes()).to_hex().to_string();
    Ok(seal(header)? + &lines)
}

/// Reads `prefixes.jsonl`.
pub(crate) fn decode(bytes: &[u8], path: &Path) -> Result<(Header, Vec<PrefixStats>), StorageError> {
    let corrupt =
        |offset: usize, what: String| StorageError::Corrupt { path: path.to_owned(), offset: offset as u64, what };
    let text = std::str::from_utf8(bytes).map_err(|error| corrupt(error.valid_up_to(), "not UTF-8".to_owned()))?;
    let (line, rows) = text.split_once('\n').ok_or_else(|| corrupt(0, "no first line".to_owned()))?;
    if let Ok(Version { format, version }) = serde_json::from_str::<Version>(line)
        && format == FORMAT
        && version != VERSION
    {
        return Err(StorageError::Version { path: path.to_owned(), found: version, known: (VERSION, VERSION) });
    }
    let header: Header = unseal(line).map_err(|what| corrupt(0, what))?;
    let begin = line.len() + 1;
    if blake3::hash(rows.as_bytes()).to_hex().as_str() != header.rows {
        return Err(corrupt(begin, "the prefixes do not match their checksum".to_owned()));
    }
    let mut offset = begin;
    let mut stats: Vec<PrefixStats> = Vec::new();
    for line in rows.split_inclusive('\n') {
        let row: PrefixStats = serde_json::from_str(line).map_err(|error| corrupt(offset, error.to_string()))?;
        if row.decayed.len() != header.spec.ladder.len() {
            return Err(corrupt(offset, format!("{} decayed sums", row.decayed.len())));
        }
        stats.push(row);
        offset += line.len();
    }
    if stats.len() as u64 != header.prefixes {
        return Err(corrupt(offset, format!("{} prefixes where {} were written", stats.len(), header.prefixes)));
    }
    Ok((header, stats))
}

#[derive(Deserialize)]
struct Version {
    format: String,
    version: u32,
}

/// Appends a batch to what is to be written to the event log.
pub(crate) fn push_batch(
    out: &mut String,
    batch_id: Option<[u8; 16]>,
    sources: &[SourcePosition],
    duplicates: u64,
    events: &EventBatch,
) -> serde_json::Result<()> {
    let mut lines = String::new();
    events.iter().try_for_each(|event| push_line(&mut lines, &event))?;
    out.push_str(&seal(BatchLine {
        batch_id: batch_id.map(|id| id.iter().map(|byte| format!("{byte:02x}")).collect()),
        sources: sources.to_vec(),
        duplicates,
        events: events.len() as u64,
        bytes: lines.len() as u64,
        rows: blake3::hash(lines.as_bytes()).to_hex().to_string(),
        line: String::new(),
    })?);
    out.push_str(&lines);
    Ok(())
}

/// Reads an event log; returns where its batches end: before the end of the file, if the last write was torn.
pub(crate) fn read_batches(
    bytes: &[u8],
    path: &Path,
    mut each: impl FnMut(&BatchLine, &EventBatch) -> Result<(), StorageError>,
) -> Result<usize, StorageError> {
    let corrupt =
        |offset: usize, what: String| StorageError::Corrupt { path: path.to_owned(), offset: offset as u64, what };
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
            // A torn write stops within the object; what goes on after its end was a whole line once.
            let mut whole = serde_json::Deserializer::from_slice(rest).into_iter::<serde_json::Value>();
            let complete = whole.next().is_some_and(|value| value.is_ok()) && whole.byte_offset() < rest.len();
            return if complete { Err(corrupt(at, "a line without an end".to_owned())) } else { Ok(at) };
        };
        let line = std::str::from_utf8(&rest[..end]).map_err(|_| corrupt(at, "not UTF-8".to_owned()))?;
        let batch: BatchLine = unseal(line).map_err(|what| corrupt(at, what))?;
        let begin = end + 1;
        let length = usize::try_from(batch.bytes).ok().and_then(|bytes| begin.checked_add(bytes));
        let Some(rows) = length.and_then(|end| rest.get(begin..end)) else { return Ok(at) };
        if blake3::hash(rows).to_hex().as_str() != batch.rows {
            return Err(corrupt(at + begin, "the events do not match their checksum".to_owned()));
        }
        let mut events = EventBatch::new();
        let mut offset = at + begin;
        for line in rows.split_inclusive(|&byte| byte == b'\n') {
            let event: PrefixEvent =
                serde_json::from_slice(line).map_err(|error| corrupt(offset, error.to_string()))?;
            event.as_ref().validate().map_err(|error| corrupt(offset, error.to_string()))?;
            events.push(&event.as_ref());
            offset += line.len();
        }
        each(&batch, &events)?;
        at += begin + rows.len();
    }
    Ok(at)
}

/// The batch id of a line.
pub(crate) fn batch_id(line: &BatchLine) -> Result<Option<[u8; 16]>, String> {
    let Some(digits) = &line.batch_id else { return Ok(None) };
    let number = u128::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 32);
    number.map(|number| Some(number.to_be_bytes())).ok_or_else(|| "not a batch id".to_owned())
}
