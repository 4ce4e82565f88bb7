//! Opening a segment: the only bytes that are read whole.

use super::{
    Segment, corrupt,
    pages::{Marks, Pages, checksum, matches},
};
use crate::{
    Source, StorageError,
    codec::decode,
    format::segment::{Counts, Directory, HEAD, Head, Layout, MAGIC, MAX_ROWS, TAIL, Tail, VERSION, buckets},
};
use prefix_indexer_models::MAX_INTEGER;
use std::path::Path;

impl Segment {
    /// Opens a segment; reads a few kilobytes whatever its size. `path` is for errors.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] for bytes that are no segment, or not all of one; [`StorageError::Version`] for a segment of
    /// another version.
    pub fn open(source: Source, path: &Path) -> Result<Segment, StorageError> {
        Segment::from_source(source, path, false)
    }

    /// A segment that this process has just made on the heap.
    pub(crate) fn trusted(bytes: Vec<u8>) -> Result<Segment, StorageError> {
        Segment::from_source(Source::heap(bytes), Path::new("(memory)"), true)
    }

    fn from_source(source: Source, path: &Path, trusted: bool) -> Result<Segment, StorageError> {
        let corrupt = |offset: usize, what: &str| corrupt(path, offset, what.to_owned());
        let bytes = source.bytes();
        let (directory, at) = directory(bytes, path)?;
        let spec = directory.spec().ok_or_else(|| corrupt(at, "settings that no index can have"))?;
        let counts = Counts::of(&directory).filter(|counts| {
            let names = counts.tenants as u64 + counts.models as u64;
            directory.rows <= MAX_ROWS
                && counts.partitions <= counts.rows
                && counts.tenants <= counts.partitions
                && counts.models <= counts.partitions
                && directory.key_slots >= buckets(directory.rows)
                && directory.name_slots >= buckets(names)
        });
        let layout = counts
            .and_then(|counts| Layout::new(counts, directory.checked))
            .filter(|layout| layout.directory == at)
            .ok_or_else(|| corrupt(at, "counts that do not fit the file's size"))?;
        let pages = if trusted {
            Pages::trusted(&layout)
        } else if directory.checked {
            Pages::unverified(&layout, directory.roots)
        } else {
            return Err(corrupt(at, "a segment without checksums"));
        };
        let (fresh, newest_ms, faint) = (directory.fresh, directory.newest_ms, directory.faint);
        if newest_ms > MAX_INTEGER || fresh > directory.rows {
            return Err(corrupt(at, "counts that no segment can have"));
        }
        let named = Marks::none(layout.counts.partitions);
        Ok(Segment { source, path: path.to_owned(), spec, layout, pages, named, fresh, newest_ms, faint })
    }
}

/// The directory, and where it starts.
fn directory(bytes: &[u8], path: &Path) -> Result<(Directory, usize), StorageError> {
    let corrupt = |offset: usize, what: &str| corrupt(path, offset, what.to_owned());
    let head: Option<Head> = bytes.get(..HEAD).and_then(|bytes| decode(bytes).ok());
    let head = head.filter(|head| head.magic == MAGIC).ok_or_else(|| corrupt(0, "not the start of a segment"))?;
    let at = bytes.len().saturating_sub(TAIL);
    let tail: Option<Tail> = bytes.get(at..).and_then(|bytes| decode(bytes).ok());
    let tail = tail.filter(|tail| tail.magic == MAGIC);
    if head.version != VERSION && tail.as_ref().is_none_or(|tail| tail.version != VERSION) {
        return Err(StorageError::Version { path: path.to_owned(), found: head.version, known: (VERSION, VERSION) });
    }
    let tail = tail.filter(|tail| tail.version == VERSION && head.version == VERSION);
    let tail = tail.ok_or_else(|| corrupt(at, "not the end of a segment"))?;
    let start =
        usize::try_from(tail.directory).ok().filter(|start| start.checked_add(tail.length as usize) == Some(at));
    let start = start.ok_or_else(|| corrupt(at, "a directory that does not end here"))?;
    let bytes = bytes.get(start..at).unwrap_or_default();
    if !matches(checksum(bytes), tail.checksum) {
        return Err(corrupt(start, "the directory does not match its checksum"));
    }
    let directory = decode(bytes).map_err(|error| corrupt(start, &format!("directory: {error}")))?;
    Ok((directory, start))
}
