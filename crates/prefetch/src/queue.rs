//! A bounded queue of requests, the most urgent first, that many threads fill and empty.
//!
//! One lock, one condition variable, nothing else: whoever waits sleeps until there is something for it. The file names its lock through
//! `crate::sync`, so that `tests/queue_models.rs` can compile it once more over loom's and run every interleaving.

use crate::{
    PrefetchRequest, Urgency,
    sync::{AtomicBool, Condvar, Mutex, MutexGuard},
};
use prefix_indexer_cache::Clock;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, PoisonError, atomic::Ordering::Acquire},
    time::{Duration, Instant},
};
use thiserror::Error;

/// Requests that a queue holds unless it is told otherwise.
pub const DEFAULT_CAPACITY: usize = 1_000;

/// A bounded priority queue. Shared by reference between threads.
///
/// ```
/// use prefix_indexer_cache::SystemClock;
/// use prefix_indexer_prefetch::{PrefetchQueue, PrefetchRequest};
/// use std::{sync::Arc, time::Duration};
///
/// let queue = PrefetchQueue::new(1_000, Arc::new(SystemClock));
/// queue.put(PrefetchRequest::for_block("a", 0))?;
/// queue.put(PrefetchRequest::for_block("b", 0).with_priority(7))?;
/// assert_eq!(queue.get(Duration::from_secs(1)).unwrap().cache_key(), "b");
/// let again = queue.put(PrefetchRequest::for_block("a", 0)).unwrap_err();
/// assert_eq!(again.request.cache_key(), "a");
/// # Ok::<(), prefix_indexer_prefetch::Refused>(())
/// ```
pub struct PrefetchQueue {
    state: Mutex<State>,
    filled: Condvar,
    capacity: usize,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct State {
    /// The first one is the next one.
    turns: BTreeMap<Turn, PrefetchRequest>,
    /// Where each request stands.
    places: HashMap<Arc<str>, Turn>,
    arrivals: u64,
    /// Threads that wait: nobody is woken for nothing, a wake-up being a call to the system.
    waiting: usize,
    stats: QueueStats,
}

/// The most urgent first; among equals, those that came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    urgency: Reverse<Urgency>,
    arrival: u64,
}

/// What became of the requests of a queue since it was made.
///
/// `put + raised + duplicates + rejected_full` is the number of calls of [`put`](PrefetchQueue::put), and
/// `put = got + removed + expired + size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct QueueStats {
    /// Requests that were taken in.
    pub put: u64,
    /// Requests that were given out.
    pub got: u64,
    /// Requests given back because the same was queued with no lower priority.
    pub duplicates: u64,
    /// Requests that raised the priority of the same one.
    pub raised: u64,
    /// Requests given back because the queue was full.
    pub rejected_full: u64,
    /// Requests taken out by [`remove`](PrefetchQueue::remove) and [`clear`](PrefetchQueue::clear).
    pub removed: u64,
    /// Requests dropped because they had grown too old.
    pub expired: u64,
}

/// How a request was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It waits.
    Queued,
    /// The same one waited already, and now has this one's priority.
    Raised,
}

/// Why a request was not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The queue is full.
    #[error("the queue is full")]
    Full,
    /// The same one waits already, with no lower priority.
    #[error("it is queued already")]
    Duplicate,
}

/// A request that was not taken in, as it was given.
#[derive(Debug, Clone, Error)]
#[error("{request:?} was not queued: {reason}")]
pub struct Refused {
    /// Why.
    pub reason: Refusal,
    /// What was given.
    pub request: PrefetchRequest,
}

impl PrefetchQueue {
    /// An empty queue for at most `capacity` requests, at least one. The clock says which have grown too old.
    pub fn new(capacity: usize, clock: Arc<dyn Clock>) -> PrefetchQueue {
        PrefetchQueue { state: Mutex::new(State::default()), filled: Condvar::new(), capacity: capacity.max(1), clock }
    }

    /// Takes a request in. If the same one waits already, with a lower priority, that one is raised; its age stays.
    ///
    /// # Errors
    /// [`Refused`] gives the request back.
    #[expect(clippy::result_large_err, reason = "what is not taken is given back as it was")]
    pub fn put(&self, request: PrefetchRequest) -> Result<Accepted, Refused> {
        let mut state = self.lock();
        if let Some(&turn) = state.places.get(request.shared_cache_key()) {
            return self.put_again(&mut state, turn, request);
        }
        if state.turns.len() >= self.capacity {
            state.stats.rejected_full += 1;
            return Err(Refused { reason: Refusal::Full, request });
        }
        state.insert(request);
        state.stats.put += 1;
        let somebody_waits = state.waiting > 0;
        drop(state);
        if somebody_waits {
            self.filled.notify_one();
        }
        Ok(Accepted::Queued)
    }

