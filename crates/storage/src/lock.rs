//! One writer an index.

use crate::{
    StorageError,
    files::{self, io_error},
};
use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
};

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
        match file.try_lock() {
            Ok(()) => Ok(WriterLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StorageError::Locked { path: dir.to_owned() }),
            Err(TryLockError::Error(error)) => Err(io_error("cannot lock", &path)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let first = WriterLock::acquire(dir.path()).unwrap();
        assert!(matches!(WriterLock::acquire(dir.path()), Err(StorageError::Locked { .. })));
        drop(first);
        WriterLock::acquire(dir.path()).unwrap();
    }
}
