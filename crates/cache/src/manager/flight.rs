//! Single flight: however many ask for a key at once, it is loaded once.
//!
//! The load is a task of its own. Who asks holds a share of it: one that goes away cancels nothing, the last one does. A write
//! of the key cuts the load off: those who wait get its value, those who come later start a new one.

use crate::{CacheError, Entry, Result};
use futures_util::FutureExt;
use std::{
    any::Any,
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};
use tokio::{sync::watch, task::AbortHandle};

type InFlight = HashMap<Arc<str>, Weak<Flight>>;

#[derive(Default)]
pub(super) struct Flights {
    by_key: Arc<Mutex<InFlight>>,
}

/// A share of a load. When the last one is dropped the load ends.
pub(super) struct Flight {
    key: Arc<str>,
    landed: watch::Receiver<Option<Result<Entry>>>,
    task: AbortHandle,
    by_key: Arc<Mutex<InFlight>>,
}

impl Flights {
    /// Joins the load of `key` that is under way (and says so), or starts `load`.
    pub(super) fn join_or<F>(&self, key: &Arc<str>, load: impl FnOnce() -> F) -> (Arc<Flight>, bool)
    where
        F: Future<Output = Result<Entry>> + Send + 'static,
    {
        let mut by_key = lock(&self.by_key);
        if let Some(flight) = by_key.get(key).and_then(Weak::upgrade) {
            return (flight, true);
        }
        let (land, landed) = watch::channel(None);
        let load = AssertUnwindSafe(load()).catch_unwind();
        let task = tokio::spawn(async move {
            let result = load.await.unwrap_or_else(|panic| Err(CacheError::LoadPanicked(message(&*panic).into())));
            land.send_replace(Some(result));
        })
        .abort_handle();
        let flight = Arc::new(Flight { key: Arc::clone(key), landed, task, by_key: Arc::clone(&self.by_key) });
        by_key.insert(Arc::clone(key), Arc::downgrade(&flight));
        (flight, false)
    }

    /// Nobody joins the load of `key` from now on.
    pub(super) fn cut_off(&self, key: &str) {
        lock(&self.by_key).remove(key);
    }

    /// Nobody joins any load that is under way.
    pub(super) fn cut_off_all(&self) {
        lock(&self.by_key).clear();
    }
}

impl Flight {
    /// Waits for the result, which all waiters get.
    pub(super) async fn landed(&self) -> Result<Entry> {
        let mut landed = self.landed.clone();
        let result = landed.wait_for(Option::is_some).await;
        result.ok().and_then(|result| result.clone()).unwrap_or(Err(CacheError::LoadEnded))
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.task.abort();
        let mut by_key = lock(&self.by_key);
        // The place may have gone to a newer load of the same key.
        if by_key.get(&self.key).is_some_and(|flight| std::ptr::eq(flight.as_ptr(), self)) {
            by_key.remove(&self.key);
        }
    }
}

fn lock(by_key: &Mutex<InFlight>) -> MutexGuard<'_, InFlight> {
    by_key.lock().unwrap_or_else(PoisonError::into_inner)
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
