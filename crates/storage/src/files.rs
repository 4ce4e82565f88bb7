//! Names of the files of an index, and the few ways in which they are written.
//!
//! ```text
//! MANIFEST              what the index consists of; replaced atomically
//! LOCK                  held by the one writer
//! wal/<16 hex>.log      write-ahead log, named by the number of its first record
//! segments/<16 hex>.seg ranked segments, written once
//! side/<name>.<16 hex>  learned state and remembered ids, named by the generation that committed them
//! ```
//!
//! A file that others may open is written under a temporary name, synced, renamed, and its directory synced; nobody ever
//! sees half of it.

use crate::StorageError;
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

pub(crate) const MANIFEST: &str = "MANIFEST";
pub(crate) const LOCK: &str = "LOCK";
pub(crate) const LOG_DIR: &str = "wal";
pub(crate) const SEGMENT_DIR: &str = "segments";
pub(crate) const SIDE_DIR: &str = "side";
/// Ends the name of a file that is not complete yet.
const TEMPORARY: &str = ".tmp";

pub(crate) fn log_path(dir: &Path, first_record: u64) -> PathBuf {
    dir.join(LOG_DIR).join(format!("{first_record:016x}.log"))
}

pub(crate) fn segment_path(dir: &Path, id: u64) -> PathBuf {
    dir.join(SEGMENT_DIR).join(format!("{id:016x}.seg"))
}

pub(crate) fn side_path(dir: &Path, name: &str, generation: u64) -> PathBuf {
    dir.join(SIDE_DIR).join(format!("{name}.{generation:016x}"))
}

/// The name a file has until it is complete.
pub(crate) fn temporary_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMPORARY);
    PathBuf::from(name)
}

pub(crate) fn is_temporary(name: &str) -> bool {
    name.ends_with(TEMPORARY)
}

/// Turns an error of the system into ours.
pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StorageError {
    let path = path.to_owned();
    move |source| StorageError::Io { action, path, source }
}

/// Whether an error says that a file is not there.
pub(crate) fn is_absent(error: &StorageError) -> bool {
    matches!(error, StorageError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, StorageError> {
    fs::read(path).map_err(io_error("cannot read", path))
}

/// Makes renames and removals in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StorageError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error("cannot sync", dir))
}

/// Makes the directories that are missing in `dir`. They are durable once `dir` is synced.
pub(crate) fn create_dirs<'n>(dir: &Path, names: impl IntoIterator<Item = &'n str>) -> Result<(), StorageError> {
    for name in names {
        let path = dir.join(name);
        fs::create_dir_all(&path).map_err(io_error("cannot create", &path))?;
    }
    Ok(())
}

/// Makes the directories that are missing in `dir`, durably, if any are.
pub(crate) fn create_missing_dirs<'n>(
    dir: &Path,
    names: impl IntoIterator<Item = &'n str> + Clone,
) -> Result<(), StorageError> {
    let missing = names.clone().into_iter().any(|name| !dir.join(name).is_dir());
    if missing {
        create_dirs(dir, names)?;
        sync_dir(dir)?;
    }
    Ok(())
}

/// Makes a directory if there is none, durably.
pub(crate) fn create_dir(dir: &Path) -> Result<(), StorageError> {
    fs::create_dir_all(dir).map_err(io_error("cannot create", dir))?;
    sync_parent(dir)
}

/// Makes the name of a directory durable.
pub(crate) fn sync_parent(dir: &Path) -> Result<(), StorageError> {
    match dir.parent() {
        Some(parent) if parent.as_os_str().is_empty() => sync_dir(Path::new(".")),
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

/// Writes a whole file so that it is there completely or not at all, after a crash too.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
    write_atomically_with(path, |file| file.write_all(bytes))
}

/// As [`write_atomically`], for content that is not in memory as a whole.
pub(crate) fn write_atomically_with(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), StorageError> {
    let temporary = temporary_path(path);
    let written = File::create(&temporary).and_then(|mut file| {
        write(&mut file)?;
        file.sync_all()
    });
    if let Err(error) = written {
        // Best effort: the next writer removes what is left.
        let _ = fs::remove_file(&temporary);
        return Err(io_error("cannot write", path)(error));
    }
    publish(&temporary, path)
}

/// Gives a complete and synced temporary file its name.
pub(crate) fn publish(temporary: &Path, path: &Path) -> Result<(), StorageError> {
    fs::rename(temporary, path).map_err(io_error("cannot rename", temporary))?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Removes a file; one that is gone already is fine.
pub(crate) fn remove(path: &Path) -> Result<(), StorageError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("cannot remove", path)(error)),
        _ => Ok(()),
    }
}

/// The numbers of the files in a directory whose names are `<16 hex><suffix>`, ascending.
pub(crate) fn numbered(dir: &Path, suffix: &str) -> Result<Vec<u64>, StorageError> {
    let mut numbers: Vec<u64> = names(dir)?
        .iter()
        .filter_map(|name| name.strip_suffix(suffix))
        .filter(|digits| digits.len() == 16)
        .filter_map(|digits| u64::from_str_radix(digits, 16).ok())
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The names in a directory, sorted; none for a directory that is not there.
pub(crate) fn names(dir: &Path) -> Result<Vec<String>, StorageError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error("cannot read", dir)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io_error("cannot read", dir))?;
        names.extend(entry.file_name().into_string().ok());
    }
    names.sort_unstable();
    Ok(names)
}

/// Removes every file of a directory that `keep` does not name: what a crash or a replaced generation left behind.
pub(crate) fn remove_others(dir: &Path, keep: impl Fn(&str) -> bool) -> Result<(), StorageError> {
    names(dir)?.iter().filter(|name| !keep(name)).try_for_each(|name| remove(&dir.join(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        write_atomically(&path, b"old").unwrap();
        let failed = write_atomically_with(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("disk full"))
        });
        assert!(failed.unwrap_err().to_string().contains("disk full"));
        assert_eq!(names(dir.path()).unwrap(), ["f"]);
        assert_eq!(read(&path).unwrap(), b"old");
    }

    #[test]
    fn numbered_files_are_told_from_others() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["00000000000000ff.seg", "0000000000000001.seg", "1.seg", "0000000000000002.seg.tmp", "x"] {
            fs::write(dir.path().join(name), b"").unwrap();
        }
        assert_eq!(numbered(dir.path(), ".seg").unwrap(), [1, 255]);
        assert!(numbered(&dir.path().join("none"), ".seg").unwrap().is_empty());
    }
}