    #[expect(clippy::result_large_err, reason = "as of put")]
    fn put_again(&self, state: &mut State, turn: Turn, request: PrefetchRequest) -> Result<Accepted, Refused> {
        let now_ms = self.clock.now_ms();
        let is_stale = state.turns.get(&turn).is_some_and(|waiting| waiting.is_expired(now_ms));
        let is_higher = state.turns.get(&turn).is_some_and(|waiting| waiting.priority < request.priority);
        if !is_stale && !is_higher {
            state.stats.duplicates += 1;
            return Err(Refused { reason: Refusal::Duplicate, request });
        }
        let Some(waiting) = state.take(&turn) else { return Err(Refused { reason: Refusal::Duplicate, request }) };
        if is_stale {
            state.stats.expired += 1;
            state.stats.put += 1;
            state.insert(request);
            return Ok(Accepted::Queued);
        }
        state.stats.raised += 1;
        state.insert(waiting.with_priority(request.priority));
        Ok(Accepted::Raised)
    }

    /// The most urgent request; waits for one for at most `timeout`. Those that have grown too old are dropped.
    pub fn get(&self, timeout: Duration) -> Option<PrefetchRequest> {
        self.get_unless(timeout, &AtomicBool::new(false))
    }

    /// As [`get`](Self::get), and gives up once `stop` is set and [`wake_all`](Self::wake_all) called: then nothing is given
    /// out, even if something is there.
    pub fn get_unless(&self, timeout: Duration, stop: &AtomicBool) -> Option<PrefetchRequest> {
        let until = Instant::now().checked_add(timeout);
        let mut state = self.lock();
        loop {
            if stop.load(Acquire) {
                return None;
            }
            if let Some(request) = self.next(&mut state) {
                return Some(request);
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return None;
            }
            state.waiting += 1;
            state = match left {
                Some(left) => self.filled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.filled.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
            state.waiting -= 1;
        }
    }

    /// Wakes all who wait in vain. Whoever sets a flag for [`get_unless`](Self::get_unless) calls this after.
    pub fn wake_all(&self) {
        // Whoever saw the flag unset under the lock is waiting by now.
        drop(self.lock());
        self.filled.notify_all();
    }

    fn next(&self, state: &mut State) -> Option<PrefetchRequest> {
        let mut now_ms = None;
        loop {
            let (_, request) = state.turns.pop_first()?;
            state.places.remove(request.shared_cache_key());
            // Most requests live for ever, and need no clock.
            if request.max_age.is_some() && request.is_expired(*now_ms.get_or_insert_with(|| self.clock.now_ms())) {
                state.stats.expired += 1;
                continue;
            }
            state.stats.got += 1;
            return Some(request);
        }
    }

    /// Takes out the requests to `endpoint`, whatever their parameters, and says how many. Looks at each request that waits.
    pub fn remove(&self, endpoint: &str) -> usize {
        let mut state = self.lock();
        let turns: Vec<Turn> =
            state.turns.iter().filter(|(_, request)| request.endpoint() == endpoint).map(|(turn, _)| *turn).collect();
        for turn in &turns {
            state.take(turn);
        }
        state.stats.removed += turns.len() as u64;
        turns.len()
    }

    /// Takes out all requests, and says how many.
    pub fn clear(&self) -> usize {
        let mut state = self.lock();
        let count = state.turns.len();
        state.turns.clear();
        state.places.clear();
        state.stats.removed += count as u64;
        count
    }

    /// Whether the request to `endpoint` with these parameters, in any order, waits. O(1).
    pub fn contains<N: Into<String>, V: Into<String>>(
        &self,
        endpoint: &str,
        params: impl IntoIterator<Item = (N, V)>,
    ) -> bool {
        let key = PrefetchRequest::new(endpoint, params, 0);
        self.lock().places.contains_key(key.cache_key())
    }

    /// Requests that wait.
    pub fn len(&self) -> usize {
        self.lock().turns.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether no more are taken in.
    pub fn is_full(&self) -> bool {
        self.len() >= self.capacity
    }

    /// The most requests that may wait.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Counts since the queue was made.
    pub fn stats(&self) -> QueueStats {
        self.lock().stats
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn insert(&mut self, request: PrefetchRequest) {
        let turn = Turn { urgency: Reverse(request.urgency()), arrival: self.arrivals };
        self.arrivals += 1;
        self.places.insert(Arc::clone(request.shared_cache_key()), turn);
        self.turns.insert(turn, request);
    }

    fn take(&mut self, turn: &Turn) -> Option<PrefetchRequest> {
        let request = self.turns.remove(turn)?;
        self.places.remove(request.shared_cache_key());
        Some(request)
    }
}

impl fmt::Debug for PrefetchQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrefetchQueue")
            .field("len", &self.len())
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}
