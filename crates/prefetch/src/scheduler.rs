//! From predictions to requests in the queue. What to let in is decided by [`prefetch_candidates`], a pure function; this acts on it.

use crate::{Accepted, PrefetchQueue, PrefetchRequest, Refusal};
use prefix_indexer_analytics::{CacheRoom, Prediction, RefusedPredictions, ScheduleLimits, prefetch_candidates};
use prefix_indexer_cache::Clock;
use serde::Serialize;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The priority of something that is sure to be wanted.
const CERTAIN: f64 = 1_000.0;

/// Schedules what predictors say will be wanted.
#[derive(Debug)]
pub struct PrefetchScheduler {
    queue: Arc<PrefetchQueue>,
    clock: Arc<dyn Clock>,
    source: String,
    max_age: Option<Duration>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limits: ScheduleLimits,
    stats: ScheduleStats,
}

/// What became of predictions since the scheduler was made.
///
/// `scheduled + raised + duplicate + queue_full` and the refusals add up to the predictions it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct ScheduleStats {
    /// Rounds.
    pub rounds: u64,
    /// Requests put into the queue.
    pub scheduled: u64,
    /// Requests that were queued already and are more urgent now.
    pub raised: u64,
    /// Requests that were queued already.
    pub duplicate: u64,
    /// Requests for which the queue had no place.
    pub queue_full: u64,
    /// What was decided against.
    pub refused: RefusedPredictions,
}

impl PrefetchScheduler {
    /// Schedules into `queue` what the predictor `source` says, each request for at most `max_age`.
    pub fn new(
        queue: Arc<PrefetchQueue>,
        clock: Arc<dyn Clock>,
        source: &str,
        limits: ScheduleLimits,
        max_age: Option<Duration>,
    ) -> PrefetchScheduler {
        let state = Mutex::new(State { limits, stats: ScheduleStats::default() });
        PrefetchScheduler { queue, clock, source: source.to_owned(), max_age, state }
    }

    /// Puts the predictions that are worth it into the queue, the more probable the more urgent, and returns the cache keys of those
    /// that are in it because of this round, in order of probability. `is_cached` says what is there already.
    pub fn schedule_from_predictions(
        &self,
        predictions: &[Prediction<PrefetchRequest>],
        room: CacheRoom,
        is_cached: impl Fn(&PrefetchRequest) -> bool,
    ) -> Vec<Arc<str>> {
        let limits = self.limits();
        let (chosen, refused) = prefetch_candidates(predictions, &limits, room, is_cached);
        let mut round = ScheduleStats { rounds: 1, refused, ..ScheduleStats::default() };
        let mut keys = Vec::with_capacity(chosen.len());
        for prediction in chosen {
            let request = self.request(prediction);
            let key = Arc::clone(request.shared_cache_key());
            match self.queue.put(request) {
                Ok(Accepted::Queued) => round.scheduled += 1,
                Ok(Accepted::Raised) => round.raised += 1,
                Err(refused) => {
                    match refused.reason {
                        Refusal::Duplicate => round.duplicate += 1,
                        Refusal::Full => round.queue_full += 1,
                    }
                    continue;
                }
            }
            keys.push(key);
        }
        self.lock().stats.add(&round);
        keys
    }

    fn request(&self, prediction: &Prediction<PrefetchRequest>) -> PrefetchRequest {
        let mut request = prediction.what.clone();
        request.created_at_ms = self.clock.now_ms();
        request.max_age = self.max_age.or(request.max_age);
        request
            .with_priority((prediction.probability * CERTAIN) as i32)
            .with_prediction(&self.source, prediction.probability)
            .with_expected_bytes(prediction.bytes)
    }

    /// What it lets through.
    pub fn limits(&self) -> ScheduleLimits {
        self.lock().limits
    }

    /// Changes what it lets through, from the next round on.
    pub fn set_limits(&self, limits: ScheduleLimits) {
        self.lock().limits = limits;
    }

