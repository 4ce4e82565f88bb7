//! One tier: a backend behind a time-out, a breaker and a journal of what it missed. How it is read stands in `reading`.

use super::{
    breaker::Breaker,
    journal::{ClearId, Journal},
    order::{Order, Stamp},
    stats::{TierCounts, TierStats},
};
use crate::{CacheBackend, CacheError, Entry, Pattern, Result};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{sync::RwLock, time::Instant};

/// How a tier is treated.
#[derive(Debug, Clone)]
pub struct TierOptions {
    /// The name in counts and errors. Default: the backend's name; the second of that name gets `-2`.
    pub name: Option<String>,
    /// How long a read or write may take. Default 2 s.
    pub timeout: Duration,
    /// How long a clear may take. Default 10 min.
    pub clear_timeout: Duration,
    /// How long a tier that failed is left alone before one request tries it. Default 5 s.
    pub retry_after: Duration,
    /// Errors in a row after which it is left alone; a time-out is enough by itself. Default 3.
    pub max_failures: u32,
}

impl Default for TierOptions {
    fn default() -> TierOptions {
        TierOptions {
            name: None,
            timeout: Duration::from_secs(2),
            clear_timeout: Duration::from_secs(600),
            retry_after: Duration::from_secs(5),
            max_failures: 3,
        }
    }
}

pub(super) struct Tier {
    pub(super) name: Arc<str>,
    pub(super) backend: Arc<dyn CacheBackend>,
    pub(super) breaker: Breaker,
    pub(super) journal: Journal,
    pub(super) counts: TierCounts,
    pub(super) options: TierOptions,
    /// Held shared while a write is under way, so that a clear can wait for those that began before it.
    writing: RwLock<()>,
}

/// A change of one key.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Set(Entry),
    Delete,
}

impl Change {
    pub(super) fn size(&self) -> u64 {
        match self {
            Change::Set(entry) => entry.size(),
            Change::Delete => 0,
        }
    }

    /// When the value will have outlived itself.
    pub(super) fn ends(&self) -> Option<Instant> {
        match self {
            Change::Set(Entry { ttl: Some(ttl), .. }) => Instant::now().checked_add(*ttl),
            _ => None,
        }
    }

    /// The change as it has to be made now, if its value ends at `ends`.
    pub(super) fn aged(self, ends: Option<Instant>) -> Change {
        match (self, ends) {
            (Change::Set(entry), Some(ends)) => match ends.saturating_duration_since(Instant::now()) {
                Duration::ZERO => Change::Delete,
                left => Change::Set(entry.with_ttl(left)),
            },
            (change, _) => change,
        }
    }
}

/// Why a fill was not made.
pub(super) struct Refused;

impl Tier {
    pub(super) fn new(name: Arc<str>, backend: Arc<dyn CacheBackend>, options: TierOptions) -> Tier {
        Tier {
            name,
            backend,
            breaker: Breaker::new(options.timeout, options.retry_after, options.max_failures),
            journal: Journal::default(),
            counts: TierCounts::default(),
            options,
            writing: RwLock::new(()),
        }
    }

    /// Makes a change that every tier gets. The caller has the key's turn. On failure the tier is behind on the key.
    pub(super) async fn write(self: &Arc<Tier>, key: &Arc<str>, change: Change) -> Result<bool> {
        let _writing = self.writing.read().await;
        let result = self.write_now(key, change.clone(), change).await;
        match &result {
            Ok(_) => self.counts.writes.add(1),
            Err(_) => drop(self.counts.write_errors.fetch_add(1, Relaxed)),
        }
        result
    }

    /// Copies what a lower tier had, unless the key was written since `stamp`. The caller has the key's turn.
    pub(super) async fn fill(
        self: &Arc<Tier>,
        key: &Arc<str>,
        entry: Entry,
        order: &Order,
        stamp: Stamp,
    ) -> Result<(), Refused> {
        let _writing = self.writing.read().await;
        // Looked at only now: a clear that began since has either waited for this or moved the stamp.
        if order.stamp(key) != stamp || self.journal.is_behind(key) || !self.breaker.is_closed() {
            return Err(Refused);
        }
        // Should it fail, all that matters is that no half-known copy stays.
        self.write_now(key, Change::Set(entry), Change::Delete).await.map(drop).map_err(|_| Refused)
    }

    /// Replays what `key` missed. The caller has the key's turn.
    pub(super) async fn replay(self: &Arc<Tier>, key: &Arc<str>) {
        let _writing = self.writing.read().await;
        if let Some(change) = self.journal.change_of(key)
            && self.send(key, change.clone(), change).await.is_ok()
        {
            self.counts.replayed.fetch_add(1, Relaxed);
        }
    }

    async fn write_now(self: &Arc<Tier>, key: &Arc<str>, change: Change, on_failure: Change) -> Result<bool> {
        if self.journal.awaits_clear(key) || self.journal.is_unfinished(key) {
            self.journal.missed(key, on_failure, false);
            return Err(CacheError::Deferred { tier: Arc::clone(&self.name) });
        }
        if !self.breaker.admits() {
            self.journal.missed(key, on_failure, false);
            return Err(CacheError::Open { tier: Arc::clone(&self.name) });
        }
        self.send(key, change, on_failure).await
    }

