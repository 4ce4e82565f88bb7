//! When to try again, and when to leave a failing place alone. Pure: times are arguments, chance is seeded.

use std::time::{Duration, Instant};

/// How often a failed fetch is tried again, and after what wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries after the first. Default 3.
    pub retries: u32,
    /// Wait before the first of them; each next one doubles it. Default 100 ms.
    pub base: Duration,
    /// No wait is longer. Default 10 s.
    pub most: Duration,
    /// Same seed, same waits.
    pub seed: u64,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy { retries: 3, base: Duration::from_millis(100), most: Duration::from_secs(10), seed: 0 }
    }
}

impl RetryPolicy {
    /// The wait before the `retry`-th further try (from 0) of what `key` names: between a half and all of
    /// `base * 2^retry`, so that those that failed together do not come back together.
    pub fn wait(&self, key: &str, retry: u32) -> Duration {
        let whole = self.base.saturating_mul(1_u32.checked_shl(retry).unwrap_or(u32::MAX)).min(self.most);
        let chance = mix(self.seed ^ mix(hash(key) ^ u64::from(retry)));
        whole.mul_f64(0.5 + (chance >> 11) as f64 / (1_u64 << 54) as f64)
    }
}

/// FNV-1a: the same in every process.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
pub(crate) fn mix(seed: u64) -> u64 {
    let seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ (seed >> 31)
}

/// When a pool stops asking a place that only fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Failures in a row after which it opens. Default 5.
    pub max_failures: u32,
    /// How long it is open the first time; each time the one try that is then let through fails too, twice as long. Default 500 ms.
    pub first: Duration,
    /// It is never open for longer at a time. Default 30 s.
    pub most: Duration,
}

impl Default for BreakerConfig {
    fn default() -> BreakerConfig {
        BreakerConfig { max_failures: 5, first: Duration::from_millis(500), most: Duration::from_secs(30) }
    }
}

/// A circuit breaker: after failures in a row nobody goes on for a while, then one tries.
#[derive(Debug, Clone)]
pub struct Breaker {
    config: BreakerConfig,
    failures: u32,
    open_for: Duration,
    /// Set while it is open.
    try_at: Option<Instant>,
    /// Whether one has been let through since it opened, and has not come back.
    trying: bool,
}

impl Breaker {
    /// A closed one.
    pub fn new(config: BreakerConfig) -> Breaker {
        Breaker { config, failures: 0, open_for: Duration::ZERO, try_at: None, trying: false }
    }

    /// How long to wait before asking again whether to go on; zero lets the caller go on. While it is open it lets one
    /// through a window, and moves the window on for the others.
    pub fn admit(&mut self, now: Instant) -> Duration {
        let Some(try_at) = self.try_at else { return Duration::ZERO };
        let left = try_at.saturating_duration_since(now);
        if left.is_zero() {
            self.try_at = now.checked_add(self.open_for);
            self.trying = true;
        }
        left
    }

    /// A fetch reached the place.
    pub fn succeeded(&mut self) {
        *self = Breaker::new(self.config);
    }

    /// A fetch did not.
    pub fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        // Those that were under way when it opened say nothing new.
        let is_late = self.try_at.is_some() && !self.trying;
        if self.failures >= self.config.max_failures && !is_late {
            self.trying = false;
            self.open_for =
                if self.open_for.is_zero() { self.config.first } else { (self.open_for * 2).min(self.config.most) };
            self.try_at = now.checked_add(self.open_for);
        }
    }

    /// Failures since the last success.
    pub fn consecutive_failures(&self) -> u32 {
        self.failures
    }

    /// How long it is open at a time; zero while closed.
    pub fn back_off(&self) -> Duration {
        self.open_for
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_with_jitter_and_are_the_same_for_the_same_seed() {
        let policy = RetryPolicy::default();
        for retry in 0..40 {
            let whole = Duration::from_millis(100 << retry.min(20)).min(policy.most);
            let wait = policy.wait("key", retry);
            assert!(wait >= whole / 2 && wait <= whole, "{retry}: {wait:?}");
            assert_eq!(wait, policy.wait("key", retry));
        }
        assert_ne!(policy.wait("a", 0), policy.wait("b", 0));
        assert_ne!(policy.wait("a", 0), RetryPolicy { seed: 1, ..policy }.wait("a", 0));
    }

    #[test]
    fn the_breaker_opens_lets_one_try_and_backs_off() {
        let config = BreakerConfig { max_failures: 3, first: Duration::from_secs(1), most: Duration::from_secs(3) };
        let mut breaker = Breaker::new(config);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        (0..2).for_each(|_| breaker.failed(start));
        assert_eq!(breaker.admit(start), Duration::ZERO);
        breaker.failed(start);
        assert_eq!((breaker.admit(start), breaker.consecutive_failures()), (Duration::from_secs(1), 3));
        assert_eq!(breaker.admit(at(1)), Duration::ZERO);
        assert_eq!(breaker.admit(at(1)), Duration::from_secs(1), "one at a time");
        breaker.failed(at(1));
        assert_eq!((breaker.back_off(), breaker.admit(at(1))), (Duration::from_secs(2), Duration::from_secs(2)));
        breaker.failed(at(2));
        assert_eq!(breaker.back_off(), Duration::from_secs(2), "one that was under way");
        assert_eq!(breaker.admit(at(3)), Duration::ZERO);
        breaker.failed(at(3));
        assert_eq!(breaker.back_off(), Duration::from_secs(3));
        breaker.succeeded();
        assert_eq!((breaker.admit(at(6)), breaker.back_off()), (Duration::ZERO, Duration::ZERO));
    }
}
