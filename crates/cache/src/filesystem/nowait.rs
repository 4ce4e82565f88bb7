//! Reads that the system answers from memory or not at all.
//!
//! A small file in the page cache is read in a few microseconds: less than it takes to hand the work to another thread and back. But
//! nobody knows whether it is there without asking, and asking may wait for a disk. Linux has two calls that never do: `openat2` with
//! `RESOLVE_CACHED` and `preadv2` with `RWF_NOWAIT`. What they cannot answer goes to the pool.

use std::{
    fs::File,
    io::{self, IoSliceMut},
    os::fd::OwnedFd,
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags, openat2},
    io::{Errno, ReadWriteFlags, preadv2},
};

/// A directory whose files may be read without waiting.
#[derive(Debug)]
pub(super) struct Root {
    directory: OwnedFd,
    /// The system or the file system has no such calls.
    unable: AtomicBool,
}

/// What a read without waiting came to.
pub(super) enum Answer {
    Absent,
    /// The whole file.
    Bytes(Vec<u8>),
    /// Ask again where waiting is allowed.
    Unknown,
}

impl Root {
    pub(super) fn open(path: &Path) -> io::Result<Root> {
        Ok(Root { directory: File::open(path)?.into(), unable: AtomicBool::new(false) })
    }

    /// Reads the file `name`, of `length` bytes when that is known, if it has at most `max`.
    pub(super) fn read(&self, name: &str, length: Option<u64>, max: u64) -> Answer {
        if self.unable.load(Relaxed) || length.is_some_and(|length| length > max) {
            return Answer::Unknown;
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = match openat2(&self.directory, name, flags, Mode::empty(), ResolveFlags::CACHED) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Answer::Absent,
            Err(error) => return self.unknown(error),
        };
        let length = match length {
            Some(length) => length,
            None => match rustix::fs::fstat(&file) {
                Ok(stat) => stat.st_size as u64,
                Err(error) => return self.unknown(error),
            },
        };
        if length > max {
            return Answer::Unknown;
        }
        // One byte more, so that a file that has another length than the index says shows it.
        let mut bytes = vec![0; length as usize + 1];
        match preadv2(&file, &mut [IoSliceMut::new(&mut bytes)], 0, ReadWriteFlags::NOWAIT) {
            Ok(read) if read as u64 == length => {
                bytes.truncate(read);
                Answer::Bytes(bytes)
            }
            Ok(_) => Answer::Unknown,
            Err(error) => self.unknown(error),
        }
    }

    fn unknown(&self, error: Errno) -> Answer {
        if matches!(error, Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP | Errno::PERM) {
            self.unable.store(true, Relaxed);
        }
        Answer::Unknown
    }
}
