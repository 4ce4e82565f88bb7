//! Many requests, in order and in parallel: what a cycle and a warm-up have in common.

use crate::{Attempts, Cancel, Outcome, PrefetchError, PrefetchRequest};
use crossbeam_channel::{RecvTimeoutError, unbounded};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

/// How a list of requests is run.
pub(crate) struct Move<'a> {
    pub(crate) attempts: &'a Attempts,
    /// Requests under way at once.
    pub(crate) threads: usize,
    /// Calls off what is under way, and what has not begun does not begin.
    pub(crate) cancel: &'a Cancel,
    /// What has not begun does not begin.
    pub(crate) enough: &'a AtomicBool,
    /// When to call everything off.
    pub(crate) deadline: Option<Instant>,
}

impl Move<'_> {
    /// Runs the requests of the places 0 to `count`, begun in that order: so a parent that comes before what extends it is at most as many
    /// places behind it as there are threads. `done` hears of each that has begun, as it ends. Returns whether the
    /// deadline came first.
    pub(crate) fn run(
        &self,
        count: usize,
        request: impl Fn(usize) -> PrefetchRequest + Sync,
        mut done: impl FnMut(usize, Outcome),
    ) -> Result<bool, PrefetchError> {
        let next = AtomicUsize::new(0);
        let run_next = || {
            if self.cancel.is_cancelled() || self.enough.load(Relaxed) {
                return None;
            }
            let place = next.fetch_add(1, Relaxed);
            (place < count).then(|| (place, self.attempts.run(&request(place), self.cancel)))
        };
        if self.threads <= 1 && self.deadline.is_none() {
            while let Some((place, outcome)) = run_next() {
                done(place, outcome);
            }
            return Ok(false);
        }
        std::thread::scope(|scope| {
            let (sender, outcomes) = unbounded();
            for number in 0..self.threads.clamp(1, count.max(1)) {
                let (sender, run_next) = (sender.clone(), &run_next);
                let work = move || {
                    while let Some(outcome) = run_next() {
                        if sender.send(outcome).is_err() {
                            return;
                        }
                    }
                };
                let spawned = std::thread::Builder::new().name(format!("prefetch-{number}")).spawn_scoped(scope, work);
                if let Err(error) = spawned {
                    // Those that were started do the work of all; without any there is nobody.
                    if number == 0 {
                        return Err(PrefetchError::Thread(Arc::new(error)));
                    }
                    tracing::warn!(%error, threads = number, "fewer threads than asked for");
                    break;
                }
            }
            drop(sender);
            let mut is_late = false;
            loop {
                let outcome = match self.deadline.filter(|_| !is_late) {
                    Some(deadline) => outcomes.recv_deadline(deadline),
                    None => outcomes.recv().map_err(RecvTimeoutError::from),
                };
                match outcome {
                    Ok((place, outcome)) => done(place, outcome),
                    Err(RecvTimeoutError::Disconnected) => return Ok(is_late),
                    Err(RecvTimeoutError::Timeout) => {
                        is_late = true;
                        self.cancel.cancel();
                    }
                }
            }
        })
    }
}
