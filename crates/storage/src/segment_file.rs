//! Segments as files: written under a temporary name, synced, renamed, and never touched again.

use crate::{
    Segment, Source, StorageError,
    files::{self, io_error},
    manifest::SegmentEntry,
    sync_thread::SyncThread,
};
use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    sync::Arc,
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
    let early = EarlySync { file: Arc::new(file), since: 0, thread: None, begun: 0 };
    let mut out = BufWriter::with_capacity(BUFFER, early);
    let bytes = write(&mut out, temporary)?;
    let early = out.into_inner().map_err(|error| io_error("cannot write", temporary)(error.into_error()))?;
    early.finish().map_err(io_error("cannot sync", temporary))?;
    Ok(bytes)
}

/// Bytes that are synced while more is being made, so that the last sync finds little to do.
const EARLY: usize = 8 << 20;

/// A file of which another thread syncs what is there already.
struct EarlySync {
    file: Arc<File>,
    /// Bytes written since a sync began.
    since: usize,
    /// Started when first needed.
    thread: Option<SyncThread>,
    /// Syncs that began.
    begun: usize,
}

impl EarlySync {
    /// Syncs everything.
    fn finish(self) -> io::Result<()> {
        if let Some(thread) = &self.thread {
            (0..self.begun).try_for_each(|_| thread.wait())?;
        }
        self.file.sync_all()
    }
}

impl Write for EarlySync {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.as_ref().write(bytes)?;
        self.since += written;
        if self.since >= EARLY {
            self.since = 0;
            if self.thread.is_none() {
                // Where there can be none, the last sync does it all.
                self.thread = SyncThread::start().ok();
            }
            if let Some(thread) = &self.thread {
                thread.begin(&self.file)?;
                self.begun += 1;
            }
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
