//! Writing through: every tier gets every change, and says what became of it.

use super::{
    CacheManager, Inner,
    order::Stamp,
    replay,
    tier::{Change, Tier},
};
use crate::{CacheError, Entry, Invalidation, Pattern, Result};
use futures_util::future::join_all;
use std::{
    io,
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

/// What became of a write in each tier.
///
/// Where a tier failed, the change is kept and replayed, and until then the tier is not asked for what it missed: so a write that is
/// not ok is never undone, only not everywhere yet.
#[derive(Debug, Clone)]
#[must_use = "a tier may have failed"]
pub struct WriteReport<T> {
    tiers: Vec<(Arc<str>, Result<T>)>,
}

impl<T> WriteReport<T> {
    /// The result of each tier, in the order in which they are asked.
    pub fn tiers(&self) -> impl ExactSizeIterator<Item = (&str, &Result<T>)> {
        self.tiers.iter().map(|(name, result)| (&**name, result))
    }

    /// Whether every tier took it.
    pub fn is_ok(&self) -> bool {
        self.tiers.iter().all(|(_, result)| result.is_ok())
    }

    /// What the tiers said, or the first error.
    ///
    /// # Errors
    /// Of the first tier that failed.
    pub fn into_result(self) -> Result<Vec<T>> {
        self.tiers.into_iter().map(|(_, result)| result).collect()
    }

    fn map<U>(self, f: impl Fn(T) -> U) -> WriteReport<U> {
        let tiers = self.tiers.into_iter().map(|(name, result)| (name, result.map(&f))).collect();
        WriteReport { tiers }
    }
}

impl CacheManager {
    /// Sets `key` in every tier at once. Without a time to live it gets the default one.
    ///
    /// Once begun it is done, also when the caller goes away: tiers that disagree would be worse than a write nobody waits for.
    pub async fn set(&self, key: &str, entry: Entry) -> WriteReport<()> {
        let entry = self.inner.with_default_ttl(entry);
        let report = self.write(key, Change::Set(entry), None).await;
        report.map(drop)
    }

    /// Makes `key` absent in every tier. Each tier says whether it had it.
    pub async fn delete(&self, key: &str) -> WriteReport<bool> {
        self.write(key, Change::Delete, None).await
    }

    /// Deletes what matches in every tier; each says how many keys that were.
    ///
    /// Until a tier is done it is not asked for what matches, and writes of those keys to it are put off.
    pub async fn clear(&self, pattern: &Pattern) -> WriteReport<u64> {
        let (inner, own) = (Arc::clone(&self.inner), pattern.clone());
        let everywhere = 0..inner.tiers.len();
        let task = tokio::spawn(async move { inner.clear(&own, everywhere).await });
        task.await.unwrap_or_else(|error| self.inner.failed_write(&error))
    }

    pub(super) async fn write(&self, key: &str, change: Change, only_if: Option<Stamp>) -> WriteReport<bool> {
        let (inner, key): (_, Arc<str>) = (Arc::clone(&self.inner), key.into());
        let everywhere = 0..inner.tiers.len();
        let task = tokio::spawn(async move { inner.write(&key, change, only_if, everywhere).await });
        task.await.unwrap_or_else(|error| self.inner.failed_write(&error))
    }

    /// Follows what others change in the places that this cache shares with them.
    pub(super) fn follow_invalidations(&self) {
        for (index, tier) in self.inner.tiers.iter().enumerate() {
            let Some(mut news) = tier.backend.invalidations() else { continue };
            let inner = Arc::downgrade(&self.inner);
            tokio::spawn(async move {
                while let Some(invalidation) = news.recv().await {
                    let Some(inner) = inner.upgrade() else { return };
                    inner.invalidate(invalidation, 0..index).await;
                }
                // The sender is gone: from here on nobody would tell.
                if let Some(inner) = inner.upgrade() {
                    inner.invalidate(Invalidation::All, 0..index).await;
                }
            });
        }
    }

    /// Drops this cache's copies of what somebody else changed, in the tiers before the `tier`-th.
    pub async fn invalidate(&self, invalidation: Invalidation, tier: usize) {
        self.inner.invalidate(invalidation, 0..tier.min(self.inner.tiers.len())).await;
    }
}

impl Inner {
    pub(super) fn with_default_ttl(&self, entry: Entry) -> Entry {
        Entry { ttl: entry.ttl.or(self.default_ttl), ..entry }
    }

    /// With a stamp, the change is made only if the key was not written since: an empty report says that it was.
    async fn write(
        self: &Arc<Inner>,
        key: &Arc<str>,
        change: Change,
        only_if: Option<Stamp>,
        tiers: Range<usize>,
    ) -> WriteReport<bool> {
        let turn = self.order.turn(key).await;
        match only_if {
            Some(stamp) if self.order.stamp(key) != stamp => return WriteReport { tiers: Vec::new() },
            Some(_) => {}
            None => self.flights.cut_off(key),
        }
        self.order.touch(key);
        let writes = self.tiers[tiers.clone()].iter().map(|tier| tier.write(key, change.clone()));
        let results = join_all(writes).await;
        self.order.touch(key);
        drop(turn);
        self.report(tiers, results)
    }

    async fn clear(self: &Arc<Inner>, pattern: &Pattern, tiers: Range<usize>) -> WriteReport<u64> {
        self.flights.cut_off_all();
        self.order.touch_all();
        let results = join_all(self.tiers[tiers.clone()].iter().map(|tier| tier.clear(pattern))).await;
        self.order.touch_all();
        self.report(tiers, results)
    }

    async fn invalidate(self: &Arc<Inner>, invalidation: Invalidation, tiers: Range<usize>) {
        // What fails is in the journal; there is nobody to tell.
        match invalidation {
            Invalidation::Key(key) => drop(self.write(&key.into(), Change::Delete, None, tiers).await),
            Invalidation::Matching(pattern) => drop(self.clear(&pattern, tiers).await),
            Invalidation::All => drop(self.clear(&Pattern::all(), tiers).await),
        }
    }

    /// Pairs results with tiers, and sets those catching up that have something to catch up on.
    fn report<T>(self: &Arc<Inner>, tiers: Range<usize>, results: Vec<Result<T>>) -> WriteReport<T> {
        for index in tiers.clone() {
            replay::start(self, index);
        }
        let names = self.tiers[tiers].iter().map(|tier| Arc::clone(&tier.name));
        WriteReport { tiers: names.zip(results).collect() }
    }

    /// The report of a write whose task ended without one: its runtime is shutting down, or a backend panicked.
    fn failed_write<T>(&self, error: &tokio::task::JoinError) -> WriteReport<T> {
        let failed = |tier: &Arc<Tier>| {
            let error = CacheError::backend(&tier.name, "write ended early", io::Error::other(error.to_string()));
            (Arc::clone(&tier.name), Err(error))
        };
        WriteReport { tiers: self.tiers.iter().map(failed).collect() }
    }

    /// Copies what tier `from` had into the tiers that said they did not have it. Works beside the caller, who has the value.
    pub(super) fn fill(self: &Arc<Inner>, key: &str, entry: &Entry, missed: &[usize], stamp: Stamp) {
        if missed.is_empty() {
            return;
        }
        let Ok(permit) = Arc::clone(&self.fills).try_acquire_owned() else {
            return self.refuse_fill(missed);
        };
        let (inner, key, entry, missed): (_, Arc<str>, _, _) =
            (Arc::clone(self), key.into(), self.with_default_ttl(entry.clone()), missed.to_vec());
        let change = Change::Set(entry);
        let ends = change.ends();
        tokio::spawn(async move {
            let _permit = permit;
            let Some(_turn) = inner.order.try_turn(&key) else {
                return inner.refuse_fill(&missed);
            };
            for index in missed {
                let tier = &inner.tiers[index];
                let Change::Set(entry) = change.clone().aged(ends) else { return };
                let count = match tier.fill(&key, entry, &inner.order, stamp).await {
                    Ok(()) => &tier.counts.fills,
                    Err(_) => &tier.counts.fills_refused,
                };
                count.fetch_add(1, Relaxed);
                replay::start(&inner, index);
            }
        });
    }

    fn refuse_fill(&self, missed: &[usize]) {
        for &index in missed {
            self.tiers[index].counts.fills_refused.fetch_add(1, Relaxed);
        }
    }
}
