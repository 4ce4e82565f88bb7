//! Predictions of what comes next, learned beside ingestion and never in its way.
//!
//! The writer hands batches over when they are on disk. A thread of its own learns from them, with a tenth of a core at most;
//! what comes faster than that is left out, and counted. What was learned is written beside the index every few minutes and at the
//! end: a crash loses those minutes, which new events teach again.

use crate::{
    Metrics, Query, ServiceError,
    habits::{self, Guess, Habits},
};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use prefix_indexer_models::{EventBatch, KeyPolicy, PrefixKey, PrefixRecommendation};
use prefix_indexer_storage::{IndexStore, StorageError, View};
use serde::Serialize;
use smol_str::SmolStr;
use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Name and format version among an index's side files: MessagePack of [`Habits`], or nothing.
const SIDE_FILE: (&str, u32) = ("habits", 2);

/// Bytes of batches that may wait to be learned from.
const WAITING: usize = 16 << 20;

/// Requests learned from at a time: as long as a question may have to wait.
const SLICE: usize = 32;

/// The thread rests so many times as long as it works.
const RESTS: u32 = 9;

/// How often what was learned is written down.
const WRITTEN_EVERY: Duration = Duration::from_secs(300);

/// Prefix ids that one answer names.
const MOST_NAMES: usize = 10_000;

/// Who asks what comes next.
#[derive(Debug, Clone, Copy)]
pub enum PredictAfter<'a> {
    /// A session, by its last requests; none for the requests that name no session.
    Session(Option<&'a str>),
    /// Anybody, after requests for these prefixes of a model, oldest first.
    Prefixes {
        /// Their model.
        model_id: &'a str,
        /// Their ids.
        prefix_ids: &'a [String],
    },
}

/// A prefix that a next request may go on from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PredictedPrefix {
    /// How probable that is, 0 to 1; all prefixes together have at most 1.
    pub probability: f64,
    /// The blocks that are always used together, root first; the last one is the prefix. What comes before them is the
    /// parent's affair.
    pub run: Vec<SmolStr>,
    /// The prefix.
    #[serde(flatten)]
    pub prefix: PrefixRecommendation,
}

