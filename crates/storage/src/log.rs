//! The write-ahead log: what makes an acknowledged batch survive.
//!
//! Records are numbered through all files; a file is named by the number of its first record. An append writes its records
//! into zeros that were reserved before, a mebibyte at a time, and syncs once; as the file's size does not change, that
//! sync writes no metadata. A long one is synced by a thread of its own, while the writer goes on. When a write fails, what was reserved is cut off, so that no later record can follow half a record.
//! When a sync fails nobody knows what is on disk (the kernel drops the pages it could not write), so the log stops.

use crate::{
    StorageError,
    files::{self, io_error},
    format::log::{self as format, ALIGNMENT, FileStart, HEADER_BYTES, Step},
    sync_thread::SyncThread,
};
use std::{
    fs::{File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

pub(crate) const SUFFIX: &str = ".log";
/// Zeros that are reserved at a time.
const RESERVE: usize = 1 << 20;
/// A file that has grown to this is followed by another.
const FILE_BYTES: u64 = 64 << 20;
/// What follows a shorter append takes less time than waking a thread.
const OVERLAPPED: usize = 1 << 12;

/// The end of the log, to append to.
#[derive(Debug)]
pub(crate) struct LogWriter {
    dir: PathBuf,
    file: Arc<File>,
    path: PathBuf,
    /// Where the next record goes in the file.
    position: u64,
    /// How far the file is filled with zeros.
    reserved: u64,
    next: u64,
    /// Bytes of records in earlier files that are still there.
    earlier_bytes: u64,
    staged: Vec<u8>,
    staged_records: u64,
    /// Written and not known to be on disk: bytes and records.
    unsynced: (u64, u64),
    /// Whether the thread has been given what is unsynced.
    overlapped: bool,
    /// Started when first needed.
    thread: Option<SyncThread>,
    /// What made the log stop.
    stopped: Option<String>,
}

impl LogWriter {
    /// A new file for the records from `first` on.
    pub(crate) fn create(dir: &Path, first: u64) -> Result<LogWriter, StorageError> {
        let path = files::log_path(dir, first);
        let file = create_file(&path, first)?;
        let header = HEADER_BYTES as u64;
        Ok(LogWriter {
            dir: dir.to_owned(),
            file: Arc::new(file),
            path,
            position: header,
            reserved: header,
            next: first,
            earlier_bytes: 0,
            staged: Vec::new(),
            staged_records: 0,
            unsynced: (0, 0),
            overlapped: false,
            thread: None,
            stopped: None,
        })
    }

    /// Number of the next record.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Bytes of records.
    pub(crate) fn bytes(&self) -> u64 {
        self.earlier_bytes + self.position - HEADER_BYTES as u64
    }

    /// Bytes that were in files before this one.
    pub(crate) fn set_earlier_bytes(&mut self, bytes: u64) {
        self.earlier_bytes = bytes;
    }

    /// Adds a record to the group that [`begin`](Self::begin) writes; `body` appends its body to what it is given.
    pub(crate) fn stage(&mut self, body: impl FnOnce(&mut Vec<u8>) -> Result<(), String>) -> Result<(), StorageError> {
        let number = self.next + self.staged_records;
        format::push_record(&mut self.staged, number, self.next, body)
            .map_err(|what| io_error("cannot encode a batch for", &self.path)(io::Error::other(what)))?;
        self.staged_records += 1;
        Ok(())
    }

    /// Forgets what was staged.
    pub(crate) fn discard(&mut self) {
        self.staged.clear();
        self.staged_records = 0;
    }

    /// Writes all staged records; [`finish`](Self::finish) says when they are durable. On failure none of them is in the log,
    /// or the log has stopped.
    pub(crate) fn begin(&mut self) -> Result<(), StorageError> {
        if let Some(what) = &self.stopped {
            return Err(StorageError::Halted { what: format!("{}: {what}", self.dir.display()) });
        }
        if self.staged.is_empty() {
            return Ok(());
        }
        if self.position >= FILE_BYTES {
            self.rotate()?;
        }
        let written = self.write();
        let unsynced = (self.staged.len() as u64, self.staged_records);
        self.discard();
        written?;
        self.unsynced = unsynced;
        self.overlapped = unsynced.0 >= OVERLAPPED as u64 && self.sync_aside();
        Ok(())
    }

    /// Lets the thread sync; where there can be none, [`finish`](Self::finish) does.
    fn sync_aside(&mut self) -> bool {
        if self.thread.is_none() {
            self.thread = SyncThread::start().ok();
        }
        self.thread.as_ref().is_some_and(|thread| thread.begin(&self.file).is_ok())
    }

    /// Waits until what was [begun](Self::begin) is durable: one sync. On failure the log has stopped.
    pub(crate) fn finish(&mut self) -> Result<(), StorageError> {
        let (bytes, records) = std::mem::take(&mut self.unsynced);
        if records == 0 {
            return Ok(());
        }
        let synced = match self.thread.as_ref().filter(|_| self.overlapped) {
            Some(thread) => thread.wait(),
            None => self.file.sync_data(),
        };
        synced.map_err(|error| {
            self.stopped = Some(format!("a sync of the log failed ({error})"));
            io_error("cannot sync", &self.path)(error)
        })?;
        self.position += bytes;
        self.next += records;
        Ok(())
    }

    fn write(&mut self) -> Result<(), StorageError> {
        let end = self.position + self.staged.len() as u64;
        let written = self.reserve(end).and_then(|()| {
            self.file.seek(SeekFrom::Start(self.position))?;
            self.file.write_all(&self.staged)
        });
        if let Err(error) = written {
            self.cut();
            return Err(io_error("cannot write", &self.path)(error));
        }
        Ok(())
    }

    /// Fills the file with zeros to beyond `end`; on a disk that is nearly full, only to there.
    fn reserve(&mut self, end: u64) -> io::Result<()> {
        if end <= self.reserved {
            return Ok(());
        }
        let ample = end.next_multiple_of(RESERVE as u64);
        self.fill(ample).or_else(|_| self.fill(end))
    }

    fn fill(&mut self, end: u64) -> io::Result<()> {
        static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
        self.file.seek(SeekFrom::Start(self.reserved))?;
        let mut left = end - self.reserved;
        while left > 0 {
            let now = left.min(ZEROS.len() as u64);
            self.file.write_all(&ZEROS[..now as usize])?;
            left -= now;
        }
        self.reserved = end;
        Ok(())
    }

    /// Cuts off everything after the last acknowledged record.
    fn cut(&mut self) {
        self.reserved = self.position;
        if let Err(error) = self.file.set_len(self.position) {
            self.stopped = Some(format!("half a record could not be removed from the log ({error})"));
        }
    }

    /// Goes on in a new file, if there is any record in this one.
    pub(crate) fn rotate(&mut self) -> Result<(), StorageError> {
        if self.position == HEADER_BYTES as u64 {
            return Ok(());
        }
        // The old file keeps its zeros: they mean "no record", and reading stops there. A flush removes it anyway.
        let path = files::log_path(&self.dir, self.next);
        self.file = Arc::new(create_file(&path, self.next)?);
        self.path = path;
        self.earlier_bytes += self.position - HEADER_BYTES as u64;
        self.position = HEADER_BYTES as u64;
        self.reserved = self.position;
        Ok(())
    }

    /// Removes all files before this one: their records are in segments.
    pub(crate) fn remove_earlier(&mut self) -> Result<(), StorageError> {
        let own = self.path.file_name().map(|name| name.to_owned());
        files::remove_others(&self.dir.join(files::LOG_DIR), |name| own.as_deref() == Some(name.as_ref()))?;
        self.earlier_bytes = 0;
        Ok(())
    }
}

impl Drop for LogWriter {
    /// Gives back what was reserved. After a crash it stays, which does no harm.
    fn drop(&mut self) {
        if self.stopped.is_none() {
            // Best effort: nothing depends on it.
            let _ = self.file.set_len(self.position);
        }
    }
}

fn create_file(path: &Path, first: u64) -> Result<File, StorageError> {
    let temporary = files::temporary_path(path);
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(&temporary).and_then(|mut file| {
        file.write_all(&format::file_header(first))?;
        file.sync_all()?;
        Ok(file)
    });
    let file = file.map_err(|error| {
        // Best effort: the next writer removes what is left.
        let _ = std::fs::remove_file(&temporary);
        io_error("cannot create", path)(error)
    })?;
    files::publish(&temporary, path)?;
    Ok(file)
}

/// What reading the log found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LogEnd {
    /// Number of the record after the last.
    pub(crate) next: u64,
    /// Records that are not in the segments, and their bytes.
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    /// The file in which an unfinished write was found, and where it begins.
    pub(crate) torn: Option<(PathBuf, u64)>,
}

/// Reads the records from number `from` on, in order; `each` gets their bodies and may refuse one.
///
/// # Errors
/// [`StorageError::Corrupt`] with the position of what cannot be the trace of a torn write: damage, a missing file, damage with later
/// acknowledged records behind it.
pub(crate) fn read(
    dir: &Path,
    from: u64,
    mut each: impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<LogEnd, StorageError> {
    let firsts = files::numbered(&dir.join(files::LOG_DIR), SUFFIX)?;
    // Files that end before `from` are leftovers of a flush that a crash kept from removing them.
    let begin = firsts.partition_point(|&first| first <= from).saturating_sub(1);
    let mut end = LogEnd { next: from, ..LogEnd::default() };
    let mut next = None;
    for (index, &first) in firsts.iter().enumerate().skip(begin) {
        let path = files::log_path(dir, first);
        let corrupt =
            |offset: usize, what: String| StorageError::Corrupt { path: path.clone(), offset: offset as u64, what };
        if end.torn.is_some() {
            return Err(torn_before(&end, first));
        }
        let expected = next.unwrap_or(first);
        if first != expected || first > from && next.is_none() {
            let missing = if next.is_none() { from } else { expected };
            return Err(corrupt(0, format!("records {missing} to {} are missing", first.saturating_sub(1))));
        }
        let bytes = files::read(&path)?;
        match format::file_start(&bytes, first) {
            FileStart::Log(number) if number == first => {}
            FileStart::Log(number) => return Err(corrupt(0, format!("a log file of record {number}"))),
            // Files get their name when their header is on disk, so this one has been damaged; without records after it
            // nothing that was acknowledged is lost.
            FileStart::Torn if index + 1 == firsts.len() && format::later_record(&bytes, 0, 0).is_none() => {
                end.torn = Some((path, 0));
                next = Some(first);
                continue;
            }
            FileStart::Version(found) => {
                return Err(StorageError::Version { path, found, known: (format::VERSION, format::VERSION) });
            }
            FileStart::Torn | FileStart::Damaged => return Err(corrupt(0, "not the header of a log file".to_owned())),
        }
        let (at, number) = read_file(&bytes, first, from, &path, &mut end, &mut each)?;
        next = Some(number);
        if end.torn.is_none() && bytes.iter().skip(at).any(|&byte| byte != 0) {
            end.torn = Some((path, at as u64));
        }
    }
    match next {
        Some(next) if next >= from => end.next = next,
        _ => {
            let path = files::log_path(dir, from);
            return Err(StorageError::Corrupt { path, offset: 0, what: format!("record {from} should be in the log") });
        }
    }
    Ok(end)
}

/// A later file proves that a write was acknowledged which this one holds only half of.
fn torn_before(end: &LogEnd, first: u64) -> StorageError {
    let (path, offset) = end.torn.clone().unwrap_or_default();
    StorageError::Corrupt { path, offset, what: format!("half a record, but the log goes on with record {first}") }
}

/// Reads one file; returns where its records end and the number of the next.
fn read_file(
    bytes: &[u8],
    first: u64,
    from: u64,
    path: &Path,
    end: &mut LogEnd,
    each: &mut impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<(usize, u64), StorageError> {
    let corrupt =
        |offset: usize, what: String| StorageError::Corrupt { path: path.to_owned(), offset: offset as u64, what };
    let (mut at, mut number) = (HEADER_BYTES, first);
    loop {
        let step = format::read_record(bytes, at, number);
        match step {
            Step::Record { body, end: after } => {
                if number >= from {
                    each(&body).map_err(|what| corrupt(at, what))?;
                    end.records += 1;
                    end.bytes += (after - at) as u64;
                }
                (at, number) = (after, number + 1);
            }
            Step::Damaged(what) => return Err(corrupt(at, what)),
            Step::End | Step::Torn => {
                if let Some(later) = format::later_record(bytes, at, number) {
                    let what = format!("record {number} is damaged: later ones follow at byte {later}");
                    return Err(corrupt(at, what));
                }
                if step == Step::Torn {
                    end.torn = Some((path.to_owned(), at as u64));
                }
                return Ok((at, number));
            }
        }
    }
}

/// Cuts off an unfinished write, durably, before anything is appended after it.
pub(crate) fn repair(end: &LogEnd) -> Result<(), StorageError> {
    let Some((path, offset)) = &end.torn else { return Ok(()) };
    if *offset < HEADER_BYTES as u64 {
        files::remove(path)?;
        path.parent().map_or(Ok(()), files::sync_dir)
    } else {
        OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|file| {
                file.set_len(offset.next_multiple_of(ALIGNMENT as u64))?;
                file.sync_all()
            })
            .map_err(io_error("cannot cut", path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(dir: &Path) -> LogWriter {
        files::create_dir(&dir.join(files::LOG_DIR)).unwrap();
        LogWriter::create(dir, 1).unwrap()
    }

    fn append(log: &mut LogWriter, bodies: &[&str]) {
        for body in bodies {
            log.stage(|out| {
                out.extend_from_slice(body.as_bytes());
                Ok(())
            })
            .unwrap();
        }
        log.begin().unwrap();
        log.finish().unwrap();
    }

    fn read_all(dir: &Path, from: u64) -> Result<(Vec<String>, LogEnd), StorageError> {
        let mut bodies = Vec::new();
        let end = read(dir, from, |record| {
            bodies.push(String::from_utf8_lossy(record).into_owned());
            Ok(())
        })?;
        Ok((bodies, end))
    }

    #[test]
    fn records_come_back_over_several_files() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = writer(dir.path());
        append(&mut log, &["a", "b"]);
        log.rotate().unwrap();
        append(&mut log, &["c"]);
        log.rotate().unwrap();
        let (bodies, end) = read_all(dir.path(), 1).unwrap();
        assert_eq!(bodies, ["a", "b", "c"]);
        assert_eq!((end.next, end.torn), (4, None));
        assert_eq!(read_all(dir.path(), 3).unwrap().0, ["c"]);
        assert!(read_all(dir.path(), 4).unwrap().0.is_empty());
        assert!(read_all(dir.path(), 5).is_err(), "the log ends before what segments are said to hold");
        files::remove(&files::log_path(dir.path(), 3)).unwrap();
        assert!(read_all(dir.path(), 1).unwrap_err().to_string().contains("records 3 to 3 are missing"));
        assert!(read_all(dir.path(), 4).is_ok());
        log.remove_earlier().unwrap();
        assert!(read_all(dir.path(), 1).unwrap_err().to_string().contains("records 1 to 3 are missing"));
    }

    #[test]
    fn half_a_record_is_dropped_and_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = writer(dir.path());
        append(&mut log, &["a"]);
        append(&mut log, &["b"]);
        let path = files::log_path(dir.path(), 1);
        let second = HEADER_BYTES as u64 + 128;
        OpenOptions::new().write(true).open(&path).unwrap().set_len(second + 64).unwrap();
        let (bodies, end) = read_all(dir.path(), 1).unwrap();
        assert_eq!((bodies, &end.torn), (vec!["a".to_owned()], &Some((path.clone(), second))));
        assert_eq!(end.next, 2);
        let mut next = LogWriter::create(dir.path(), 2).unwrap();
        append(&mut next, &["c"]);
        assert!(read_all(dir.path(), 1).unwrap_err().to_string().contains("half a record"));
        repair(&end).unwrap();
        assert_eq!(read_all(dir.path(), 1).unwrap().0, ["a", "c"]);
    }

    #[test]
    fn a_group_is_one_write() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = writer(dir.path());
        append(&mut log, &["a", "b", "c"]);
        // The first of the group was torn: that the second is whole proves nothing.
        let path = files::log_path(dir.path(), 1);
        let mut bytes = files::read(&path).unwrap();
        bytes[HEADER_BYTES..HEADER_BYTES + 128].fill(0);
        std::fs::write(&path, &bytes).unwrap();
        let (bodies, end) = read_all(dir.path(), 1).unwrap();
        assert!(bodies.is_empty());
        assert_eq!(end.torn, Some((path, HEADER_BYTES as u64)));
    }

    #[cfg(unix)]
    #[test]
    fn a_sync_that_fails_stops_the_log() {
        // Short groups are synced here, long ones by the thread.
        for (length, overlapped) in [(1, false), (OVERLAPPED, true)] {
            let dir = tempfile::tempdir().unwrap();
            let mut log = writer(dir.path());
            append(&mut log, &["a"]);
            let stage = |log: &mut LogWriter| {
                log.stage(|out| {
                    out.resize(out.len() + length, b'b');
                    Ok(())
                })
                .unwrap();
                log.begin()
            };
            // It takes everything, and cannot be synced.
            log.file = Arc::new(OpenOptions::new().write(true).open("/dev/null").unwrap());
            stage(&mut log).unwrap();
            assert_eq!(log.overlapped, overlapped);
            assert!(log.finish().unwrap_err().to_string().contains("cannot sync"));
            assert!(matches!(stage(&mut log), Err(StorageError::Halted { .. })));
            assert_eq!(log.next(), 2, "nobody knows whether the second record is there");
        }
    }
}
