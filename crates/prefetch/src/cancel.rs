//! A signal that is given once and seen by all: by threads that sleep, and by futures that wait.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

/// Whether to stop. Clones share the signal; it is never taken back.
///
/// ```
/// use prefix_indexer_prefetch::Cancel;
/// use std::time::Duration;
/// let cancel = Cancel::new();
/// assert!(!cancel.sleep(Duration::from_millis(1)), "slept to the end");
/// cancel.cancel();
/// assert!(cancel.sleep(Duration::from_secs(3600)), "woken at once");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    cancelled: AtomicBool,
    wakers: Mutex<Wakers>,
    condvar: Condvar,
}

#[derive(Debug, Default)]
struct Wakers {
    next: u64,
    waiting: Vec<(u64, Waker)>,
}

impl Cancel {
    /// A signal that has not been given.
    pub fn new() -> Cancel {
        Cancel::default()
    }

    /// Gives it.
    pub fn cancel(&self) {
        let waiting = {
            let mut wakers = self.lock();
            self.shared.cancelled.store(true, SeqCst);
            std::mem::take(&mut wakers.waiting)
        };
        self.shared.condvar.notify_all();
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// Whether it has been given.
    pub fn is_cancelled(&self) -> bool {
        self.shared.cancelled.load(SeqCst)
    }

    /// Sleeps for `time`, or until the signal; says whether it was given.
    pub fn sleep(&self, time: Duration) -> bool {
        let until = Instant::now().checked_add(time);
        let mut wakers = self.lock();
        loop {
            if self.is_cancelled() {
                return true;
            }
            wakers = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return false,
                Some(left) => self.shared.condvar.wait_timeout(wakers, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.shared.condvar.wait(wakers).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Ready once the signal is given.
    pub fn cancelled(&self) -> Cancelled {
        Cancelled { cancel: self.clone(), place: None }
    }

    fn lock(&self) -> MutexGuard<'_, Wakers> {
        self.shared.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The future of [`Cancel::cancelled`].
#[derive(Debug)]
pub struct Cancelled {
    cancel: Cancel,
    place: Option<u64>,
}

impl Future for Cancelled {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let cancel = self.cancel.clone();
        let mut wakers = cancel.lock();
        if cancel.is_cancelled() {
            return Poll::Ready(());
        }
        let waker = context.waker().clone();
        match self.place.and_then(|place| wakers.waiting.iter_mut().find(|(known, _)| *known == place)) {
            Some((_, known)) => *known = waker,
            None => {
                let place = wakers.next;
                wakers.next += 1;
                wakers.waiting.push((place, waker));
                self.place = Some(place);
            }
        }
        Poll::Pending
    }
}

impl Drop for Cancelled {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.cancel.lock().waiting.retain(|(known, _)| *known != place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleepers_and_futures_are_woken() {
        let cancel = Cancel::new();
        let began = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| assert!(cancel.sleep(Duration::from_secs(60))));
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(cancel.cancelled());
            });
            std::thread::sleep(Duration::from_millis(20));
            cancel.cancel();
        });
        assert!(began.elapsed() < Duration::from_secs(10));
        assert!(cancel.lock().waiting.is_empty());
    }

    #[test]
    fn a_future_that_goes_away_leaves_nothing_behind() {
        let cancel = Cancel::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            tokio::time::timeout(Duration::from_millis(1), cancel.cancelled()).await.unwrap_err();
        });
        assert!(cancel.lock().waiting.is_empty());
    }
}
