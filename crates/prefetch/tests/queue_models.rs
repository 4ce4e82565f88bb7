//! The queue under every interleaving of its lock and its condition variable: its own source, compiled over loom's.

use prefix_indexer_cache::ManualClock;
use prefix_indexer_prefetch::{PrefetchRequest, Urgency};
use std::{sync::Arc, time::Duration};

mod sync {
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard, atomic::AtomicBool};
}

#[path = "../src/queue.rs"]
#[expect(dead_code, unreachable_pub, reason = "a library's module, of which the models use a part")]
mod queue;

use queue::{Accepted, PrefetchQueue};

const FOREVER: Duration = Duration::MAX;

fn queue(capacity: usize) -> Arc<PrefetchQueue> {
    Arc::new(PrefetchQueue::new(capacity, Arc::new(ManualClock::at(0))))
}

fn request(key: &str) -> PrefetchRequest {
    PrefetchRequest::for_block(key, 0)
}

fn urgency_is_shared(_: Urgency) {}

#[test]
fn nobody_who_waits_is_forgotten() {
    loom::model(|| {
        let queue = queue(4);
        let getters: Vec<_> = (0..2)
            .map(|_| {
                let queue = Arc::clone(&queue);
                loom::thread::spawn(move || queue.get(FOREVER).map(|request| request.cache_key().to_owned()))
            })
            .collect();
        queue.put(request("a")).unwrap();
        queue.put(request("b")).unwrap();
        let mut got: Vec<_> = getters.into_iter().map(|getter| getter.join().unwrap().unwrap()).collect();
        got.sort();
        assert_eq!(got, ["a", "b"]);
    });
}

#[test]
fn of_two_equal_requests_one_is_queued() {
    loom::model(|| {
        let queue = queue(4);
        let putters: Vec<_> = [0, 1]
            .map(|priority| {
                let queue = Arc::clone(&queue);
                loom::thread::spawn(move || queue.put(request("a").with_priority(priority)).ok())
            })
            .into_iter()
            .collect();
        let accepted: Vec<_> = putters.into_iter().filter_map(|putter| putter.join().unwrap()).collect();
        let queued = accepted.iter().filter(|accepted| **accepted == Accepted::Queued).count();
        assert_eq!((queued, queue.len()), (1, 1));
        let got = queue.get(FOREVER).unwrap();
        urgency_is_shared(got.urgency());
        assert_eq!(got.priority, 1);
    });
}

#[test]
fn a_stop_wakes_the_waiting_and_loses_nothing() {
    loom::model(|| {
        let queue = queue(4);
        let stop = Arc::new(sync::AtomicBool::new(false));
        let getter = {
            let (queue, stop) = (Arc::clone(&queue), Arc::clone(&stop));
            loom::thread::spawn(move || queue.get_unless(FOREVER, &stop).is_some())
        };
        let putter = {
            let queue = Arc::clone(&queue);
            loom::thread::spawn(move || queue.put(request("a")).is_ok())
        };
        stop.store(true, std::sync::atomic::Ordering::Release);
        queue.wake_all();
        let got = usize::from(getter.join().unwrap());
        assert!(putter.join().unwrap());
        assert_eq!(got + queue.len(), 1);
    });
}

#[test]
fn a_full_queue_gives_back_and_a_getter_makes_room() {
    loom::model(|| {
        let queue = queue(1);
        queue.put(request("a")).unwrap();
        let getter = {
            let queue = Arc::clone(&queue);
            loom::thread::spawn(move || queue.get(FOREVER).is_some())
        };
        let taken = queue.put(request("b")).is_ok();
        assert!(getter.join().unwrap());
        assert_eq!(queue.len(), usize::from(taken));
        assert_eq!(queue.stats().rejected_full, u64::from(!taken));
    });
}
