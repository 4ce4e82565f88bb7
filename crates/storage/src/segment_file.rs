//! Segments as files: written under a temporary name, synced, renamed, and never touched again.

use crate::{
    Segment, Source, StorageError,
    files::{self, io_error},
    manifest::SegmentEntry,
};
use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

/// Bytes that are handed to the system at a time.
const BUFFER: usize = 1 << 18;

/// Opens a segment that a manifest names.
pub(crate) fn open(dir: &Path, entry: &SegmentEntry, mmap: bool) -> Result<Segment, StorageError> {
    let path = files::segment_path(dir, entry.id);
    let file = File::open(&path).map_err(io_error("cannot open", &path))?;
    let bytes = file.metadata().map_err(io_error("cannot read", &path))?.len();
    if bytes != entry.bytes {
        let what = format!("{bytes} bytes where the manifest says {}", entry.bytes);
        return Err(StorageError::Corrupt { path, offset: bytes.min(entry.bytes), what });
    }
    let source = if mmap { Source::map(&file) } else { Source::read(&file) };
    let source = source.map_err(io_error("cannot read", &path))?;
    Ok(Segment::open(source, &path)?.with_fresh(entry.fresh))
}

/// Writes a segment durably and opens it.
pub(crate) fn write(
    dir: &Path,
    id: u64,
    mmap: bool,
    write: impl FnOnce(&mut (dyn Write + Send), &Path) -> Result<u64, StorageError>,
) -> Result<(SegmentEntry, Segment), StorageError> {
    let path = files::segment_path(dir, id);
    let temporary = files::temporary_path(&path);
    let written = write_synced(&temporary, write);
    let bytes = match written {
        Ok(bytes) => bytes,
        Err(error) => {
            // Best effort: what is left is removed when the index is opened.
            let _ = std::fs::remove_file(&temporary);
            return Err(error);
        }
    };
    files::publish(&temporary, &path)?;
    let file = File::open(&path).map_err(io_error("cannot open", &path))?;
    let source = if mmap { Source::map(&file) } else { Source::read(&file) };
    let segment = Segment::open(source.map_err(io_error("cannot read", &path))?, &path)?;
    Ok((SegmentEntry { id, bytes, fresh: segment.fresh() }, segment))
}

fn write_synced(
    temporary: &Path,
    write: impl FnOnce(&mut (dyn Write + Send), &Path) -> Result<u64, StorageError>,
) -> Result<u64, StorageError> {
    let file = File::create(temporary).map_err(io_error("cannot create", temporary))?;
    let mut out = BufWriter::with_capacity(BUFFER, file);
    let bytes = write(&mut out, temporary)?;
    let file = out.into_inner().map_err(|error| io_error("cannot write", temporary)(error.into_error()))?;
    file.sync_all().map_err(io_error("cannot sync", temporary))?;
    Ok(bytes)
}