    async fn send(self: &Arc<Tier>, key: &Arc<str>, change: Change, on_failure: Change) -> Result<bool> {
        let (backend, own_key) = (Arc::clone(&self.backend), Arc::clone(key));
        // Owns all it needs, so that it can go on by itself when time is up.
        let mut call = Box::pin(async move {
            match change {
                Change::Set(entry) => backend.set(&own_key, entry).await.map(|()| true),
                Change::Delete => backend.delete(&own_key).await,
            }
        });
        let began = Instant::now();
        match tokio::time::timeout(self.options.timeout, &mut call).await {
            Ok(Ok(changed)) => {
                self.breaker.succeeded();
                self.journal.settled(key);
                Ok(changed)
            }
            // The backend will never hold this, and the key is absent: that is an agreement.
            Ok(Err(error @ (CacheError::TooLarge { .. } | CacheError::Key { .. }))) => {
                self.breaker.succeeded();
                self.journal.settled(key);
                Err(error)
            }
            Ok(Err(error)) => {
                tracing::warn!(tier = &*self.name, %error, "write failed");
                self.breaker.failed(began.elapsed());
                self.journal.missed(key, on_failure, false);
                Err(error)
            }
            Err(_) => {
                tracing::warn!(tier = &*self.name, after = ?self.options.timeout, "no answer to a write");
                self.breaker.failed(self.options.timeout);
                self.journal.missed(key, on_failure, true);
                let (tier, key) = (Arc::clone(self), Arc::clone(key));
                tokio::spawn(async move {
                    let ended = Ended { tier, key };
                    drop(call.await);
                    drop(ended);
                });
                Err(CacheError::TimedOut { tier: Arc::clone(&self.name), after: self.options.timeout })
            }
        }
    }

    /// Clears what matches. From now until it is done, also if that takes a replay, the tier is behind on those keys.
    pub(super) async fn clear(&self, pattern: &Pattern) -> Result<u64> {
        let id = self.journal.clear_begins(pattern);
        let _guard = ClearGuard { journal: &self.journal, id };
        // Writes that began before have ended, or are known to be unfinished, once this is ours.
        drop(self.writing.write().await);
        if !self.breaker.admits() {
            self.counts.write_errors.fetch_add(1, Relaxed);
            return Err(CacheError::Open { tier: Arc::clone(&self.name) });
        }
        let result = self.run_clear(id, pattern).await;
        match &result {
            Ok(_) => self.counts.writes.add(1),
            Err(_) => drop(self.counts.write_errors.fetch_add(1, Relaxed)),
        }
        result
    }

    /// Runs a clear that the journal knows of.
    pub(super) async fn run_clear(&self, id: ClearId, pattern: &Pattern) -> Result<u64> {
        let _guard = ClearGuard { journal: &self.journal, id };
        let began = Instant::now();
        let result = match tokio::time::timeout(self.options.clear_timeout, self.backend.clear(pattern)).await {
            Ok(result) => result,
            Err(_) => Err(CacheError::TimedOut { tier: Arc::clone(&self.name), after: self.options.clear_timeout }),
        };
        match &result {
            Ok(_) => {
                self.breaker.succeeded();
                self.journal.cleared(id);
            }
            Err(error) => {
                tracing::warn!(tier = &*self.name, %error, "clear failed");
                self.breaker.failed(began.elapsed());
            }
        }
        result
    }

    pub(super) async fn stats(&self) -> TierStats {
        let timeout = self.options.timeout;
        let asked = self.breaker.is_closed();
        let backend = if asked { tokio::time::timeout(timeout, self.backend.stats()).await.ok() } else { None };
        let counts = &self.counts;
        TierStats {
            tier: Arc::clone(&self.name),
            up: self.breaker.is_closed(),
            hits: counts.hits.get(),
            misses: counts.misses.get(),
            errors: counts.errors.load(Relaxed),
            timeouts: counts.timeouts.load(Relaxed),
            open: counts.open.load(Relaxed),
            behind: counts.behind.load(Relaxed),
            writes: counts.writes.get(),
            write_errors: counts.write_errors.load(Relaxed),
            fills: counts.fills.load(Relaxed),
            fills_refused: counts.fills_refused.load(Relaxed),
            replayed: counts.replayed.load(Relaxed),
            pending: self.journal.len() as u64,
            backend: backend.and_then(Result::ok),
        }
    }
}

/// Tells the journal that a call which was given up on has ended, also when it panicked.
struct Ended {
    tier: Arc<Tier>,
    key: Arc<str>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.tier.journal.finished(&self.key);
    }
}

/// Leaves a clear to the replay when it was not done, also when its caller went away.
struct ClearGuard<'a> {
    journal: &'a Journal,
    id: ClearId,
}

impl Drop for ClearGuard<'_> {
    fn drop(&mut self) {
        self.journal.clear_missed(self.id);
    }
}
