//! Events on their way from a body to the index: read, looked over, handed in.

use crate::{
    access::forbidden,
    answer::Problem,
    app::{App, wall_clock_ms},
    body::{Lease, Limits, Payload},
    events::{Events, Reading, Shape},
    tokens::Caller,
};
use axum::{
    body::Body,
    http::{HeaderMap, StatusCode},
};
use prefix_indexer::{Appended, Batch, BatchId, Commit, ScopeSpans, StorageError, TryIngestError};
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::oneshot;

/// A larger body is decoded where others do not wait for it.
const INLINE: u64 = 64 << 10;

/// Events of a batch that is shown to queries before it is answered, even if others are under way. Its sender wants to read what it
/// wrote; whoever sends more at once wants to go on.
const SMALL: usize = 4_096;

/// What an answer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// Nothing: the writer will see to it.
    Taken,
    /// The events are on disk; where it costs little, the next query sees them, too.
    Durable,
    /// And the next query sees them.
    Seen,
}

/// What a request may choose about its events.
#[derive(Default)]
pub(crate) struct Choices {
    /// Leave bad events out instead of refusing all.
    pub(crate) skip_bad: bool,
    /// Of events that name none.
    pub(crate) tenant: Option<String>,
    /// Of events that name none.
    pub(crate) model_id: Option<String>,
}

/// The events of a body, with the memory that they take.
pub(crate) struct Read {
    pub(crate) events: Events,
    lease: Lease,
}

impl App {
    /// Reads a body under the limits.
    pub(crate) async fn read_body(&self, headers: &HeaderMap, body: Body) -> Result<Payload, Problem> {
        let limits = Limits { sent: self.config.max_body.0, decompressed: self.config.max_decompressed.0 };
        crate::body::read(&self.memory, limits, headers, body).await
    }

    /// Reads the events of a body, all of which are of tenants that the caller may speak for.
    pub(crate) async fn read_events(
        &self,
        caller: &Arc<Caller>,
        shape: Shape,
        choices: Choices,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Read, Problem> {
        let Payload { bytes, mut lease } = self.read_body(headers, body).await?;
        // The events beside their text, which for a document is written a second time.
        let length = bytes.len() as u64;
        lease.grow_to(length * if shape == Shape::Document { 3 } else { 2 })?;
        let Choices { skip_bad, tenant, model_id } = choices;
        let ahead_ms = u64::try_from(self.config.max_future.0.as_millis()).unwrap_or(u64::MAX);
        let latest_ms = wall_clock_ms().saturating_add(ahead_ms);
        let reading = Reading { shape, skip_bad, latest_ms, tenant, model_id };
        let (caller, book) = (Arc::clone(caller), Arc::clone(&self.book));
        let read = move || {
            let events = reading.read(bytes)?;
            let own = |scope: &ScopeSpans| caller.sees(events.batch.str(scope.tenant));
            if !events.batch.scopes().iter().all(own) {
                return Err(forbidden());
            }
            book.observe(&events.batch);
            Ok(events)
        };
        let events = if length <= INLINE {
            read()?
        } else {
            tokio::task::spawn_blocking(read).await.map_err(|error| Problem::internal(&error))??
        };
        lease.grow_to(events.batch.memory_bytes() as u64)?;
        Ok(Read { events, lease })
    }

    /// Hands events in, and waits for as much as is asked for.
    pub(crate) async fn hand_in(
        self: &Arc<App>,
        read: Read,
        batch_id: Option<BatchId>,
        until: Until,
    ) -> Result<Option<Appended>, Problem> {
        let Read { events, lease } = read;
        let under_way = UnderWay::new(&self.handing_in);
        let batch = Batch { events: events.batch, commit: Commit { batch_id, sources: Vec::new() } };
        let (sender, receiver) = oneshot::channel();
        let (unseen, seen) = oneshot::channel::<Infallible>();
        let app = Arc::downgrade(self);
        let answer = move |outcome: Result<Appended, Arc<StorageError>>| {
            drop(lease);
            if let Err(error) = &outcome
                && let Some(app) = app.upgrade()
            {
                app.not_written(error);
            }
            drop(sender.send(outcome));
        };
        let is_small = batch.events.len() <= SMALL;
        self.indexer.try_ingest_held(batch, answer, unseen).map_err(|error| match error {
            TryIngestError::Full(_) => Problem::Busy("the ingestion queue is full; try again"),
            _ => Problem::status(StatusCode::SERVICE_UNAVAILABLE, "the service is ending"),
        })?;
        let failed = |what: &'static str| Problem::status(StatusCode::SERVICE_UNAVAILABLE, what);
        if until == Until::Taken {
            return Ok(None);
        }
        let appended = match receiver.await {
            Ok(Ok(appended)) => appended,
            Ok(Err(_)) => return Err(failed("the events were not written")),
            Err(_) => return Err(failed("the service is ending")),
        };
        if until == Until::Seen || is_small || under_way.is_alone() {
            drop(seen.await);
        }
        Ok(Some(appended))
    }
}

/// A batch that is being handed in, counted as long as it is.
struct UnderWay<'a>(&'a AtomicUsize);

impl<'a> UnderWay<'a> {
    fn new(count: &'a AtomicUsize) -> UnderWay<'a> {
        count.fetch_add(1, Ordering::Relaxed);
        UnderWay(count)
    }

    fn is_alone(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 1
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The identity of a batch. A caller's keys are its own: another's batch is never taken for its repetition.
pub(crate) fn batch_id(caller: &Caller, key: &[u8]) -> BatchId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(caller.name.len() as u64).to_le_bytes()).update(caller.name.as_bytes()).update(key);
    let mut id = [0; 16];
    id.iter_mut().zip(hasher.finalize().as_bytes()).for_each(|(to, from)| *to = *from);
    BatchId(id)
}
