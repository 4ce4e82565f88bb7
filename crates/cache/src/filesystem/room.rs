//! Making room, and finding out what others wrote.

use super::scan;
use super::store::{Store, lock};
use std::sync::{Arc, atomic::Ordering::Relaxed};

/// A process looks for what others wrote after it has written this share of the budget itself.
const SCAN_SHARE: u64 = 32;

impl Store {
    /// Deletes what goes first until the rest fits. One process does at a time; another leaves it to that one.
    pub(super) fn make_room(&self) {
        let over = || self.index().bytes() > self.max_bytes;
        if !over() {
            return;
        }
        let Ok(lock) = self.evictor.try_lock() else { return };
        if lock.try_lock().is_err() {
            return;
        }
        while over() {
            let Some(file) = self.index().oldest() else { break };
            let name = file.name.as_deref().map_or_else(|| file.id.path(), str::to_owned);
            let aside = self.turns.aside(file.id);
            let _effect = aside.effect();
            // Somebody may have used or replaced it meanwhile.
            if self.index().oldest().is_none_or(|oldest| oldest != file) {
                continue;
            }
            match self.unlink(file.id, &name) {
                Ok(there) => drop(self.evicted.fetch_add(u64::from(there), Relaxed)),
                Err(error) => {
                    tracing::warn!(name, %error, "cannot make room");
                    break;
                }
            }
        }
        drop(lock.unlock());
    }

    /// Looks for what others wrote, in a thread of its own, once this process has written its share; not when nobody else was
    /// there.
    pub(super) fn scan_if_due(self: &Arc<Store>, written: u64) {
        let written = self.written.fetch_add(written, Relaxed) + written;
        if written <= self.max_bytes / SCAN_SHARE || self.scanning.swap(true, Relaxed) {
            return;
        }
        self.written.store(0, Relaxed);
        let company = self.member.company().ok();
        let unchanged = company.as_ref().is_some_and(|company| company.alone) && *lock(&self.company) == company;
        *lock(&self.company) = company;
        if unchanged {
            self.scanning.store(false, Relaxed);
            return;
        }
        let store = Arc::clone(self);
        let thread = std::thread::Builder::new().name("cache-scan".into()).spawn(move || {
            store.rescan();
            store.scanning.store(false, Relaxed);
        });
        if thread.is_err() {
            self.scanning.store(false, Relaxed);
        }
    }

    /// Brings the index up to date with the directory, and makes room.
    pub(super) fn rescan(&self) {
        let since = self.index().moment();
        match scan::files(&self.places, self.eviction) {
            Ok(found) => self.index().reconcile(found, since),
            Err(error) => tracing::warn!(%error, "cannot scan"),
        }
        self.make_room();
    }
}
