//! How a tier is read: not when it is down or behind, for at most its time-out, and every answer counted once.

use super::tier::Tier;
use crate::{Entry, Result};
use futures_util::{FutureExt, future::BoxFuture};
use std::{pin::pin, sync::atomic::Ordering::Relaxed, time::Duration};
use tokio::time::Instant;

/// What a read of a tier came to.
pub(super) enum Reading {
    Hit(Entry),
    Miss,
    /// Not asked, or no answer: the next tier is.
    Passed,
}

/// A read of one key that a tier has begun.
pub(super) enum Begun<'a> {
    Ended(Reading),
    /// The backend has to be waited for.
    Waits(BoxFuture<'a, Result<Option<Entry>>>),
}

impl Tier {
    /// Whether a read of `key` may ask this tier; counts it when not.
    pub(super) fn may_read(&self, key: &str) -> bool {
        if self.journal.is_behind(key) {
            self.counts.behind.fetch_add(1, Relaxed);
            return false;
        }
        true
    }

    /// Begins to read `key`. What the backend has at hand is answered here: without a clock, a timer or a future of ours.
    // Inlined, as is `reading`: the calls would each move the entry once more (5 ns of a hit).
    #[inline(always)]
    pub(super) fn begin<'a>(&'a self, key: &'a str) -> Begun<'a> {
        if !self.may_read(key) || !self.admits(1) {
            return Begun::Ended(Reading::Passed);
        }
        let mut read = self.backend.get(key);
        match read.as_mut().now_or_never() {
            Some(answer) => {
                self.heard(&answer, 1, Duration::ZERO);
                Begun::Ended(self.reading(answer))
            }
            None => Begun::Waits(read),
        }
    }

    /// Ends a read that this tier has begun.
    pub(super) async fn finish(&self, begun: Begun<'_>) -> Reading {
        match begun {
            Begun::Ended(reading) => reading,
            Begun::Waits(read) => match self.wait(1, read).await {
                Some(answer) => self.reading(answer),
                None => Reading::Passed,
            },
        }
    }

    /// Reads many keys, which [`may_read`](Self::may_read) has let through. A tier that fails for every key has failed once; one
    /// that answers for some is there.
    pub(super) async fn get_many(&self, keys: &[&str]) -> Vec<Reading> {
        let read = async {
            let mut answers = self.backend.get_many(keys).await;
            // What nobody asked for is not counted.
            answers.truncate(keys.len());
            if answers.is_empty() || answers.iter().any(Result::is_ok) {
                return Ok(answers);
            }
            let errors = answers.into_iter().filter_map(Result::err);
            let gravest = errors.reduce(|gravest, error| if gravest.is_outage() { gravest } else { error });
            gravest.map_or_else(|| Ok(Vec::new()), Err)
        };
        let answers = self.read(keys.len() as u64, read).await.and_then(Result::ok).unwrap_or_default();
        let mut readings = Vec::with_capacity(keys.len());
        for answer in answers {
            if let Err(error) = &answer {
                self.counts.errors.fetch_add(1, Relaxed);
                tracing::warn!(tier = &*self.name, %error, "read failed");
            }
            readings.push(self.reading(answer));
        }
        // A backend that answers too little has not answered.
        readings.resize_with(keys.len(), || Reading::Passed);
        readings
    }

    #[inline(always)]
    fn reading(&self, answer: Result<Option<Entry>>) -> Reading {
        match answer {
            Ok(Some(entry)) => {
                self.counts.hits.add(1);
                Reading::Hit(entry)
            }
            Ok(None) => {
                self.counts.misses.add(1);
                Reading::Miss
            }
            Err(_) => Reading::Passed,
        }
    }

    /// Runs a read about `keys` keys: `None` when the breaker is open or time is up. Everything but success is counted.
    pub(super) async fn read<T>(&self, keys: u64, read: impl Future<Output = Result<T>>) -> Option<Result<T>> {
        if !self.admits(keys) {
            return None;
        }
        let mut read = pin!(read);
        if let Some(answer) = read.as_mut().now_or_never() {
            self.heard(&answer, keys, Duration::ZERO);
            return Some(answer);
        }
        self.wait(keys, read).await
    }

    /// Waits for a read that was not answered at once, for at most the time-out.
    async fn wait<T>(&self, keys: u64, read: impl Future<Output = Result<T>>) -> Option<Result<T>> {
        let began = Instant::now();
        let Ok(answer) = tokio::time::timeout(self.options.timeout, read).await else {
            self.counts.timeouts.fetch_add(keys, Relaxed);
            self.breaker.failed(self.options.timeout);
            tracing::warn!(tier = &*self.name, after = ?self.options.timeout, "no answer to a read");
            return None;
        };
        self.heard(&answer, keys, began.elapsed());
        Some(answer)
    }

    /// Whether the breaker lets a read about `keys` keys through; counts them when not.
    fn admits(&self, keys: u64) -> bool {
        let admitted = self.breaker.admits();
        if !admitted {
            self.counts.open.fetch_add(keys, Relaxed);
        }
        admitted
    }

    /// Notes that the backend answered a read about `keys` keys, after so long.
    fn heard<T>(&self, answer: &Result<T>, keys: u64, took: Duration) {
        match answer {
            Ok(_) => self.breaker.succeeded(),
            Err(error) => {
                self.counts.errors.fetch_add(keys, Relaxed);
                tracing::warn!(tier = &*self.name, %error, "read failed");
                if error.is_outage() {
                    self.breaker.failed(took);
                }
            }
        }
    }
}
