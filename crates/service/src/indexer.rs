//! The index as a long-lived thing: many threads hand in events and ask, one thread writes.
//!
//! Ingestion never waits. A batch goes into a bounded queue or comes back; the writer thread takes what has queued up as one
//! group, appends it to the log with one sync, and then answers the receipts of the group. What was appended is ranked and
//! shown to queries at the next pause, or after some 50 milliseconds without one (under full load nine times as long as ranking
//! takes), several groups at once. Queries read an immutable view and meet the writer nowhere.

use crate::{
    Metrics, PredictAfter, PredictedPrefix, Query, ServiceError, TelemetrySink, TryIngestError, predictor,
    writer::{self, Command, Reply, Writer},
};
use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError, bounded};
use prefix_indexer_models::{EventBatch, IndexSpec, PrefixRecommendation};
use prefix_indexer_storage::{Appended, Batch, IndexStore, Reader, StorageError, View};
use std::{
    convert::Infallible,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How an index is run. The defaults suit a server.
pub struct IndexerOptions {
    /// Batches that may wait for the writer; one more is given back.
    pub queue_batches: usize,
    /// How often what the log holds is flushed into segments, for readers in other processes.
    pub flush_interval: Duration,
    /// Events further than this in the future of the wall clock are refused and counted; `None` takes any time.
    pub max_future: Option<Duration>,
    /// Where numbers go at every flush interval.
    pub telemetry: Vec<Box<dyn TelemetrySink>>,
    /// Whether to learn which prefixes follow each other, for [`PrefixIndexer::predict`]: a thread, and some 20 MiB.
    pub predict: bool,
}

impl Default for IndexerOptions {
    fn default() -> IndexerOptions {
        IndexerOptions {
            queue_batches: 1024,
            flush_interval: Duration::from_secs(5),
            max_future: Some(Duration::from_secs(300)),
            telemetry: Vec::new(),
            predict: false,
        }
    }
}

/// A running index. Shared by reference between threads; dropping it drains the queue, flushes and ends the thread.
pub struct PrefixIndexer {
    spec: IndexSpec,
    /// `None` once closed.
    queue: Option<Sender<Command>>,
    reader: Reader,
    metrics: Arc<Metrics>,
    predictions: Option<Arc<predictor::Shared>>,
    thread: Option<JoinHandle<()>>,
}

/// The promise of an answer about one batch.
#[derive(Debug)]
pub struct Receipt {
    answer: Receiver<Result<Appended, Arc<StorageError>>>,
    /// Hung up on when queries see the batch.
    shown: Receiver<Infallible>,
}

impl Receipt {
    /// Waits until the batch is on disk and the next query sees it, and says what became of it.
    ///
    /// # Errors
    /// The write's error; then nothing of the batch was counted.
    pub fn wait(self) -> Result<Appended, ServiceError> {
        let appended = self.wait_durable()?;
        // Nothing ever comes; the wait ends when the writer lets go.
        let _ = self.shown.recv();
        Ok(appended)
    }

    /// Waits until the batch is on disk, and says what became of it. Queries see it at the next pause, at most some 50
    /// milliseconds later (under full load nine times as long as ranking takes), together with what came after it: for those who hand in
    /// one batch after the other, this is several times as fast as [`wait`](Self::wait).
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_durable(&self) -> Result<Appended, ServiceError> {
        match self.answer.recv() {
            Ok(answer) => answer.map_err(ServiceError::Storage),
            Err(_) => Err(ServiceError::Closed),
        }
    }

    /// The answer of [`wait_durable`](Self::wait_durable), if it is there. The answer is given once.
    pub fn try_answer(&self) -> Option<Result<Appended, ServiceError>> {
        match self.answer.try_recv() {
            Ok(answer) => Some(answer.map_err(ServiceError::Storage)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(ServiceError::Closed)),
        }
    }
}

#[expect(clippy::result_large_err, reason = "what is not taken is given back as it was")]
impl PrefixIndexer {
    /// Starts the writer thread of a store.
    pub fn start(store: Box<dyn IndexStore>, options: IndexerOptions) -> PrefixIndexer {
        let (queue, commands) = bounded(options.queue_batches.max(1));
        let (spec, reader) = (store.spec().clone(), store.reader());
        let metrics = Arc::new(Metrics::new());
        let writer = Writer::new(store, commands, metrics.clone(), options);
        let predictions = writer.predictions();
        let thread = std::thread::spawn(move || writer.run());
        PrefixIndexer { spec, queue: Some(queue), reader, metrics, predictions, thread: Some(thread) }
    }

    /// What the index's numbers mean.
    pub fn spec(&self) -> &IndexSpec {
        &self.spec
    }

    /// Hands in valid events and returns at once. They are durable within the time of a group's sync; whoever has
    /// to know asks for a [receipt](Self::try_ingest_durable).
    ///
    /// # Errors
    /// [`TryIngestError`] gives the batch back when the queue is full or the index closed.
    pub fn try_ingest(&self, events: EventBatch) -> Result<(), TryIngestError> {
        self.submit(events.into(), None)
    }

    /// Hands in events and what is to be committed with them, and returns at once with a receipt to wait on.
    ///
    /// # Errors
    /// As [`try_ingest`](Self::try_ingest).
    pub fn try_ingest_durable(&self, batch: Batch) -> Result<Receipt, TryIngestError> {
        let (sender, answer) = bounded(1);
        let (show, shown) = bounded(0);
        let reply = move |outcome| drop(sender.send(outcome));
        self.submit(batch, Some(Reply { answer: Box::new(reply), show: Some(Box::new(show)) }))?;
        Ok(Receipt { answer, shown })
    }

    /// As [`try_ingest_durable`](Self::try_ingest_durable), answering on the writer thread when the batch is on disk: for
    /// callers that must not wait, such as asynchronous ones. `answer` must be quick.
    ///
    /// # Errors
    /// As [`try_ingest`](Self::try_ingest).
    pub fn try_ingest_then(
        &self,
        batch: Batch,
        answer: impl FnOnce(Result<Appended, Arc<StorageError>>) + Send + 'static,
    ) -> Result<(), TryIngestError> {
        self.submit(batch, Some(Reply { answer: Box::new(answer), show: None }))
    }

    /// As [`try_ingest_then`](Self::try_ingest_then); `held` is dropped when queries see the batch, or it cannot be written.
    ///
    /// # Errors
    /// As [`try_ingest`](Self::try_ingest).
    pub fn try_ingest_held(
        &self,
        batch: Batch,
        answer: impl FnOnce(Result<Appended, Arc<StorageError>>) + Send + 'static,
        held: impl Send + 'static,
    ) -> Result<(), TryIngestError> {
        self.submit(batch, Some(Reply { answer: Box::new(answer), show: Some(Box::new(held)) }))
    }

    fn submit(&self, batch: Batch, reply: Option<Reply>) -> Result<(), TryIngestError> {
        let Some(queue) = &self.queue else { return Err(TryIngestError::Closed(batch.events)) };
        let given_back = |command| match command {
            Command::Append(append) => append.batch.events,
            Command::Run(_) => EventBatch::new(),
        };
        match queue.try_send(Command::Append(Box::new(writer::Append { batch, reply }))) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(command)) => {
                self.metrics.rejected_full();
                Err(TryIngestError::Full(given_back(command)))
            }
            Err(TrySendError::Disconnected(command)) => Err(TryIngestError::Closed(given_back(command))),
        }
    }

    /// Runs `work` on the writer thread, after everything that was handed in before, and waits for its result: how
    /// feedback, compaction and forgetting reach the store.
    ///
    /// # Errors
    /// [`ServiceError::Closed`] when the writer thread has ended.
    pub fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn IndexStore) -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        let (sender, answer) = bounded(1);
        let run: writer::Run = Box::new(move |store| drop(sender.send(work(store))));
        let queue = self.queue.as_ref().ok_or(ServiceError::Closed)?;
        queue.send(Command::Run(run)).map_err(|_| ServiceError::Closed)?;
        answer.recv().map_err(|_| ServiceError::Closed)
    }

    /// Waits until everything handed in before is in segments, where readers in other processes see it.
    ///
    /// # Errors
    /// Those of writing files.
    pub fn flush(&self) -> Result<(), ServiceError> {
        Ok(self.with_store(|store| store.flush())??)
    }

    /// What the index holds now. It does not change while it is held: a snapshot.
    pub fn snapshot(&self) -> Arc<View> {
        self.reader.view()
    }

    /// The best prefixes for a query, best first.
    ///
    /// # Errors
    /// As [`Query::run`].
    pub fn recommend(&self, query: &Query<'_>) -> Result<Vec<PrefixRecommendation>, ServiceError> {
        let started = Instant::now();
        let found = query.run(&self.reader.view());
        self.metrics.suggested(started.elapsed());
        found
    }

    /// The `top_k` prefixes that a tenant's next request most probably goes on from, most probable first; `model_id` leaves out those of
    /// others. Nothing where [`IndexerOptions::predict`] is not set.
    ///
    /// # Errors
    /// For a page of the index that fails its checksum.
    pub fn predict(
        &self,
        tenant: &str,
        model_id: Option<&str>,
        after: PredictAfter<'_>,
        top_k: usize,
    ) -> Result<Vec<PredictedPrefix>, ServiceError> {
        let Some(predictions) = &self.predictions else { return Ok(Vec::new()) };
        let started = Instant::now();
        let found = predictions.predict(&self.reader.view(), tenant, model_id, after, top_k);
        self.metrics.predicted(started.elapsed());
        found
    }

    /// Counters and timings since the start.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Drains the queue, flushes and ends. What dropping does, with the flush's error.
    ///
    /// # Errors
    /// Those of the last flush; what was acknowledged is in the log all the same.
    pub fn close(mut self) -> Result<(), ServiceError> {
        let flushed = self.flush();
        self.end();
        flushed
    }

    fn end(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Drop for PrefixIndexer {
    fn drop(&mut self) {
        self.end();
    }
}
