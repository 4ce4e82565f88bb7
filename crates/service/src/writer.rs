//! The one thread that changes a store.
//!
//! A group of batches is acknowledged when it is on disk. Ranking it for queries costs more than a sync, and hardly more for
//! several groups than for one, so that waits for a pause, though not for long.

use crate::{
    FeedbackLedger, IndexerOptions, Metrics, Outcome, TelemetrySink, measure,
    predictor::{self, Predictor},
};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use prefix_indexer_analytics::PlanPrecision;
use prefix_indexer_storage::{Appended, Batch, IndexStore, StorageError};
use std::{
    any::Any,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Events that one group commit takes at most, so that the first batch does not wait long for the last.
const GROUP_EVENTS: usize = 64 * 1024;

/// How long what is on disk may wait before queries see it, beside the time to rank it.
const SHOWN_WITHIN: Duration = Duration::from_millis(50);

/// As many times as long as ranking took the last time a busy writer goes on before it ranks again: ranking takes a tenth of its
/// time at most. It costs hardly more for many events than for some, since the same prefixes come again.
const SHOWING: u32 = 9;

/// A queue that stays empty for this long is a pause.
const PAUSE: Duration = Duration::from_micros(500);

/// Whom to tell about a batch.
pub(crate) struct Reply {
    /// Called when the batch is on disk, or cannot be.
    pub(crate) answer: Box<dyn FnOnce(Result<Appended, Arc<StorageError>>) + Send>,
    /// Dropped when queries see it.
    pub(crate) show: Option<Box<dyn Any + Send>>,
}

pub(crate) type Run = Box<dyn FnOnce(&mut dyn IndexStore) + Send>;

pub(crate) struct Append {
    pub(crate) batch: Batch,
    pub(crate) reply: Option<Reply>,
}

pub(crate) enum Command {
    Append(Box<Append>),
    Run(Run),
}

pub(crate) struct Writer {
    store: Box<dyn IndexStore>,
    commands: Receiver<Command>,
    metrics: Arc<Metrics>,
    flush_interval: Duration,
    max_future: Option<Duration>,
    telemetry: Vec<Box<dyn TelemetrySink>>,
    predictor: Option<Predictor>,
    /// Whether the log holds what segments do not.
    dirty: bool,
    /// Appended, and not yet shown to queries.
    unseen: Option<Unseen>,
    /// How long it took to show what was shown last.
    showing: Duration,
    /// Age of the newest event of the newest group when it was counted.
    lag_ms: Option<u64>,
}

struct Unseen {
    /// When it is to be shown, whatever comes.
    latest: Instant,
    /// When it is to be shown if nothing comes.
    after_pause: Instant,
    waiting: Vec<Box<dyn Any + Send>>,
}

impl Writer {
    pub(crate) fn new(
        store: Box<dyn IndexStore>,
        commands: Receiver<Command>,
        metrics: Arc<Metrics>,
        options: IndexerOptions,
    ) -> Writer {
        let IndexerOptions { flush_interval, max_future, telemetry, predict, .. } = options;
        let dirty = store.status().log_bytes > 0;
        let predictor = predict.then(|| Predictor::start(store.as_ref(), metrics.clone()));
        Writer {
            store,
            commands,
            metrics,
            flush_interval,
            max_future,
            telemetry,
            predictor,
            dirty,
            unseen: None,
            showing: Duration::ZERO,
            lag_ms: None,
        }
    }

    pub(crate) fn predictions(&self) -> Option<Arc<predictor::Shared>> {
        self.predictor.as_ref().map(Predictor::shared)
    }

    pub(crate) fn run(mut self) {
        self.metrics.observe(&self.store.status());
        let mut next_flush = Instant::now() + self.flush_interval;
        loop {
            let deadline = self.unseen.as_ref().map_or(next_flush, |unseen| next_flush.min(unseen.after_pause));
            match self.commands.recv_deadline(deadline) {
                Ok(command) => self.take(command),
                Err(RecvTimeoutError::Timeout) => self.show(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let now = Instant::now();
            if self.unseen.as_ref().is_some_and(|unseen| now >= unseen.latest) {
                self.show();
            }
            if now >= next_flush {
                self.flush();
                self.report();
                next_flush = Instant::now() + self.flush_interval;
            }
        }
        if let Some(predictor) = &mut self.predictor {
            predictor.finish();
        }
        self.flush();
        self.report();
    }

    /// Handles a command and what has queued up behind it.
    fn take(&mut self, first: Command) {
        let mut next = Some(first);
        while let Some(command) = next.take() {
            match command {
                Command::Run(run) => {
                    self.show();
                    run(self.store.as_mut());
                    self.dirty = true;
                }
                Command::Append(append) => next = self.append_group(*append),
            }
        }
        self.metrics.queue_depth(self.commands.len());
        self.metrics.observe(&self.store.status());
    }

    /// Appends a batch and those behind it with one sync; returns the command that ended the group.
    fn append_group(&mut self, first: Append) -> Option<Command> {
        let mut events = first.batch.events.len();
        let (mut batches, mut replies) = (vec![first.batch], vec![first.reply]);
        let mut next = None;
        while events < GROUP_EVENTS
            && let Ok(command) = self.commands.try_recv()
        {
            match command {
                Command::Append(append) => {
                    events += append.batch.events.len();
                    batches.push(append.batch);
                    replies.push(append.reply);
                }
                other => {
                    next = Some(other);
                    break;
                }
            }
        }
        self.refuse_future(&mut batches);
        let started = Instant::now();
        match self.store.append(&batches) {
            Ok(outcomes) => {
                self.dirty = true;
                let newest = batches.iter().flat_map(|batch| batch.events.timestamps_ms()).max();
                self.lag_ms = newest.map(|&newest_ms| wall_clock_ms().saturating_sub(newest_ms)).or(self.lag_ms);
                self.metrics.appended(started.elapsed(), &outcomes);
                let now = Instant::now();
                let unseen = self.unseen.get_or_insert_with(|| Unseen {
                    latest: now + SHOWN_WITHIN.max(SHOWING * self.showing),
                    after_pause: now,
                    waiting: Vec::new(),
                });
                unseen.after_pause = now + PAUSE;
                for (reply, &outcome) in replies.into_iter().zip(&outcomes) {
                    if let Some(Reply { answer, show }) = reply {
                        answer(Ok(outcome));
                        unseen.waiting.extend(show);
                    }
                }
                if let Some(predictor) = &self.predictor {
                    let counted = batches.into_iter().zip(outcomes).filter(|(_, outcome)| outcome.events > 0);
                    counted.for_each(|(batch, _)| predictor.offer(batch.events));
                }
            }
            Err(error) => {
                tracing::error!(%error, batches = batches.len(), "batches were not written");
                self.metrics.rejected_failed(batches.iter().map(|batch| batch.events.len() as u64).sum());
                let error = Arc::new(error);
                replies.into_iter().flatten().for_each(|reply| (reply.answer)(Err(error.clone())));
            }
        }
        next
    }

    /// Shows queries what was appended, and says so to those who wait for it.
    fn show(&mut self) {
        if let Some(unseen) = self.unseen.take() {
            let started = Instant::now();
            if let Err(error) = self.store.publish() {
                tracing::error!(%error, "what was appended is durable, but not shown before the next flush");
            }
            self.showing = started.elapsed();
            drop(unseen);
        }
    }

    /// One wrong clock must not silence everything else: `now` is never earlier than the newest event.
    fn refuse_future(&self, batches: &mut [Batch]) {
        let Some(max_future) = self.max_future else { return };
        let ahead_ms = u64::try_from(max_future.as_millis()).unwrap_or(u64::MAX);
        let latest_ms = wall_clock_ms().saturating_add(ahead_ms);
        for batch in batches {
            let before = batch.events.len();
            if batch.events.timestamps_ms().iter().any(|&time| time > latest_ms) {
                batch.events.retain(|event| event.timestamp_ms <= latest_ms);
                self.metrics.rejected_future((before - batch.events.len()) as u64);
            }
        }
    }

    fn flush(&mut self) {
        if let Some(predictor) = &self.predictor {
            match predictor.keep(self.store.as_mut()) {
                Ok(kept) => self.dirty |= kept,
                Err(error) => tracing::error!(%error, "what was learned about next requests was not written"),
            }
        }
        if self.dirty {
            match self.store.flush() {
                Ok(()) => (self.dirty, self.unseen) = (false, None),
                Err(error) => tracing::error!(%error, "flushing failed; everything acknowledged stays in the log"),
            }
        }
    }

    fn report(&mut self) {
        self.show();
        let status = self.store.status();
        self.metrics.observe(&status);
        if self.telemetry.is_empty() {
            return;
        }
        let now_ms = wall_clock_ms();
        let plans = FeedbackLedger::load(self.store.as_ref()).map(|ledger| precision(&ledger)).unwrap_or_default();
        match measure(&status, &self.store.reader().view(), now_ms, self.lag_ms, plans) {
            Ok(metrics) => self.telemetry.iter_mut().for_each(|sink| sink.record(&metrics)),
            Err(error) => tracing::error!(%error, "the index could not be measured"),
        }
    }
}

fn precision(ledger: &FeedbackLedger) -> PlanPrecision {
    let totals = ledger.totals();
    let count = |outcome| totals.get(&outcome).map_or(0, |count| count.prefixes);
    let unused = count(Outcome::Wasted) + count(Outcome::Late) + count(Outcome::Evicted);
    PlanPrecision { used: count(Outcome::Used), unused }
}

fn wall_clock_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
