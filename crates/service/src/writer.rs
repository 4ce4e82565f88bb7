//! The one thread that changes a store.

use crate::{FeedbackLedger, IndexerOptions, Metrics, Outcome, TelemetrySink, measure};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use prefix_indexer_analytics::PlanPrecision;
use prefix_indexer_storage::{Appended, Batch, IndexStore, StorageError};
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Events that one group commit takes at most, so that the first batch does not wait long for the last.
const GROUP_EVENTS: usize = 64 * 1024;

pub(crate) type Answer = Box<dyn FnOnce(Result<Appended, Arc<StorageError>>) + Send>;
pub(crate) type Run = Box<dyn FnOnce(&mut dyn IndexStore) + Send>;

pub(crate) struct Append {
    pub(crate) batch: Batch,
    pub(crate) answer: Option<Answer>,
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
    /// Whether the log holds what segments do not.
    dirty: bool,
    /// Age of the newest event of the newest group when it was counted.
    lag_ms: Option<u64>,
}

impl Writer {
    pub(crate) fn new(
        store: Box<dyn IndexStore>,
        commands: Receiver<Command>,
        metrics: Arc<Metrics>,
        options: IndexerOptions,
    ) -> Writer {
        let IndexerOptions { flush_interval, max_future, telemetry, .. } = options;
        let dirty = store.status().log_bytes > 0;
        Writer { store, commands, metrics, flush_interval, max_future, telemetry, dirty, lag_ms: None }
    }

    pub(crate) fn run(mut self) {
        self.metrics.observe(&self.store.status());
        let mut next_flush = Instant::now() + self.flush_interval;
        loop {
            match self.commands.recv_deadline(next_flush) {
                Ok(command) => self.take(command),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if Instant::now() >= next_flush {
                self.flush();
                self.report();
                next_flush = Instant::now() + self.flush_interval;
            }
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
        let (mut batches, mut answers) = (vec![first.batch], vec![first.answer]);
        let mut next = None;
        while events < GROUP_EVENTS
            && let Ok(command) = self.commands.try_recv()
        {
            match command {
                Command::Append(append) => {
                    events += append.batch.events.len();
                    batches.push(append.batch);
                    answers.push(append.answer);
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
                // Before the answers, so that whoever has a receipt finds the events in the next query.
                if let Err(error) = self.store.publish() {
                    tracing::error!(%error, "what was appended is durable, but not shown before the next flush");
                }
                for (answer, outcome) in answers.into_iter().zip(outcomes) {
                    if let Some(answer) = answer {
                        answer(Ok(outcome));
                    }
                }
            }
            Err(error) => {
                tracing::error!(%error, batches = batches.len(), "batches were not written");
                self.metrics.rejected_failed(batches.iter().map(|batch| batch.events.len() as u64).sum());
                let error = Arc::new(error);
                answers.into_iter().flatten().for_each(|answer| answer(Err(error.clone())));
            }
        }
        next
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
        if self.dirty {
            match self.store.flush() {
                Ok(()) => self.dirty = false,
                Err(error) => tracing::error!(%error, "flushing failed; everything acknowledged stays in the log"),
            }
        }
    }

    fn report(&mut self) {
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
