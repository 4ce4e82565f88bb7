//! One request from the moment it is taken to what becomes of it: limits, tries, breaker, counts. The threads of any pool share one.

use crate::{
    Breaker, BreakerConfig, Cancel, Destination, Dress, FetchCtx, Fetched, Fetcher, PrefetchError, PrefetchMetrics,
    PrefetchRequest, PrefetchStats, RateLimits, RetryPolicy,
};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// How requests are fetched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FetchPolicy {
    /// How long one try may take. Default 5 s.
    pub deadline: Duration,
    /// Requests a second of all threads together; `None`: no limit.
    pub max_requests_per_second: Option<f64>,
    /// Bytes a second of all threads together; `None`: no limit.
    pub max_bytes_per_second: Option<u64>,
    /// When a failed fetch is tried again.
    pub retry: RetryPolicy,
    /// When the source is left alone.
    pub breaker: BreakerConfig,
    /// How long a source that does not answer is waited for before its requests count as failed, since it last answered. Default 0:
    /// such a request fails after its retries, as any other.
    pub patience: Duration,
}

impl Default for FetchPolicy {
    fn default() -> FetchPolicy {
        FetchPolicy {
            deadline: Duration::from_secs(5),
            max_requests_per_second: None,
            max_bytes_per_second: None,
            retry: RetryPolicy::default(),
            breaker: BreakerConfig::default(),
            patience: Duration::ZERO,
        }
    }
}

/// What became of a request.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Fetched and stored.
    Fetched {
        /// Bytes of the value.
        bytes: u64,
    },
    /// There already.
    Resident,
    /// Not there where it was fetched from.
    Missing,
    /// Too old to be worth it.
    Expired,
    /// Given up on.
    Failed(PrefetchError),
    /// Called off.
    Cancelled,
}

/// Fetches requests within limits; see [`FetchPolicy`].
pub struct Attempts {
    fetcher: Arc<dyn Fetcher>,
    destination: Option<Arc<dyn Destination>>,
    dress: Dress,
    policy: FetchPolicy,
    limits: RateLimits,
    breaker: Mutex<Breaker>,
    metrics: PrefetchMetrics,
    started: Instant,
    /// Milliseconds from the start to when the source last answered.
    answered_ms: AtomicU64,
}

impl Attempts {
    /// Fetches with `fetcher`. A `destination` is asked first whether it has the thing already, and gets the values that the
    /// fetcher does not put away itself.
    pub fn new(
        fetcher: Arc<dyn Fetcher>,
        destination: Option<Arc<dyn Destination>>,
        dress: Dress,
        policy: FetchPolicy,
    ) -> Attempts {
        Attempts {
            fetcher,
            destination,
            dress,
            limits: RateLimits::new(policy.max_requests_per_second, policy.max_bytes_per_second),
            breaker: Mutex::new(Breaker::new(policy.breaker)),
            policy,
            metrics: PrefetchMetrics::default(),
            started: Instant::now(),
            answered_ms: AtomicU64::new(0),
        }
    }

    /// Fetches, waiting where limits say so; called off by `cancel`. Counts what comes of it.
    pub fn run(&self, request: &PrefetchRequest, cancel: &Cancel) -> Outcome {
        self.metrics.in_flight.fetch_add(1, Relaxed);
        let outcome = self.run_tries(request, cancel);
        let counter = match &outcome {
            Outcome::Fetched { bytes } => {
                self.metrics.bytes.fetch_add(*bytes, Relaxed);
                &self.metrics.succeeded
            }
            Outcome::Resident => &self.metrics.resident,
            Outcome::Missing => &self.metrics.missing,
            Outcome::Expired => &self.metrics.expired,
            Outcome::Failed(error) => {
                tracing::debug!(key = request.cache_key(), %error, "not prefetched");
                &self.metrics.failed
            }
            Outcome::Cancelled => &self.metrics.cancelled,
        };
        counter.fetch_add(1, Relaxed);
        self.metrics.processed.fetch_add(1, Relaxed);
        self.metrics.in_flight.fetch_sub(1, Relaxed);
        outcome
    }