    /// Counts so far.
    pub fn stats(&self) -> ScheduleStats {
        self.lock().stats
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ScheduleStats {
    fn add(&mut self, round: &ScheduleStats) {
        self.rounds += round.rounds;
        self.scheduled += round.scheduled;
        self.raised += round.raised;
        self.duplicate += round.duplicate;
        self.queue_full += round.queue_full;
        self.refused.improbable += round.refused.improbable;
        self.refused.cached += round.refused.cached;
        self.refused.round_full += round.refused.round_full;
        self.refused.no_room += round.refused.no_room;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prefix_indexer_cache::ManualClock;

    fn prediction(key: &str, probability: f64) -> Prediction<PrefetchRequest> {
        Prediction { what: PrefetchRequest::for_block(key, 0), probability, bytes: 10 }
    }

    fn scheduler(capacity: usize) -> (Arc<PrefetchQueue>, PrefetchScheduler) {
        let clock = Arc::new(ManualClock::at(5_000));
        let queue = Arc::new(PrefetchQueue::new(capacity, clock.clone()));
        let limits = ScheduleLimits { max_per_round: 3, ..ScheduleLimits::default() };
        let age = Some(Duration::from_secs(9));
        (Arc::clone(&queue), PrefetchScheduler::new(queue, clock, "markov", limits, age))
    }

    #[test]
    fn what_is_probable_is_queued_most_probable_first() {
        let (queue, scheduler) = scheduler(10);
        let predictions =
            [prediction("b", 0.5), prediction("a", 0.9), prediction("cached", 0.8), prediction("no", 0.1)];
        let is_cached = |request: &PrefetchRequest| request.endpoint() == "cached";
        let keys = scheduler.schedule_from_predictions(&predictions, CacheRoom::default(), is_cached);
        assert_eq!(keys.iter().map(|key| &**key).collect::<Vec<_>>(), ["a", "b"]);
        let first = queue.get(Duration::ZERO).unwrap();
        assert_eq!((first.cache_key(), first.priority, first.confidence()), ("a", 900, 0.9));
        assert_eq!(
            (first.created_at_ms, first.max_age, first.expected_bytes),
            (5_000, Some(Duration::from_secs(9)), 10)
        );
    }

    #[test]
    fn every_refusal_has_its_reason() {
        let (_queue, scheduler) = scheduler(2);
        let none = |_: &PrefetchRequest| false;
        let room = CacheRoom { used: 0, budget: Some(1_000) };
        scheduler.schedule_from_predictions(&[prediction("a", 0.5), prediction("b", 0.5)], room, none);
        let again = [prediction("a", 0.5), prediction("b", 0.6), prediction("c", 0.7), prediction("d", 0.4)];
        let keys = scheduler.schedule_from_predictions(&again, room, none);
        assert_eq!(keys.iter().map(|key| &**key).collect::<Vec<_>>(), ["b"]);
        let full = CacheRoom { used: 900, budget: Some(1_000) };
        scheduler.schedule_from_predictions(&[prediction("e", 0.9), prediction("f", 0.1)], full, none);
        let stats = scheduler.stats();
        let refused = RefusedPredictions { improbable: 1, cached: 0, round_full: 1, no_room: 1 };
        assert_eq!(stats, ScheduleStats { rounds: 3, scheduled: 2, raised: 1, duplicate: 1, queue_full: 1, refused });
    }

    #[test]
    fn limits_can_be_moved_while_it_runs() {
        let (_queue, scheduler) = scheduler(10);
        scheduler.set_limits(ScheduleLimits { min_probability: 0.95, ..scheduler.limits() });
        let keys = scheduler.schedule_from_predictions(&[prediction("a", 0.9)], CacheRoom::default(), |_| false);
        assert!(keys.is_empty() && scheduler.stats().refused.improbable == 1);
    }
}
