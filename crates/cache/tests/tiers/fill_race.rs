//! A copy to a higher tier never brings back what was overwritten, deleted or cleared meanwhile.

use crate::faulty::{Call, Faulty};
use prefix_indexer_cache::{CacheBackend, CacheBackendExt, CacheManager, Entry, Invalidation, Pattern};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

fn cache(upper: &Arc<Faulty>, lower: &Arc<Faulty>) -> CacheManager {
    let tiers: [Arc<dyn CacheBackend>; 2] = [Arc::clone(upper) as _, Arc::clone(lower) as _];
    let [upper, lower] = tiers;
    CacheManager::builder().tier(upper).tier(lower).build().unwrap()
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_hit_below_fills_above_with_what_is_left_of_its_time() {
    let (upper, lower) = (Faulty::new(), Faulty::new());
    let cache = cache(&upper, &lower);
    lower.memory.set_for("key", "value".into(), Duration::from_secs(100)).await.unwrap();
    tokio::time::advance(Duration::from_secs(40)).await;
    assert_eq!(cache.get("key").await.unwrap().value, "value");
    cache.settle().await;
    let copy = upper.memory.get("key").await.unwrap().unwrap();
    assert_eq!((copy.value, copy.ttl), ("value".into(), Some(Duration::from_secs(60))));
    let stats = cache.stats().await;
    assert_eq!((stats.tiers[0].misses, stats.tiers[0].fills, stats.tiers[1].hits), (1, 1, 1));
    assert_eq!((stats.hits, stats.misses, stats.hit_ratio()), (1, 0, 1.0));
}

/// What is done between the read of the lower tier and the copy.
#[derive(Debug, Clone, Copy)]
enum Meanwhile {
    Set,
    Delete,
    Clear,
    ClearOthers,
}

#[tokio::test(start_paused = true)]
async fn a_slow_read_below_fills_nothing_that_was_written_since() {
    for (meanwhile, expect) in [
        (Meanwhile::Set, Some("newer")),
        (Meanwhile::Delete, None),
        (Meanwhile::Clear, None),
        // Refused as well, which costs a copy and no more: the reader cannot tell.
        (Meanwhile::ClearOthers, None),
    ] {
        let (upper, lower) = (Faulty::new(), Faulty::new());
        let cache = cache(&upper, &lower);
        lower.memory.set_value("key", "older".into()).await.unwrap();
        let gate = lower.gate(Call::Get, "key");
        let reader = tokio::spawn({
            let cache = cache.clone();
            async move { cache.get("key").await }
        });
        gate.reached().await;
        match meanwhile {
            Meanwhile::Set => assert!(cache.set("key", Entry::new("newer")).await.is_ok()),
            Meanwhile::Delete => assert!(cache.delete("key").await.is_ok()),
            Meanwhile::Clear => assert!(cache.clear(&Pattern::new("k*")).await.is_ok()),
            Meanwhile::ClearOthers => assert!(cache.clear(&Pattern::new("x*")).await.is_ok()),
        }
        gate.open();
        assert_eq!(reader.await.unwrap().unwrap().value, "older", "it was read before");
        cache.settle().await;
        let copy = upper.memory.get_value("key").await.unwrap();
        assert_eq!(copy.as_deref(), expect.map(str::as_bytes), "{meanwhile:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_that_began_during_a_set_does_not_fill_the_older_value() {
    let (upper, lower) = (Faulty::new(), Faulty::new());
    let cache = cache(&upper, &lower);
    lower.memory.set_value("key", "older".into()).await.unwrap();
    // The set has reached both tiers and waits in both; the reader sees the older value below.
    let (above, below) = (upper.gate(Call::Set, "key"), lower.gate(Call::Set, "key"));
    let writer = tokio::spawn({
        let cache = cache.clone();
        async move { cache.set("key", Entry::new("newer")).await.is_ok() }
    });
    above.reached().await;
    below.reached().await;
    let slow = lower.gate(Call::Get, "key");
    let reader = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get("key").await }
    });
    slow.reached().await;
    above.open();
    below.open();
    assert!(writer.await.unwrap());
    slow.open();
    assert_eq!(reader.await.unwrap().unwrap().value, "older");
    cache.settle().await;
    assert_eq!(upper.memory.get_value("key").await.unwrap().unwrap(), "newer");
    assert_eq!(cache.stats().await.tiers[0].fills_refused, 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_copy_is_finished_before_a_set_that_came_after_it() {
    let (upper, lower) = (Faulty::new(), Faulty::new());
    let cache = cache(&upper, &lower);
    lower.memory.set_value("key", "older".into()).await.unwrap();
    let gate = upper.gate(Call::Set, "key");
    assert_eq!(cache.get("key").await.unwrap().value, "older");
    gate.reached().await;
    let writer = tokio::spawn({
        let cache = cache.clone();
        async move { cache.set("key", Entry::new("newer")).await.is_ok() }
    });
    settle().await;
    assert!(!writer.is_finished(), "the copy is under way");
    gate.open();
    assert!(writer.await.unwrap());
    assert_eq!(upper.memory.get_value("key").await.unwrap().unwrap(), "newer");
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_was_given_up_on_cannot_come_back_later() {
    let (upper, lower) = (Faulty::new(), Faulty::new());
    let cache = cache(&upper, &lower);
    lower.memory.set_value("key", "older".into()).await.unwrap();
    let gate = upper.gate(Call::Set, "key");
    assert_eq!(cache.get("key").await.unwrap().value, "older");
    gate.reached().await;
    // Its time-out passes, the call hangs on.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let report = cache.delete("key").await;
    assert!(!report.is_ok(), "the upper tier cannot be told yet");
    assert_eq!(cache.get("key").await, None);
    gate.open();
    settle().await;
    assert!(upper.memory.get("key").await.unwrap().is_some(), "it has come back in the tier");
    assert_eq!(cache.get("key").await, None, "which is not asked for it");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(upper.memory.get("key").await.unwrap().is_none(), "and is told in the end");
    let tier = &cache.stats().await.tiers[0];
    assert!(tier.up && tier.pending == 0 && tier.replayed >= 1, "{tier:?}");
}

#[tokio::test(start_paused = true)]
async fn news_of_others_drop_the_copies_above() {
    let (tell, news) = mpsc::channel(8);
    let (upper, lower) = (Faulty::new(), Faulty::telling(Some(news)));
    let cache = cache(&upper, &lower);
    for key in ["a/1", "a/2", "b", "c"] {
        assert!(cache.set(key, Entry::new("ours")).await.is_ok());
        lower.memory.set_value(key, "theirs".into()).await.unwrap();
    }
    let value = async |key| String::from_utf8(cache.get(key).await.unwrap().value.to_vec()).unwrap();
    assert_eq!(value("a/1").await, "ours");
    tell.send(Invalidation::Key("a/1".into())).await.unwrap();
    settle().await;
    assert_eq!((value("a/1").await, value("a/2").await), ("theirs".into(), "ours".into()));
    tell.send(Invalidation::Matching(Pattern::new("a/*"))).await.unwrap();
    settle().await;
    assert_eq!((value("a/2").await, value("b").await), ("theirs".into(), "ours".into()));
    tell.send(Invalidation::All).await.unwrap();
    settle().await;
    assert_eq!((value("b").await, value("c").await), ("theirs".into(), "theirs".into()));
    // When nobody is left to tell, everything may have changed.
    assert!(cache.set("d", Entry::new("ours")).await.is_ok());
    lower.memory.set_value("d", "theirs".into()).await.unwrap();
    drop(tell);
    settle().await;
    assert_eq!(value("d").await, "theirs");
}

#[tokio::test(start_paused = true)]
async fn values_that_never_change_outlive_what_was_not_heard() {
    let (tell, news) = mpsc::channel(8);
    let (upper, lower) = (Faulty::new(), Faulty::telling(Some(news)));
    let tiers = CacheManager::builder().tier(Arc::clone(&upper) as _).tier(Arc::clone(&lower) as _);
    let cache = tiers.immutable(true).build().unwrap();
    assert!(cache.set("block", Entry::new("ours")).await.is_ok());
    assert!(tell.send(Invalidation::All).await.is_err(), "nobody listens");
    settle().await;
    assert!(upper.memory.get("block").await.unwrap().is_some());
}
