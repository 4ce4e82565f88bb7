//! Changes: a temporary file and a rename, or an unlink.

use super::{
    NAME,
    header::{self, Identity},
    index::Indexed,
    layout::{Id, Layout, make_parent},
    members::forgive_absence,
    store::{Store, failed, is_absence},
    turns::Ticket,
};
use crate::{CacheError, Entry, Result};
use std::{
    fs::{self, File},
    io::{self, IoSlice, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

impl Store {
    pub(super) fn set(self: &Arc<Store>, key: &str, entry: &Entry, ticket: &Ticket) -> Result<()> {
        let key_error = |why| Err(CacheError::Key { backend: NAME.into(), key: key.into(), why });
        if key.is_empty() {
            return key_error("it is empty");
        }
        let id = Id::of(key);
        let Some(name) = self.places.name(id, key) else { return key_error("its file name would be too long") };
        if key.len() > header::MAX_KEY {
            return key_error("it is longer than 32 KiB");
        }
        if entry.ttl == Some(Duration::ZERO) {
            return self.delete(key, ticket).map(drop);
        }
        let size = entry.size() + header::FIXED as u64 + key.len() as u64;
        if size > self.max_bytes {
            self.delete(key, ticket)?;
            return Err(CacheError::TooLarge { backend: NAME.into(), size, max: self.max_bytes });
        }
        let expires_ms = match entry.ttl {
            None => 0,
            Some(ttl) => self.clock.now_ms().saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)).max(1),
        };
        let result = self.write(key, id, &name, entry, expires_ms, ticket);
        if result.is_err() {
            // An absent value can be loaded again; an old one would be believed.
            drop(self.delete(key, ticket));
        }
        self.make_room();
        self.scan_if_due(size);
        result.map_err(|error| failed("cannot write", error))
    }

    fn write(&self, key: &str, id: Id, name: &str, entry: &Entry, expires_ms: u64, ticket: &Ticket) -> io::Result<()> {
        let path = self.places.path(name);
        let temporary = Temporary(self.member.temporary());
        let mut file = File::create_new(&temporary.0)?;
        let head = |identity| header::encode(key, &entry.metadata, &entry.value, expires_ms, identity);
        let mut size = entry.value.len() as u64;
        let sidecar = match self.places.layout {
            Layout::Hashed => {
                let head = head(Identity::default());
                size += head.len() as u64;
                write_both(&mut file, &head, &entry.value)?;
                None
            }
            Layout::Plain => {
                file.write_all(&entry.value)?;
                let head = head(Identity::of(&file.metadata()?));
                size += head.len() as u64;
                let beside = Temporary(self.member.temporary());
                fs::write(&beside.0, head)?;
                Some(beside)
            }
        };
        if self.fsync {
            file.sync_data()?;
        }
        let _effect = ticket.effect();
        if ticket.is_overtaken(key) {
            return Ok(());
        }
        // What we know goes first: a value that it does not fit is taken for somebody else's, which it may well be.
        if let Some(beside) = sidecar {
            beside.rename_to(&self.places.sidecar(id))?;
        }
        temporary.rename_to(&path)?;
        if self.fsync
            && let Some(directory) = path.parent()
        {
            File::open(directory)?.sync_all()?;
        }
        self.index().insert(Indexed { id, size, name: self.index_name(name) });
        Ok(())
    }

    /// Says whether it was there and not expired.
    pub(super) fn delete(&self, key: &str, ticket: &Ticket) -> Result<bool> {
        let id = Id::of(key);
        let Some(name) = self.places.name(id, key) else { return Ok(false) };
        let was_there = self.exists(key)?;
        let _effect = ticket.effect();
        if ticket.is_overtaken(key) {
            return Ok(false);
        }
        Ok(self.unlink(id, &name).map_err(|error| failed("cannot delete", error))? && was_there)
    }

    /// The caller keeps other changes of the key out.
    pub(super) fn unlink(&self, id: Id, name: &str) -> io::Result<bool> {
        let there = match forgive_absence(fs::remove_file(self.places.path(name))) {
            Err(error) if is_absence(&error) => false,
            other => other?,
        };
        if self.places.layout == Layout::Plain {
            forgive_absence(fs::remove_file(self.places.sidecar(id)))?;
        }
        self.index().remove(id);
        Ok(there)
    }

    /// Removes a file that is no good, unless it has been replaced.
    pub(super) fn remove_if_same(&self, id: Id, name: &str, seen: &fs::Metadata) {
        let aside = self.turns.aside(id);
        let _effect = aside.effect();
        if fs::metadata(self.places.path(name)).is_ok_and(|now| Identity::of(&now) == Identity::of(seen)) {
            drop(self.unlink(id, name));
        }
    }
}

/// A temporary file, removed unless it was renamed.
struct Temporary(PathBuf);

impl Temporary {
    fn rename_to(self, path: &Path) -> io::Result<()> {
        let renamed = match fs::rename(&self.0, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_parent(path)?;
                fs::rename(&self.0, path)
            }
            other => other,
        };
        if renamed.is_ok() {
            std::mem::forget(self);
        }
        renamed
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

/// One call for both where the system takes both.
fn write_both(file: &mut File, first: &[u8], second: &[u8]) -> io::Result<()> {
    let written = file.write_vectored(&[IoSlice::new(first), IoSlice::new(second)])?;
    file.write_all(first.get(written..).unwrap_or_default())?;
    file.write_all(second.get(written.saturating_sub(first.len())..).unwrap_or_default())
}
