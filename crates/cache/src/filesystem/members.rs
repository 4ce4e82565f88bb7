//! The processes that share a directory.
//!
//! Each has a file in `members/` that it keeps locked while it lives; a lock ends with its process, however that ends. So anyone can
//! tell who is there, and sweep up what the dead left: their member files and half-written temporaries.

use super::layout::Places;
use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{SystemTime, UNIX_EPOCH},
};

#[derive(Debug)]
pub(super) struct Member {
    members: PathBuf,
    temporaries: PathBuf,
    id: String,
    /// Locked as long as it is open.
    _alive: File,
    next: AtomicU64,
}

/// Who else was there at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Company {
    pub(super) alone: bool,
    /// Moves when somebody comes or goes.
    changed: Option<SystemTime>,
}

impl Member {
    /// Joins, and sweeps up after the dead.
    pub(super) fn join(places: &Places) -> io::Result<Member> {
        let (members, temporaries) = (places.ours("members"), places.ours("tmp"));
        fs::create_dir_all(&members)?;
        fs::create_dir_all(&temporaries)?;
        let (id, alive) = loop {
            let (id, alive) = Member::enlist(&members)?;
            // Somebody may have taken the file for that of a dead member before it was locked.
            if members.join(&id).exists() {
                break (id, alive);
            }
        };
        let member = Member { members, temporaries, id, _alive: alive, next: AtomicU64::new(0) };
        member.sweep()?;
        Ok(member)
    }

    fn enlist(members: &Path) -> io::Result<(String, File)> {
        // Several tiers of one process may share a directory as well.
        static TIERS: AtomicU64 = AtomicU64::new(0);
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let id = format!("{:x}-{started:x}-{:x}", std::process::id(), TIERS.fetch_add(1, Relaxed));
        let alive = File::create_new(members.join(&id))?;
        alive.lock()?;
        Ok((id, alive))
    }

    /// A name for a temporary file that nobody else uses.
    pub(super) fn temporary(&self) -> PathBuf {
        self.temporaries.join(format!("{}.{:x}", self.id, self.next.fetch_add(1, Relaxed)))
    }

    /// Who else is there. Member files of the dead are removed.
    pub(super) fn company(&self) -> io::Result<Company> {
        // Taken first: a change after it makes the next look different.
        let changed = fs::metadata(&self.members)?.modified().ok();
        let mut alone = true;
        for entry in fs::read_dir(&self.members)? {
            let name = entry?.file_name();
            alone &= name == *self.id || !is_alive(&self.members.join(name));
        }
        Ok(Company { alone, changed })
    }

    fn sweep(&self) -> io::Result<()> {
        self.company()?;
        for entry in fs::read_dir(&self.temporaries)? {
            let entry = entry?;
            let name = entry.file_name();
            let owner = name.to_str().and_then(|name| name.rsplit_once('.')).map_or("", |(owner, _)| owner);
            // Asked for each: a member makes its file before its first temporary, never after.
            if owner != self.id && (owner.is_empty() || !is_alive(&self.members.join(owner))) {
                forgive_absence(fs::remove_file(entry.path()))?;
            }
        }
        Ok(())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        drop(fs::remove_file(self.members.join(&self.id)));
    }
}

/// Whether the process behind a member file lives; removes the file when not.
fn is_alive(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => true,
        // A file system without locks: nobody can be told dead.
        Err(TryLockError::Error(_)) => true,
        Ok(()) => {
            drop(fs::remove_file(path));
            false
        }
    }
}

pub(super) fn forgive_absence(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
