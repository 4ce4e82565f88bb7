//! One writer an index.

use crate::{
    StorageError,
    files::{self, io_error},
};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::ErrorKind,
    path::Path,
    thread,
    time::Duration,
};

/// A reader that [looks](is_held) holds the lock for some microseconds: a writer must not take it for another one.
const PATIENCE: Duration = Duration::from_millis(5);
const ATTEMPTS: usize = 10;

/// Held as long as it lives; the system lets go of it when the process ends, however that happens.
#[derive(Debug)]
pub(crate) struct WriterLock {
    _file: File,
}

impl WriterLock {
    pub(crate) fn acquire(dir: &Path) -> Result<WriterLock, StorageError> {
        let path = dir.join(files::LOCK);
        // Not truncated: the file is empty, and a file system that is full can still lock it.
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&path)
            .map_err(io_error("cannot open", &path))?;
        for attempt in 1.. {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempt < ATTEMPTS => thread::sleep(PATIENCE),
                Err(TryLockError::WouldBlock) => return Err(StorageError::Locked { path: dir.to_owned() }),
                Err(TryLockError::Error(error)) => return Err(io_error("cannot lock", &path)(error)),
            }
        }
        Ok(WriterLock { _file: file })
    }
}

/// Whether a writer has the index open. Where that cannot be told, one is taken to.
pub(crate) fn is_held(dir: &Path) -> bool {
    match File::open(dir.join(files::LOCK)) {
        // Shared, so that readers that look at the same time do not take each other for a writer.
        Ok(file) => file.try_lock_shared().is_err(),
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_held(dir.path()));
        let first = WriterLock::acquire(dir.path()).unwrap();
        assert!(matches!(WriterLock::acquire(dir.path()), Err(StorageError::Locked { .. })));
        assert!(is_held(dir.path()));
        drop(first);
        assert!(!is_held(dir.path()));
        WriterLock::acquire(dir.path()).unwrap();
    }
}
