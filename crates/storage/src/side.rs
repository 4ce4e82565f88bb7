//! Side files: named, versioned, checksummed bytes that a flush commits together with the log position they cover. What is in
//! them is none of this crate's business.

use crate::{StorageError, files, format::framed, manifest::SideEntry};
use std::{collections::BTreeMap, path::Path};

/// The longest name.
const MAX_NAME: usize = 64;

/// Those put since the last flush. What they replace is on disk.
#[derive(Debug, Default)]
pub(crate) struct PendingSides(BTreeMap<String, (u32, Vec<u8>)>);

impl PendingSides {
    pub(crate) fn put(&mut self, name: &str, version: u32, bytes: &[u8]) -> Result<(), StorageError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(allowed) {
            return Err(StorageError::SideName { name: name.to_owned() });
        }
        self.0.insert(name.to_owned(), (version, bytes.to_vec()));
        Ok(())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&(u32, Vec<u8>)> {
        self.0.get(name)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, u32, &[u8])> {
        self.0.iter().map(|(name, (version, bytes))| (name.as_str(), *version, bytes.as_slice()))
    }

    /// Writes all of them as files of a generation, and returns the entries of the manifest that will name them.
    pub(crate) fn write(
        &self,
        dir: &Path,
        generation: u64,
        entries: &[SideEntry],
    ) -> Result<Vec<SideEntry>, StorageError> {
        let mut entries: BTreeMap<&str, u64> =
            entries.iter().map(|entry| (entry.name.as_str(), entry.generation)).collect();
        for (name, version, bytes) in self.iter() {
            write(dir, name, generation, version, bytes)?;
            entries.insert(name, generation);
        }
        let entry = |(name, generation): (&str, u64)| SideEntry { name: name.to_owned(), generation };
        Ok(entries.into_iter().map(entry).collect())
    }
}

pub(crate) fn write(dir: &Path, name: &str, generation: u64, version: u32, bytes: &[u8]) -> Result<(), StorageError> {
    files::write_atomically(&files::side_path(dir, name, generation), &framed::seal(framed::SIDE, version, bytes))
}

pub(crate) fn read(dir: &Path, name: &str, generation: u64) -> Result<(u32, Vec<u8>), StorageError> {
    let path = files::side_path(dir, name, generation);
    let bytes = files::read(&path)?;
    let (version, body) = framed::open(framed::SIDE, &bytes, &path)?;
    Ok((version, body.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_directory_are_refused() {
        for name in ["", "../x", "a/b", "a.b", "A", "ä", &"x".repeat(65)] {
            assert!(PendingSides::default().put(name, 1, b"").is_err(), "{name}");
        }
        PendingSides::default().put("life-tables_2", 1, b"").unwrap();
    }
}
