//! Reading: the tiers in order, and a load when none has the key.

use super::{
    CacheManager, Inner,
    reading::{Begun, Reading},
};
use crate::{CacheError, Entry, Result};
use futures_util::FutureExt;
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

impl CacheManager {
    /// The entry of `key` from the first tier that has it. Tiers before it that said they do not get a copy, beside
    /// this call, with the time to live that is left.
    ///
    /// A tier that is down, too slow or not caught up is passed by; when no tier that answered has the key, it is absent.
    pub async fn get(&self, key: &str) -> Option<Entry> {
        self.inner.lookup(key).await
    }

    /// The entries of many keys, in their order: each tier is asked once, for what those before it did not have.
    pub async fn get_many(&self, keys: &[&str]) -> Vec<Option<Entry>> {
        let inner = &self.inner;
        let mut found: Vec<Option<Entry>> = vec![None; keys.len()];
        let mut missed_by: Vec<Vec<usize>> = vec![Vec::new(); keys.len()];
        let stamps: Vec<_> = keys.iter().map(|key| inner.order.stamp(key)).collect();
        for (index, tier) in inner.tiers.iter().enumerate() {
            let asked: Vec<usize> =
                (0..keys.len()).filter(|&at| found[at].is_none() && tier.may_read(keys[at])).collect();
            if asked.is_empty() {
                continue;
            }
            let readings = tier.get_many(&asked.iter().map(|&at| keys[at]).collect::<Vec<_>>()).await;
            for (at, reading) in asked.into_iter().zip(readings) {
                match reading {
                    Reading::Hit(entry) => {
                        inner.fill(keys[at], &entry, &missed_by[at], stamps[at]);
                        found[at] = Some(entry);
                    }
                    Reading::Miss => missed_by[at].push(index),
                    Reading::Passed => {}
                }
            }
        }
        inner.misses.add(found.iter().filter(|entry| entry.is_none()).count() as u64);
        found
    }

    /// The entry of `key`; when no tier has it, what `load` makes of it, which then is set in every tier (for `ttl`, or its
    /// own, or the default).
    ///
    /// However many callers ask at once, `load` runs once, in a task of its own: a caller that goes away does not end it, the last
    /// one does. Its error or panic reaches all of them and is not kept. A key that is written while it is loaded keeps
    /// what was written: the load's callers get the loaded value, nobody else does.
    ///
    /// # Errors
    /// What `load` returned; [`CacheError::LoadPanicked`].
    pub async fn get_or_load<F, V>(
        &self,
        key: &str,
        ttl: Option<Duration>,
        load: impl FnOnce() -> F + Send + 'static,
    ) -> Result<Entry>
    where
        F: Future<Output = Result<V>> + Send + 'static,
        V: Into<Entry> + 'static,
    {
        // The common case needs no task: the first tier has it.
        if let Some(tier) = self.inner.tiers.first()
            && let Reading::Hit(entry) = tier.finish(tier.begin(key)).await
        {
            return Ok(entry);
        }
        let key: Arc<str> = key.into();
        let (flight, joined) =
            self.inner.flights.join_or(&key, || self.clone().lookup_or_load(Arc::clone(&key), ttl, load));
        if joined {
            self.inner.loads_shared.fetch_add(1, Relaxed);
        }
        flight.landed().await
    }

    /// As [`get_or_load`](Self::get_or_load), for at most `wait`.
    ///
    /// # Errors
    /// [`CacheError::LoadTimedOut`] for this caller; the load goes on while others wait for it.
    pub async fn get_or_load_within<F, V>(
        &self,
        key: &str,
        ttl: Option<Duration>,
        wait: Duration,
        load: impl FnOnce() -> F + Send + 'static,
    ) -> Result<Entry>
    where
        F: Future<Output = Result<V>> + Send + 'static,
        V: Into<Entry> + 'static,
    {
        let loaded = tokio::time::timeout(wait, self.get_or_load(key, ttl, load)).await;
        loaded.unwrap_or(Err(CacheError::LoadTimedOut(wait)))
    }

    async fn lookup_or_load<F, V>(
        self,
        key: Arc<str>,
        ttl: Option<Duration>,
        load: impl FnOnce() -> F + Send + 'static,
    ) -> Result<Entry>
    where
        F: Future<Output = Result<V>> + Send + 'static,
        V: Into<Entry> + 'static,
    {
        let stamp = self.inner.order.stamp(&key);
        // The first tier is asked once more: it may have got the key between the caller's look and this task.
        if let Some(entry) = self.inner.lookup(&key).await {
            return Ok(entry);
        }
        self.inner.loads.fetch_add(1, Relaxed);
        let failed = FailedLoad(&self.inner);
        let loaded: Entry = load().await?.into();
        std::mem::forget(failed);
        let entry = self.inner.with_default_ttl(Entry { ttl: loaded.ttl.or(ttl), ..loaded });
        // Tiers that fail are in the journal; the callers have their value whatever became of it.
        drop(self.write(&key, super::tier::Change::Set(entry.clone()), Some(stamp)).await);
        Ok(entry)
    }
}

impl Inner {
    /// Asks the tiers in order and fills those that missed. What the first tier has at hand comes without a detour.
    async fn lookup(self: &Arc<Inner>, key: &str) -> Option<Entry> {
        match self.tiers.first()?.begin(key) {
            Begun::Ended(Reading::Hit(entry)) => Some(entry),
            // A box of its own, so that the future of a hit is small.
            begun => self.lookup_from(key, begun).boxed().await,
        }
    }

    /// Goes on where the first tier's read has `begun`.
    async fn lookup_from(self: &Arc<Inner>, key: &str, begun: Begun<'_>) -> Option<Entry> {
        let mut begun = Some(begun);
        let mut missed = Vec::new();
        let mut stamp = None;
        for (index, tier) in self.tiers.iter().enumerate() {
            // Before the tier that may have the value is read, so that any write since is seen; a hit of the first tier fills
            // nothing and needs none.
            if index > 0 && stamp.is_none() {
                stamp = Some(self.order.stamp(key));
            }
            match tier.finish(begun.take().unwrap_or_else(|| tier.begin(key))).await {
                Reading::Hit(entry) => {
                    if let Some(stamp) = stamp {
                        self.fill(key, &entry, &missed, stamp);
                    }
                    return Some(entry);
                }
                Reading::Miss => missed.push(index),
                Reading::Passed => {}
            }
        }
        self.misses.add(1);
        None
    }
}

/// Counts a load that ended without a value: by error, panic or cancellation.
struct FailedLoad<'a>(&'a Inner);

impl Drop for FailedLoad<'_> {
    fn drop(&mut self) {
        self.0.load_errors.fetch_add(1, Relaxed);
    }
}
