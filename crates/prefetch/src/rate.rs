//! Rate limits: token buckets that whoever is over the limit pays off by waiting.

use crate::Cancel;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// So much of a second's allowance may be used at once. It is also what a limit may be exceeded by, once.
const BURST_SECONDS: f64 = 0.05;

/// So many a second, with a small reserve. Pure: the time is an argument.
///
/// A token bucket that lends: a taker always gets what it asks for and is told how long to wait first. So a block larger than the reserve
/// is possible, takers are served in the order in which they ask, and the mean rate is exact.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    per_second: f64,
    burst: f64,
    /// Negative while somebody has to wait.
    tokens: f64,
    as_of: Instant,
}

impl TokenBucket {
    /// A full bucket. A rate of zero or less, or one that is no number, lets nothing through but one unit at the start.
    pub fn new(per_second: f64, now: Instant) -> TokenBucket {
        let mut bucket = TokenBucket { per_second: 0.0, burst: 0.0, tokens: 0.0, as_of: now };
        bucket.set_rate(per_second, now);
        bucket.tokens = bucket.burst;
        bucket
    }

    /// So many a second from now on.
    pub fn set_rate(&mut self, per_second: f64, now: Instant) {
        self.refill(now);
        self.per_second = if per_second.is_finite() { per_second.max(0.0) } else { 0.0 };
        // At least one unit: a rate of one a second must let the first one through.
        self.burst = (self.per_second * BURST_SECONDS).max(1.0);
        self.tokens = self.tokens.min(self.burst);
    }

    /// How many a second.
    pub fn rate(&self) -> f64 {
        self.per_second
    }

    /// Takes `count`, and says how long to wait before using them.
    pub fn take(&mut self, count: f64, now: Instant) -> Duration {
        self.refill(now);
        self.tokens -= count;
        if self.tokens >= 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(-self.tokens / self.per_second).unwrap_or(Duration::MAX)
    }

    /// Gives back what was not used; with a negative count, takes what was used beyond.
    pub fn give_back(&mut self, count: f64) {
        self.tokens = (self.tokens + count).min(self.burst);
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.as_of).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.burst);
        self.as_of = self.as_of.max(now);
    }
}

/// The limits that all threads of a pool share. `None` is no limit.
#[derive(Debug)]
pub struct RateLimits {
    requests: Option<Mutex<TokenBucket>>,
    bytes: Option<Mutex<TokenBucket>>,
}

impl RateLimits {
    /// At most so many requests and bytes a second.
    pub fn new(requests_per_second: Option<f64>, bytes_per_second: Option<u64>) -> RateLimits {
        let bucket = |rate| Mutex::new(TokenBucket::new(rate, Instant::now()));
        RateLimits {
            requests: requests_per_second.map(bucket),
            bytes: bytes_per_second.map(|bytes| bucket(bytes as f64)),
        }
    }

    /// Waits until one request of about `bytes` bytes is within the limits; says `false`, having taken nothing, when
    /// cancelled first.
    pub fn wait(&self, bytes: u64, cancel: &Cancel) -> bool {
        let now = Instant::now();
        let take = |bucket: &Option<Mutex<TokenBucket>>, count| {
            bucket.as_ref().map_or(Duration::ZERO, |bucket| lock(bucket).take(count, now))
        };
        let wait = take(&self.requests, 1.0).max(take(&self.bytes, bytes as f64));
        let cancelled = if wait.is_zero() { cancel.is_cancelled() } else { cancel.sleep(wait) };
        if cancelled {
            self.give_back(1.0, bytes as f64);
        }
        !cancelled
    }

    /// Corrects what [`wait`](Self::wait) was told once the real number of bytes is known.
    pub fn correct(&self, expected: u64, real: u64) {
        self.give_back(0.0, expected as f64 - real as f64);
    }

    /// Changes the limit of bytes, if there is one.
    pub fn set_bytes_per_second(&self, bytes_per_second: f64) {
        if let Some(bytes) = &self.bytes {
            lock(bytes).set_rate(bytes_per_second, Instant::now());
        }
    }

    /// Changes the limit of requests, if there is one.
    pub fn set_requests_per_second(&self, requests_per_second: f64) {
        if let Some(requests) = &self.requests {
            lock(requests).set_rate(requests_per_second, Instant::now());
        }
    }

    fn give_back(&self, requests: f64, bytes: f64) {
        for (bucket, count) in [(&self.requests, requests), (&self.bytes, bytes)] {
            if let Some(bucket) = bucket {
                lock(bucket).give_back(count);
            }
        }
    }
}

fn lock(bucket: &Mutex<TokenBucket>) -> MutexGuard<'_, TokenBucket> {
    bucket.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What goes through in ten seconds of takers that come as soon as they may.
    fn through(rate: f64, each: f64) -> f64 {
        let start = Instant::now();
        let end = start + Duration::from_secs(10);
        let mut bucket = TokenBucket::new(rate, start);
        let (mut now, mut total) = (start, 0.0);
        loop {
            now += bucket.take(each, now);
            if now >= end {
                return total;
            }
            total += each;
        }
    }

    #[test]
    fn limits_hold_within_two_per_cent_over_ten_seconds() {
        for (rate, each) in [(100.0, 1.0), (1e9, 262_144.0), (1e6, 50_000.0), (7.0, 0.1)] {
            let share = through(rate, each) / (rate * 10.0);
            assert!((0.98..=1.02).contains(&share), "{rate} by {each}: {share}");
        }
        // One a second: the first one at once.
        assert_eq!(through(1.0, 1.0), 10.0);
    }

    #[test]
    fn what_was_not_used_comes_back() {
        let now = Instant::now();
        let mut bucket = TokenBucket::new(100.0, now);
        assert_eq!(bucket.take(5.0, now), Duration::ZERO);
        assert_eq!(bucket.take(100.0, now), Duration::from_secs(1));
        bucket.give_back(100.0);
        assert_eq!(bucket.take(1.0, now), Duration::from_millis(10));
        bucket.set_rate(1000.0, now);
        assert_eq!(bucket.take(9.0, now), Duration::from_millis(10));
    }

    #[test]
    fn who_waits_can_be_called_off() {
        let limits = RateLimits::new(Some(1.0), None);
        let cancel = Cancel::new();
        assert!(limits.wait(0, &cancel));
        std::thread::scope(|scope| {
            scope.spawn(|| assert!(!limits.wait(0, &cancel)));
            std::thread::sleep(Duration::from_millis(10));
            cancel.cancel();
        });
    }

    #[test]
    fn no_rate_lets_nothing_through() {
        let now = Instant::now();
        for rate in [0.0, -1.0, f64::NAN] {
            let mut bucket = TokenBucket::new(rate, now);
            assert_eq!(bucket.take(1.0, now), Duration::ZERO);
            assert_eq!(bucket.take(1.0, now), Duration::MAX);
        }
    }
}
