//! Copying on purpose: what a lower tier has, into the first one, before anyone asks.
//!
//! It is a fill that somebody waits for, and so under the same rules: it never undoes a write, and a tier that is down or has to catch
//! up is passed by. It counts neither as a hit nor as a miss: those tell what callers met.

use super::{CacheManager, replay, tier::Tier};
use crate::{CacheError, Entry, Result};
use std::{
    io,
    sync::{Arc, atomic::Ordering::Relaxed},
};

/// Copies refused because the key's stripe was written meanwhile are tried so often.
const TRIES: usize = 4;

/// What became of a promotion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Promotion {
    /// The first tier has it now, and had not before.
    Copied {
        /// Bytes of the value.
        bytes: u64,
    },
    /// The first tier had it already.
    Resident,
    /// Every other tier was asked, and none has it.
    Missing,
    /// No tier that answered has it, and one did not answer: nobody knows whether it is missing.
    Unavailable,
}

impl CacheManager {
    /// Makes sure that the first tier has `key`: asks the others in order and copies what the first of them has. `dress` may change
    /// time to live and metadata of the copy, or refuse it; without a time to live it gets the default one.
    ///
    /// Dropping the future calls it off, but a copy that has begun is made.
    ///
    /// # Errors
    /// What `dress` refuses; [`CacheError::Backend`] when the first tier did not take the copy although it is up (it is
    /// too large for it, say).
    pub async fn promote(&self, key: &str, dress: impl Fn(Entry) -> Result<Entry>) -> Result<Promotion> {
        let inner = &self.inner;
        let Some((first, others)) = inner.tiers.split_first() else { return Ok(Promotion::Missing) };
        let key: Arc<str> = key.into();
        for _ in 0..TRIES {
            match first.holds(&key).await {
                None => return Ok(Promotion::Unavailable),
                Some(true) => return Ok(Promotion::Resident),
                Some(false) => {}
            }
            // Before the others are read, so that any write since is seen.
            let stamp = inner.order.stamp(&key);
            let (mut found, mut silent) = (None, false);
            for tier in others {
                match tier.peek(&key).await {
                    Some(Some(entry)) => {
                        found = Some(entry);
                        break;
                    }
                    Some(None) => {}
                    None => silent = true,
                }
            }
            let Some(entry) = found else {
                return Ok(if silent { Promotion::Unavailable } else { Promotion::Missing });
            };
            let bytes = entry.value.len() as u64;
            let entry = inner.with_default_ttl(dress(entry)?);
            let (owner, own_key, first_again) = (Arc::clone(inner), Arc::clone(&key), Arc::clone(first));
            let copy = tokio::spawn(async move {
                let _turn = owner.order.turn(&own_key).await;
                first_again.fill(&own_key, entry, &owner.order, stamp).await.is_ok()
            });
            match copy.await {
                Ok(true) => {
                    first.counts.fills.fetch_add(1, Relaxed);
                    return Ok(Promotion::Copied { bytes });
                }
                Ok(false) => drop(first.counts.fills_refused.fetch_add(1, Relaxed)),
                Err(error) => return Err(CacheError::backend(&first.name, "copy ended early", error)),
            }
            replay::start(inner, 0);
            if !first.can_take(&key) {
                return Ok(Promotion::Unavailable);
            }
            if inner.order.stamp(&key) == stamp {
                break;
            }
        }
        let refused = io::Error::other("the copy was refused: too large, or a key that the tier cannot hold");
        Err(CacheError::backend(&first.name, "cannot copy", refused))
    }

    /// Whether the first tier has each of `keys`; `None` when it does not answer. Counts as no request.
    pub async fn is_local(&self, keys: &[&str]) -> Option<Vec<bool>> {
        let first = self.inner.tiers.first()?;
        let mut held = Vec::with_capacity(keys.len());
        for key in keys {
            held.push(first.holds(key).await?);
        }
        Some(held)
    }
}

impl Tier {
    /// Whether the tier has `key`; `None` when it cannot be asked or does not answer.
    async fn holds(&self, key: &str) -> Option<bool> {
        if self.journal.is_behind(key) {
            return None;
        }
        self.read(1, self.backend.exists(key)).await?.ok()
    }

    /// What the tier has under `key`; `None` when it cannot be asked or does not answer.
    async fn peek(&self, key: &str) -> Option<Option<Entry>> {
        if self.journal.is_behind(key) {
            return None;
        }
        self.read(1, self.backend.get(key)).await?.ok()
    }

    /// Whether the tier takes copies of `key` at the moment.
    fn can_take(&self, key: &str) -> bool {
        self.breaker.is_closed() && !self.journal.is_behind(key)
    }
}
