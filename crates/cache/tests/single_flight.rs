//! A key is loaded once, however many ask for it.
#![expect(clippy::unwrap_used, reason = "tests")]

use futures_util::future::join_all;
use prefix_indexer_cache::{CacheError, CacheManager, Entry, MemoryBackend, MemoryConfig};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::sync::{Notify, oneshot};

const SECOND: Duration = Duration::from_secs(1);

fn cache() -> CacheManager {
    let memory = || Arc::new(MemoryBackend::new(&MemoryConfig::default()).unwrap());
    CacheManager::builder().tier(memory()).tier(memory()).build().unwrap()
}

/// Lets every task run that can.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn many_callers_share_one_load() {
    let cache = cache();
    let loads = Arc::new(AtomicU64::new(0));
    let callers = (0..100).map(|_| {
        let loads = Arc::clone(&loads);
        cache.get_or_load("key", None, move || async move {
            loads.fetch_add(1, SeqCst);
            tokio::time::sleep(SECOND).await;
            Ok(Entry::new("value"))
        })
    });
    for result in join_all(callers).await {
        assert_eq!(result.unwrap().value, "value");
    }
    assert_eq!(loads.load(SeqCst), 1);
    let stats = cache.stats().await;
    assert_eq!((stats.loads, stats.loads_shared, stats.load_errors), (1, 99, 0));
    assert_eq!(cache.get("key").await.unwrap().value, "value");
}

#[tokio::test(start_paused = true)]
async fn the_ttl_of_a_load_is_its_own_then_the_callers_then_the_default() {
    let cache = cache();
    for (key, own, given, expect) in [
        ("own", Some(SECOND * 7), Some(SECOND * 8), SECOND * 7),
        ("given", None, Some(SECOND * 8), SECOND * 8),
        ("default", None, None, SECOND * 3600),
    ] {
        let load = move || async move { Ok(Entry { ttl: own, ..Entry::new("value") }) };
        cache.get_or_load(key, given, load).await.unwrap();
        assert_eq!(cache.get(key).await.unwrap().ttl, Some(expect), "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_cancels_nothing_and_the_last_one_does() {
    let cache = cache();
    for (leaving, expect_done) in [(1, true), (2, false)] {
        let key = format!("key-{leaving}");
        let (ended, mut has_ended) = oneshot::channel::<()>();
        let done = Arc::new(AtomicU64::new(0));
        let mut ended = Some(ended);
        let mut callers: Vec<_> = (0..2)
            .map(|_| {
                let (cache, key, done, ended) = (cache.clone(), key.clone(), Arc::clone(&done), ended.take());
                tokio::spawn(async move {
                    let load = move || async move {
                        let _ended = ended;
                        tokio::time::sleep(SECOND).await;
                        done.fetch_add(1, SeqCst);
                        Ok(Entry::new("value"))
                    };
                    cache.get_or_load(&key, None, load).await
                })
            })
            .collect();
        settle().await;
        for caller in callers.drain(..leaving) {
            caller.abort();
        }
        settle().await;
        assert_eq!(has_ended.try_recv().is_err_and(|e| e == oneshot::error::TryRecvError::Closed), !expect_done);
        for caller in callers {
            assert_eq!(caller.await.unwrap().unwrap().value, "value");
        }
        assert_eq!(done.load(SeqCst), u64::from(expect_done));
        // Whatever became of it, the next caller is served.
        let again = cache.get_or_load(&key, None, || async { Ok(Entry::new("again")) }).await.unwrap();
        assert_eq!(again.value, if expect_done { "value" } else { "again" });
    }
    assert_eq!(cache.stats().await.load_errors, 1, "the cancelled load");
}

#[tokio::test(start_paused = true)]
async fn errors_and_panics_reach_all_callers_and_are_not_kept() {
    let cache = cache();
    let fail = |panics: bool| {
        move || async move {
            tokio::time::sleep(SECOND).await;
            assert!(!panics, "the loader's own words");
            Err::<Entry, _>(CacheError::load(std::io::Error::other("no luck")))
        }
    };
    for panics in [false, true] {
        let results = join_all((0..3).map(|_| cache.get_or_load("key", None, fail(panics)))).await;
        for result in results {
            let text = result.unwrap_err().to_string();
            let expect = if panics { "the loader panicked: the loader's own words" } else { "load failed: no luck" };
            assert_eq!(text, expect);
        }
        assert_eq!(cache.get("key").await, None);
    }
    assert_eq!(cache.stats().await.load_errors, 2);
    assert_eq!(cache.get_or_load("key", None, || async { Ok(Entry::new("fine")) }).await.unwrap().value, "fine");
}

#[tokio::test(start_paused = true)]
async fn each_caller_has_a_time_out_of_its_own() {
    let cache = cache();
    let load = || async {
        tokio::time::sleep(SECOND * 10).await;
        Ok(Entry::new("value"))
    };
    let (short, long) = tokio::join!(
        cache.get_or_load_within("key", None, SECOND, load),
        cache.get_or_load_within("key", None, SECOND * 20, load),
    );
    assert!(matches!(short, Err(CacheError::LoadTimedOut(SECOND))), "{short:?}");
    assert_eq!(long.unwrap().value, "value");
    assert_eq!(cache.stats().await.loads, 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_during_a_load_stays_and_later_callers_do_not_join_it() {
    let cache = cache();
    let go = Arc::new(Notify::new());
    for delete in [false, true] {
        let key = format!("key-{delete}");
        let (own, own_key, own_go) = (cache.clone(), key.clone(), Arc::clone(&go));
        let caller = tokio::spawn(async move {
            own.get_or_load(&own_key, None, move || async move {
                own_go.notified().await;
                Ok(Entry::new("older"))
            })
            .await
        });
        settle().await;
        if delete {
            assert!(cache.delete(&key).await.is_ok());
        } else {
            assert!(cache.set(&key, Entry::new("newer")).await.is_ok());
        }
        let later = cache.get_or_load(&key, None, || async { Ok(Entry::new("fresh")) }).await.unwrap();
        assert_eq!(later.value, if delete { "fresh" } else { "newer" });
        assert!(cache.delete(&key).await.is_ok());
        go.notify_one();
        assert_eq!(caller.await.unwrap().unwrap().value, "older", "its own caller gets what it loaded");
        assert_eq!(cache.get(&key).await, None, "but it is not kept");
    }
}