    fn run_tries(&self, request: &PrefetchRequest, cancel: &Cancel) -> Outcome {
        let mut tries = 0;
        loop {
            let error = match self.run_once(request, cancel) {
                Ok(outcome) => return outcome,
                Err(PrefetchError::Cancelled) => return Outcome::Cancelled,
                Err(error) => error,
            };
            let is_outage = matches!(error, PrefetchError::Unavailable | PrefetchError::TimedOut(_));
            let is_waited_for = is_outage && self.silent_for() < self.policy.patience;
            // A try that took all its time was tried enough.
            let is_tried_again = error.is_passing() && !matches!(error, PrefetchError::TimedOut(_));
            if !is_waited_for && (!is_tried_again || tries >= self.policy.retry.retries) {
                return Outcome::Failed(error);
            }
            self.metrics.retried.fetch_add(1, Relaxed);
            if cancel.sleep(self.policy.retry.wait(request.cache_key(), tries)) {
                return Outcome::Cancelled;
            }
            tries += 1;
        }
    }

    fn run_once(&self, request: &PrefetchRequest, cancel: &Cancel) -> Result<Outcome, PrefetchError> {
        self.admit(cancel)?;
        let is_expired = || request.is_expired(self.dress.clock.now_ms());
        if is_expired() {
            return Ok(Outcome::Expired);
        }
        let ctx = || FetchCtx { deadline: Instant::now() + self.policy.deadline, cancel: cancel.clone() };
        if let Some(destination) = &self.destination
            && self.guarded(|| destination.holds(&[request.cache_key()], &ctx()))?.contains(&true)
        {
            return Ok(Outcome::Resident);
        }
        let expected = request.expected_bytes;
        if !self.limits.wait(expected, cancel) {
            return Err(PrefetchError::Cancelled);
        }
        if is_expired() {
            return Ok(Outcome::Expired);
        }
        let (ctx, began) = (ctx(), Instant::now());
        let fetched = self.guarded(|| self.fetcher.fetch(request, &ctx));
        self.metrics.latency.observe(began.elapsed());
        let real = match &fetched {
            Ok(Fetched::Value(entry)) => entry.value.len() as u64,
            Ok(Fetched::Moved { bytes }) => *bytes,
            _ => 0,
        };
        self.limits.correct(expected, real);
        let fetched = fetched?;
        self.lock_breaker().succeeded();
        self.answered_ms.store(self.started.elapsed().as_millis() as u64, Relaxed);
        match (fetched, &self.destination) {
            (Fetched::Value(entry), Some(destination)) => {
                let entry = self.dress.dress(request, entry);
                self.guarded(|| destination.store(request.cache_key(), entry, &ctx))?;
                Ok(Outcome::Fetched { bytes: real })
            }
            // Nobody wants the value: the fetcher had it only to know that it is there.
            (Fetched::Value(_), None) | (Fetched::Moved { .. }, _) => Ok(Outcome::Fetched { bytes: real }),
            (Fetched::Resident, _) => Ok(Outcome::Resident),
            (Fetched::Missing, _) => Ok(Outcome::Missing),
        }
    }

    /// Waits while the source is left alone.
    fn admit(&self, cancel: &Cancel) -> Result<(), PrefetchError> {
        loop {
            let wait = self.lock_breaker().admit(Instant::now());
            let cancelled = if wait.is_zero() { cancel.is_cancelled() } else { cancel.sleep(wait) };
            match (cancelled, wait) {
                (true, _) => return Err(PrefetchError::Cancelled),
                (false, Duration::ZERO) => return Ok(()),
                (false, _) => {}
            }
        }
    }

    /// Calls somebody else's code: a panic is an error, and failures move the breaker.
    fn guarded<T>(&self, call: impl FnOnce() -> Result<T, PrefetchError>) -> Result<T, PrefetchError> {
        let result = catch_unwind(AssertUnwindSafe(call))
            .unwrap_or_else(|panic| Err(PrefetchError::Panicked(message(&*panic).into())));
        if let Err(error) = &result
            && error.is_outage()
        {
            self.lock_breaker().failed(Instant::now());
        }
        result
    }

    fn silent_for(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_millis(self.answered_ms.load(Relaxed)))
    }

    /// Counts so far.
    pub fn stats(&self) -> PrefetchStats {
        let breaker = self.lock_breaker();
        self.metrics.stats(breaker.consecutive_failures(), breaker.back_off())
    }

    /// The limits, which may be changed while it runs.
    pub fn limits(&self) -> &RateLimits {
        &self.limits
    }

    fn lock_breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
}

impl std::fmt::Debug for Attempts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempts").field("policy", &self.policy).finish_non_exhaustive()
    }
}
