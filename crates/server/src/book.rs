//! Plans and feedback, in memory and kept: changed under one lock, written beside the index by one task.
//!
//! Whoever plans or reports waits until that is on disk, together with others that came meanwhile, or hears at once that it cannot be
//! written. What events say about plans is written every few seconds and at the end: after a crash, entries that were used in the last
//! seconds wait again.

use crate::{answer::Problem, app::App};
use axum::http::StatusCode;
use prefix_indexer::{
    EventBatch, FeedbackLedger, PlanBook, PrefixIndexer, ServiceError, analytics::Learner, learned_by,
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};
use tokio::sync::{Notify, watch};

/// Time between two writings, each of which makes a generation of the index: who asks for plan after plan waits that long.
const SPACE: Duration = Duration::from_millis(50);

/// How often changes that nobody waits for are written.
const INTERVAL: Duration = Duration::from_secs(5);

/// Plans and feedback.
pub(crate) struct Book {
    inner: Mutex<Inner>,
    wanted: Notify,
    saved: watch::Sender<Saved>,
}

/// How far the book is on disk.
#[derive(Debug, Clone, Copy, Default)]
struct Saved {
    /// Of the book, see [`PlanBook::version`].
    version: u64,
    /// Whether the last attempt to write failed; the next one is some seconds away.
    failed: bool,
}

pub(crate) struct Inner {
    pub(crate) plans: PlanBook,
    pub(crate) ledger: FeedbackLedger,
    /// What the index has learned, and how many events it had counted then.
    learned: Option<Arc<Learner>>,
    learned_at: u64,
}

impl Book {
    pub(crate) fn load(indexer: &PrefixIndexer) -> Result<Book, ServiceError> {
        let (plans, ledger, learned) =
            indexer.with_store(|store| (PlanBook::load(store), FeedbackLedger::load(store), learned_by(store)))?;
        let inner = Inner { plans: plans?, ledger: ledger?, learned: learned?.map(Arc::new), learned_at: 0 };
        Ok(Book { inner: Mutex::new(inner), wanted: Notify::new(), saved: watch::Sender::new(Saved::default()) })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic leaves counts that are right or one short.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Matches events against the open plans.
    pub(crate) fn observe(&self, events: &EventBatch) {
        let mut inner = self.lock();
        let Inner { plans, ledger, .. } = &mut *inner;
        plans.observe(events, ledger);
    }

    /// What the index has learned, some seconds ago at most.
    pub(crate) fn learned(&self) -> Option<Arc<Learner>> {
        self.lock().learned.clone()
    }

    /// Looks at what the index has learned, if it has counted anything since.
    fn learn(&self, indexer: &PrefixIndexer) -> Result<(), ServiceError> {
        let counted = indexer.metrics().status().counters.events;
        if counted != self.lock().learned_at {
            let learned = indexer.with_store(|store| learned_by(store))??;
            let mut inner = self.lock();
            (inner.learned, inner.learned_at) = (learned.map(Arc::new), counted);
        }
        Ok(())
    }

    /// Waits until what was changed before is on disk, or cannot be written.
    pub(crate) async fn until_saved(&self) -> Result<(), Problem> {
        let version = self.lock().plans.version();
        self.wanted.notify_one();
        let mut saved = self.saved.subscribe();
        let unavailable = |what: &'static str| Err(Problem::status(StatusCode::SERVICE_UNAVAILABLE, what));
        match saved.wait_for(|saved| saved.version >= version || saved.failed).await {
            Ok(saved) if saved.version >= version => Ok(()),
            Ok(_) => unavailable("plans and feedback are not being written; try again"),
            Err(_) => unavailable("the service is ending"),
        }
    }

    /// Says to those who wait that nothing is being written.
    fn failed(&self) {
        self.saved.send_modify(|saved| saved.failed = true);
    }

    /// Writes what has changed since it was written last. Whether anything has.
    pub(crate) fn save(&self, indexer: &PrefixIndexer) -> Result<bool, ServiceError> {
        let (version, plans, ledger) = {
            let inner = self.lock();
            let version = inner.plans.version();
            if version == self.saved.borrow().version {
                return Ok(false);
            }
            (version, inner.plans.clone(), inner.ledger.clone())
        };
        // Not where events are waiting to be written.
        let written = plans.written(&ledger)?;
        indexer.with_store(move |store| {
            written.put(store)?;
            Ok::<(), ServiceError>(store.flush()?)
        })??;
        self.saved.send_replace(Saved { version, failed: false });
        Ok(true)
    }
}

/// Saves when somebody waits for it, and every few seconds, when it also looks at what was learned. Ends with the service.
pub(crate) async fn keep(app: Weak<App>) {
    let mut looked = None;
    loop {
        let Some(book) = app.upgrade().map(|app| Arc::clone(&app.book)) else { return };
        drop(tokio::time::timeout(INTERVAL, book.wanted.notified()).await);
        let Some(app) = app.upgrade() else { return };
        let look = looked.is_none_or(|looked: Instant| looked.elapsed() >= INTERVAL);
        let saved = tokio::task::spawn_blocking(move || {
            let saved = app.book.save(&app.indexer).inspect_err(|error| {
                app.book.failed();
                if let ServiceError::Storage(error) = error {
                    app.not_written(error);
                }
            })?;
            if look {
                app.book.learn(&app.indexer)?;
            }
            Ok::<bool, ServiceError>(saved)
        })
        .await;
        if look {
            looked = Some(Instant::now());
        }
        match saved {
            Ok(Ok(true)) => tokio::time::sleep(SPACE).await,
            Ok(Err(error)) => {
                tracing::error!(%error, "plans and feedback were not written, or what was learned not read");
                tokio::time::sleep(INTERVAL).await;
            }
            _ => {}
        }
    }
}
