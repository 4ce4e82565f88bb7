//! A circuit breaker: a tier that fails is left alone for a while, then one caller tries it.
//!
//! It opens at the first time-out, at the `max_failures`-th error in a row, or when errors in a row have together cost as much as a
//! time-out: so a dead tier costs at most its time-out once in `retry_after`, however it is dead. Closed, it costs a hit one
//! relaxed load.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Breaker {
    start: Instant,
    timeout: Duration,
    retry_after: Duration,
    max_failures: u32,
    /// Milliseconds from `start` at which one caller may try; 0 while closed.
    try_at_ms: AtomicU64,
    /// How many failures in a row, so that success need not take the lock.
    failures: AtomicU64,
    cost: Mutex<Duration>,
}

impl Breaker {
    pub(super) fn new(timeout: Duration, retry_after: Duration, max_failures: u32) -> Breaker {
        Breaker {
            start: Instant::now(),
            timeout,
            retry_after,
            max_failures,
            try_at_ms: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            cost: Mutex::new(Duration::ZERO),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.try_at_ms.load(Relaxed) == 0
    }

    /// Whether this caller may go on: always while closed; once per `retry_after` while open. The one that may try moves
    /// the time of the next try forward, so that nobody else does and a try that is given up blocks nothing.
    pub(super) fn admits(&self) -> bool {
        let try_at = self.try_at_ms.load(Relaxed);
        if try_at == 0 {
            return true;
        }
        let now = self.now_ms();
        now >= try_at && self.try_at_ms.compare_exchange(try_at, now + self.window_ms(), Relaxed, Relaxed).is_ok()
    }

    /// How long until somebody may try; zero when now.
    pub(super) fn wait(&self) -> Duration {
        Duration::from_millis(self.try_at_ms.load(Relaxed).saturating_sub(self.now_ms()))
    }

    pub(super) fn succeeded(&self) {
        if self.failures.load(Relaxed) > 0 || !self.is_closed() {
            *self.cost.lock().unwrap_or_else(PoisonError::into_inner) = Duration::ZERO;
            self.failures.store(0, Relaxed);
            self.try_at_ms.store(0, Relaxed);
        }
    }

    /// A failure after `took`, which for a time-out is the time-out.
    pub(super) fn failed(&self, took: Duration) {
        let mut cost = self.cost.lock().unwrap_or_else(PoisonError::into_inner);
        *cost += took;
        let failures = self.failures.fetch_add(1, Relaxed) + 1;
        if *cost >= self.timeout || failures >= u64::from(self.max_failures) || !self.is_closed() {
            self.try_at_ms.store(self.now_ms() + self.window_ms(), Relaxed);
        }
    }

    /// Never 0, which means closed.
    fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64 + 1
    }

    fn window_ms(&self) -> u64 {
        (self.retry_after.as_millis() as u64).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn it_opens_at_a_time_out_and_lets_one_try() {
        let breaker = Breaker::new(SECOND, 5 * SECOND, 3);
        assert!(breaker.admits());
        breaker.failed(SECOND);
        assert!(!breaker.admits() && !breaker.is_closed());
        assert_eq!(breaker.wait(), 5 * SECOND);
        tokio::time::advance(5 * SECOND).await;
        assert!(breaker.admits());
        assert!(!breaker.admits(), "one at a time");
        breaker.succeeded();
        assert!(breaker.admits() && breaker.is_closed());
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_at_errors_in_a_row_or_when_they_cost_too_much() {
        let breaker = Breaker::new(SECOND, 5 * SECOND, 3);
        for _ in 0..10 {
            breaker.failed(Duration::from_millis(1));
            breaker.failed(Duration::from_millis(1));
            assert!(breaker.is_closed());
            breaker.succeeded();
        }
        for _ in 0..3 {
            breaker.failed(Duration::from_millis(1));
        }
        assert!(!breaker.is_closed());

        let breaker = Breaker::new(SECOND, 5 * SECOND, 3);
        breaker.failed(SECOND * 6 / 10);
        breaker.failed(SECOND * 6 / 10);
        assert!(!breaker.is_closed());
    }
}