/// Learns on a thread of its own. Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Predictor {
    shared: Arc<Shared>,
    /// `None` while it ends.
    queue: Option<Sender<EventBatch>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread, the writer and those who ask have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    habits: Mutex<Habits>,
    policy: KeyPolicy,
    waiting: AtomicUsize,
    ending: AtomicBool,
    /// To be put beside the index.
    written: Mutex<Option<Vec<u8>>>,
    metrics: Arc<Metrics>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic leaves counts that are right or one short.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Predictor {
    /// Goes on from what was kept with an index. What cannot be read is learned anew.
    pub(crate) fn start(store: &dyn IndexStore, metrics: Arc<Metrics>) -> Predictor {
        let habits = load(store).unwrap_or_else(|reason| {
            tracing::warn!(reason, "what was learned about next requests cannot be read; learning begins anew");
            Habits::default()
        });
        let shared = Arc::new(Shared {
            habits: Mutex::new(habits),
            policy: store.spec().key_policy,
            waiting: AtomicUsize::new(0),
            ending: AtomicBool::new(false),
            written: Mutex::new(None),
            metrics,
        });
        // Bounded by bytes: see `offer`.
        let (queue, batches) = unbounded();
        let learner = Arc::clone(&shared);
        let thread = std::thread::spawn(move || learner.run(&batches));
        Predictor { shared, queue: Some(queue), thread: Some(thread) }
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Hands a batch over, if there is room. Never waits.
    pub(crate) fn offer(&self, events: EventBatch) {
        let Shared { waiting, metrics, .. } = &*self.shared;
        let bytes = events.memory_bytes();
        let Some(queue) = self.queue.as_ref().filter(|_| waiting.load(Ordering::Relaxed) + bytes <= WAITING) else {
            return metrics.not_learned_from(events.len() as u64);
        };
        waiting.fetch_add(bytes, Ordering::Relaxed);
        if let Err(refused) = queue.send(events) {
            metrics.not_learned_from(refused.0.len() as u64);
        }
    }

    /// Puts what is to be written down beside the index, durable with its next flush. Whether there was anything.
    pub(crate) fn keep(&self, store: &mut dyn IndexStore) -> Result<bool, StorageError> {
        let Some(bytes) = lock(&self.shared.written).take() else { return Ok(false) };
        store.put_side(SIDE_FILE.0, SIDE_FILE.1, &bytes)?;
        Ok(true)
    }

    /// Learns what waits, ends, and has it all written down.
    pub(crate) fn finish(&mut self) {
        self.shared.ending.store(true, Ordering::Relaxed);
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Drop for Predictor {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Shared {
    fn run(&self, batches: &Receiver<EventBatch>) {
        let (mut changed, mut next_write) = (false, Instant::now() + WRITTEN_EVERY);
        loop {
            match batches.recv_deadline(next_write) {
                Ok(events) => {
                    self.learn(&events);
                    changed = true;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if Instant::now() >= next_write {
                if mem::take(&mut changed) {
                    self.write();
                }
                next_write = Instant::now() + WRITTEN_EVERY;
            }
        }
        if changed {
            self.write();
        }
    }

    fn learn(&self, events: &EventBatch) {
        let mut slice = Vec::with_capacity(SLICE);
        let mut started = Instant::now();
        habits::requests(self.policy, events, |request| {
            slice.push(request);
            if slice.len() == SLICE {
                self.observe(&mut slice);
                self.rest_since(&mut started);
            }
        });
        self.observe(&mut slice);
        self.rest_since(&mut started);
        self.waiting.fetch_sub(events.memory_bytes(), Ordering::Relaxed);
        self.metrics.learned_from(events.len() as u64);
    }

    fn observe(&self, requests: &mut Vec<habits::Request<'_>>) {
        let mut habits = lock(&self.habits);
        requests.drain(..).for_each(|request| habits.observe(&request));
    }

    fn rest_since(&self, started: &mut Instant) {
        if !self.ending.load(Ordering::Relaxed) {
            std::thread::sleep(started.elapsed() * RESTS);
        }
        *started = Instant::now();
    }

    fn write(&self) {
        let bytes = rmp_serde::to_vec(&*lock(&self.habits));
        match bytes {
            Ok(bytes) => *lock(&self.written) = Some(bytes),
            Err(error) => tracing::error!(%error, "what was learned about next requests was not written"),
        }
    }

    /// The likeliest prefixes that a tenant's next request goes on from, most probable first.
    pub(crate) fn predict(
        &self,
        view: &View,
        tenant: &str,
        model_id: Option<&str>,
        after: PredictAfter<'_>,
        top_k: usize,
    ) -> Result<Vec<PredictedPrefix>, ServiceError> {
        let guesses = match after {
            PredictAfter::Session(session) => lock(&self.habits).after_session(tenant, session),
            PredictAfter::Prefixes { model_id, prefix_ids } => {
                let names: Vec<PrefixKey> =
                    prefix_ids.iter().map(|prefix_id| habits::name(tenant, model_id, prefix_id)).collect();
                lock(&self.habits).after_prefixes(tenant, &names)
            }
        };
        let mut found: Vec<PredictedPrefix> = Vec::new();
        let mut names = 0;
        for guess in guesses {
            if found.len() >= top_k || names >= MOST_NAMES {
                break;
            }
            let Some(predicted) = predicted(view, &guess)? else { continue };
            if model_id.is_none_or(|model_id| model_id == predicted.prefix.model_id) {
                names += predicted.run.len();
                found.push(predicted);
            }
        }
        Ok(found)
    }
}

/// The names of a guess, as far as the index still has its prefixes.
fn predicted(view: &View, guess: &Guess) -> Result<Option<PredictedPrefix>, ServiceError> {
    let mut last = None;
    let mut run = Vec::with_capacity(guess.run.len());
    for key in guess.run.iter().take(MOST_NAMES) {
        if let Some(row) = view.get(key)? {
            run.push(SmolStr::from(row.prefix_id()));
            last = Some(row);
        }
    }
    let rung = Query::default().rung(&view.spec().ladder)?;
    let prefix = last.map(|row| row.recommend(rung, view.newest_ms()));
    Ok(prefix.map(|prefix| PredictedPrefix { probability: guess.probability, run, prefix }))
}

fn load(store: &dyn IndexStore) -> Result<Habits, String> {
    match store.side(SIDE_FILE.0).map_err(|error| error.to_string())? {
        Some((version, bytes)) if version == SIDE_FILE.1 && !bytes.is_empty() => {
            rmp_serde::from_slice(&bytes).map_err(|error| error.to_string())
        }
        _ => Ok(Habits::default()),
    }
}

/// Removes what was learned of anybody: digests cannot be told apart by tenant or model.
pub(crate) fn forget(store: &mut dyn IndexStore) -> Result<(), StorageError> {
    match store.side(SIDE_FILE.0)? {
        Some((_, bytes)) if !bytes.is_empty() => store.put_side(SIDE_FILE.0, SIDE_FILE.1, b""),
        _ => Ok(()),
    }
}
