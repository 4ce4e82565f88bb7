//! The queue: order, duplicates, bounds, expiry, counts, waiting.

use prefix_indexer_cache::{ManualClock, SystemClock};
use prefix_indexer_prefetch::{Accepted, DEFAULT_CAPACITY, PrefetchQueue, PrefetchRequest, Refusal};
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

const NOW: Duration = Duration::ZERO;

fn queue(capacity: usize) -> (PrefetchQueue, ManualClock) {
    let clock = ManualClock::at(1_000);
    (PrefetchQueue::new(capacity, Arc::new(clock.clone())), clock)
}

fn request(key: &str) -> PrefetchRequest {
    PrefetchRequest::for_block(key, 1_000)
}

fn keys(queue: &PrefetchQueue) -> Vec<String> {
    std::iter::from_fn(|| queue.get(NOW)).map(|request| request.cache_key().to_owned()).collect()
}

#[test]
fn it_holds_a_thousand_unless_told_otherwise() {
    assert_eq!(DEFAULT_CAPACITY, 1_000);
    let (queue, _) = queue(DEFAULT_CAPACITY);
    for number in 0..1_000 {
        queue.put(request(&number.to_string())).unwrap();
    }
    assert!(queue.is_full());
    let refused = queue.put(request("one more")).unwrap_err();
    assert_eq!((refused.reason, refused.request.cache_key()), (Refusal::Full, "one more"));
    assert_eq!(queue.stats().rejected_full, 1);
}

#[test]
fn the_most_urgent_comes_first_and_equals_in_order_of_age_then_arrival() {
    let (queue, _) = queue(10);
    let put = |key, priority, created_at_ms| {
        queue.put(PrefetchRequest::for_block(key, created_at_ms).with_priority(priority)).unwrap();
    };
    put("low", -1, 1);
    put("young", 5, 9);
    put("old", 5, 2);
    put("young, later", 5, 9);
    put("high", 6, 9);
    assert_eq!(keys(&queue), ["high", "old", "young", "young, later", "low"]);
}

#[test]
fn duplicates_come_back_unless_they_are_more_urgent() {
    let (queue, _) = queue(10);
    let params = [("page", "1"), ("q", "tea")];
    let search = |priority| {
        let reversed = params.iter().rev().copied();
        PrefetchRequest::new("search", reversed, 1_500).with_priority(priority)
    };
    queue.put(PrefetchRequest::new("search", params, 1_000).with_priority(2)).unwrap();
    queue.put(request("other").with_priority(3)).unwrap();
    assert_eq!(queue.put(search(2)).unwrap_err().reason, Refusal::Duplicate);
    assert_eq!(queue.put(search(1)).unwrap_err().reason, Refusal::Duplicate);
    assert_eq!(queue.put(search(4)).unwrap(), Accepted::Raised);
    assert_eq!(queue.len(), 2);
    let first = queue.get(NOW).unwrap();
    assert_eq!((first.endpoint(), first.priority, first.created_at_ms), ("search", 4, 1_000));
    let stats = queue.stats();
    assert_eq!((stats.put, stats.got, stats.duplicates, stats.raised), (2, 1, 2, 1));
}

#[test]
fn a_duplicate_of_an_expired_request_takes_its_place() {
    let (queue, clock) = queue(10);
    queue.put(request("a").with_max_age(Duration::from_millis(10))).unwrap();
    clock.advance(Duration::from_millis(11));
    assert_eq!(queue.put(PrefetchRequest::for_block("a", 1_011)).unwrap(), Accepted::Queued);
    assert_eq!((queue.len(), queue.stats().expired), (1, 1));
}

#[test]
fn endpoints_are_removed_with_all_their_parameters() {
    let (queue, _) = queue(10);
    for page in ["1", "2", "3"] {
        queue.put(PrefetchRequest::new("search", [("page", page)], 0)).unwrap();
    }
    queue.put(request("search-2")).unwrap();
    assert!(queue.contains("search", [("page", "2")]));
    assert!(!queue.contains("search", [("page", "4")]));
    assert_eq!(queue.remove("search"), 3);
    assert!(!queue.contains("search", [("page", "2")]));
    assert_eq!((queue.remove("search"), queue.clear(), queue.clear()), (0, 1, 0));
    assert!(queue.is_empty() && !queue.is_full());
    assert_eq!(queue.stats().removed, 4);
}

#[test]
fn what_has_grown_too_old_is_dropped_and_counted() {
    let (queue, clock) = queue(10);
    queue.put(request("a").with_max_age(Duration::from_millis(10)).with_priority(9)).unwrap();
    queue.put(request("b").with_max_age(Duration::from_millis(50))).unwrap();
    clock.advance(Duration::from_millis(20));
    assert_eq!(keys(&queue), ["b"]);
    let stats = queue.stats();
    assert_eq!((stats.put, stats.got, stats.expired), (2, 1, 1));
}

#[test]
fn a_getter_sleeps_until_there_is_something_or_time_is_up() {
    let (queue, _) = queue(10);
    let began = Instant::now();
    assert!(queue.get(Duration::from_millis(30)).is_none());
    assert!(began.elapsed() >= Duration::from_millis(30));
    std::thread::scope(|scope| {
        let getter = scope.spawn(|| queue.get(Duration::from_secs(60)).unwrap());
        std::thread::sleep(Duration::from_millis(20));
        queue.put(request("a")).unwrap();
        assert_eq!(getter.join().unwrap().cache_key(), "a");
    });
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[test]
fn many_threads_lose_and_duplicate_nothing() {
    const EACH: u64 = 2_000;
    let queue = PrefetchQueue::new(64, Arc::new(SystemClock));
    let left = AtomicU64::new(8 * EACH);
    let mut seen: Vec<String> = Vec::new();
    std::thread::scope(|scope| {
        for producer in 0..8 {
            let queue = &queue;
            scope.spawn(move || {
                for number in 0..EACH {
                    let mut next = request(&format!("{producer}/{number}")).with_priority((number % 7) as i32);
                    while let Err(refused) = queue.put(next) {
                        assert_eq!(refused.reason, Refusal::Full);
                        next = refused.request;
                        std::thread::yield_now();
                    }
                }
            });
        }
        let getters: Vec<_> = (0..24)
            .map(|_| {
                scope.spawn(|| {
                    let mut own = Vec::new();
                    while left.load(Relaxed) > 0 {
                        if let Some(request) = queue.get(Duration::from_millis(20)) {
                            left.fetch_sub(1, Relaxed);
                            own.push(request.cache_key().to_owned());
                        }
                    }
                    own
                })
            })
            .collect();
        seen.extend(getters.into_iter().flat_map(|getter| getter.join().unwrap()));
    });
    assert_eq!(seen.len() as u64, 8 * EACH);
    assert_eq!(seen.into_iter().collect::<HashSet<_>>().len() as u64, 8 * EACH);
    let stats = queue.stats();
    assert_eq!((stats.put, stats.got, stats.duplicates), (8 * EACH, 8 * EACH, 0));
}
