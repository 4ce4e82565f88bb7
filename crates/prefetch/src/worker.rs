//! Threads that empty a queue.

use crate::{Attempts, Cancel, Outcome, PrefetchError, PrefetchQueue, PrefetchRequest, PrefetchStats};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Release},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Threads of a pool unless it is told otherwise.
pub const DEFAULT_WORKERS: usize = 2;
/// Requests a second of all of them unless it is told otherwise.
pub const DEFAULT_REQUESTS_PER_SECOND: f64 = 10.0;

/// How long a fetch that was called off has to end.
const GRACE: Duration = Duration::from_secs(1);

/// Hears of each request that is done with, on the thread that did it.
pub type OnOutcome = Arc<dyn Fn(&PrefetchRequest, &Outcome) + Send + Sync>;

/// A pool of threads that take requests from a queue and fetch them. Dropping it calls off what is under way and waits for
/// the threads.
pub struct PrefetchWorker {
    queue: Arc<PrefetchQueue>,
    attempts: Arc<Attempts>,
    /// Take nothing more.
    stopping: Arc<AtomicBool>,
    /// End what is under way.
    cancel: Cancel,
    threads: Vec<JoinHandle<()>>,
    /// Nothing is ever sent: it closes once every thread has ended.
    ended: Receiver<()>,
}

/// What a stop found under way, and left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StopReport {
    /// Requests under way that came to an end of their own within the time-out.
    pub finished: u64,
    /// Requests under way that were called off.
    pub cancelled: u64,
    /// Requests under way in a fetcher that did not heed the signal; their threads were left behind.
    pub stuck: u64,
    /// Requests that stay in the queue.
    pub queued: usize,
}

impl PrefetchWorker {
    /// Starts `threads` threads, at least one.
    ///
    /// # Errors
    /// [`PrefetchError::Thread`] when the system has no more; those that were started end.
    pub fn start(
        queue: Arc<PrefetchQueue>,
        attempts: Arc<Attempts>,
        threads: usize,
        on_outcome: Option<OnOutcome>,
    ) -> Result<PrefetchWorker, PrefetchError> {
        let (alive, ended) = bounded(0);
        let mut worker = PrefetchWorker {
            queue,
            attempts,
            stopping: Arc::default(),
            cancel: Cancel::new(),
            threads: Vec::with_capacity(threads),
            ended,
        };
        for number in 0..threads.max(1) {
            let run = worker.thread(alive.clone(), on_outcome.clone());
            let spawned = std::thread::Builder::new().name(format!("prefetch-{number}")).spawn(run);
            worker.threads.push(spawned.map_err(|error| PrefetchError::Thread(Arc::new(error)))?);
        }
        Ok(worker)
    }

    fn thread(&self, alive: Sender<()>, on_outcome: Option<OnOutcome>) -> impl FnOnce() + Send + 'static {
        let (queue, attempts) = (Arc::clone(&self.queue), Arc::clone(&self.attempts));
        let (stopping, cancel) = (Arc::clone(&self.stopping), self.cancel.clone());
        move || {
            let _alive = alive;
            while let Some(request) = queue.get_unless(Duration::MAX, &stopping) {
                let outcome = attempts.run(&request, &cancel);
                if let Some(tell) = &on_outcome {
                    tell(&request, &outcome);
                }
            }
        }
    }

    /// Whether its threads take requests.
    pub fn is_running(&self) -> bool {
        self.threads.iter().any(|thread| !thread.is_finished())
    }

    /// Counts since the start; those of the queue that it dropped as expired among them.
    pub fn stats(&self) -> PrefetchStats {
        let dropped = self.queue.stats().expired;
        let stats = self.attempts.stats();
        PrefetchStats { processed: stats.processed + dropped, expired: stats.expired + dropped, ..stats }
    }

    /// Takes nothing more, waits up to `timeout` for what is under way, and calls off the rest. Requests in the queue stay there.
    pub fn stop(mut self, timeout: Duration) -> StopReport {
        self.end(timeout)
    }

    fn end(&mut self, timeout: Duration) -> StopReport {
        let before = self.attempts.stats();
        self.stopping.store(true, Release);
        self.queue.wake_all();
        let all_ended = timeout > Duration::ZERO && self.wait(timeout);
        if !all_ended {
            self.cancel.cancel();
        }
        let all_ended = all_ended || self.wait(GRACE);
        for thread in self.threads.drain(..).filter(|thread| all_ended || thread.is_finished()) {
            // A fetcher's panic was an error of its request; a panic of a listener ended the thread alone.
            drop(thread.join());
        }
        let after = self.attempts.stats();
        let cancelled = after.cancelled - before.cancelled;
        StopReport {
            finished: (after.processed - before.processed).saturating_sub(cancelled),
            cancelled,
            stuck: after.in_flight,
            queued: self.queue.len(),
        }
    }

    /// Whether all threads have ended within `time`.
    fn wait(&self, time: Duration) -> bool {
        let until = Instant::now().checked_add(time);
        let closed = match until {
            Some(until) => self.ended.recv_deadline(until),
            None => self.ended.recv().map_err(RecvTimeoutError::from),
        };
        closed == Err(RecvTimeoutError::Disconnected)
    }
}

impl Drop for PrefetchWorker {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.end(Duration::ZERO);
        }
    }
}

impl std::fmt::Debug for PrefetchWorker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrefetchWorker").field("threads", &self.threads.len()).finish_non_exhaustive()
    }
}
