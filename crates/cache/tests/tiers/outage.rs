//! A dead tier costs little, loses nothing, and serves nothing stale when it is back.

use crate::faulty::{Call, Faulty, Mode};
use prefix_indexer_cache::{CacheBackend, CacheBackendExt, CacheError, CacheManager, Entry, Pattern, TierOptions};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// Time-out 1 s, left alone for 5 s.
fn cache(tiers: &[&Arc<Faulty>]) -> CacheManager {
    let options = TierOptions { timeout: SECOND, retry_after: SECOND * 5, ..TierOptions::default() };
    let mut builder = CacheManager::builder();
    for tier in tiers {
        builder = builder.tier_with(Arc::clone(tier) as Arc<dyn CacheBackend>, options.clone());
    }
    builder.build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_stalled_tier_costs_its_time_out_once_a_window() {
    let (upper, lower) = (Faulty::new(), Faulty::new());
    let cache = cache(&[&upper, &lower]);
    for i in 0..100 {
        lower.memory.set_value(&i.to_string(), "value".into()).await.unwrap();
    }
    upper.set_mode(Mode::Stalled);
    for _window in 0..3 {
        let began = Instant::now();
        for i in 0..100 {
            assert_eq!(cache.get(&i.to_string()).await.unwrap().value, "value");
        }
        assert_eq!(began.elapsed(), SECOND);
        tokio::time::sleep(SECOND * 5).await;
    }
    assert_eq!(upper.calls(), 3);
    let stats = cache.stats().await;
    let tier = &stats.tiers[0];
    assert_eq!((tier.up, tier.hits, tier.misses, tier.timeouts, tier.open), (false, 0, 0, 3, 297));
    assert_eq!((stats.hits, stats.tiers[1].hits, stats.tiers[1].up), (300, 300, true));
}

#[tokio::test(start_paused = true)]
async fn a_failing_tier_is_left_alone_after_a_few_errors_and_comes_back() {
    let (upper, lower) = (Faulty::new(), Faulty::new());
    let cache = cache(&[&upper, &lower]);
    upper.set_mode(Mode::Down);
    for _ in 0..50 {
        assert_eq!(cache.get("key").await, None);
    }
    assert_eq!(upper.calls(), 3);
    upper.set_mode(Mode::Up);
    tokio::time::sleep(SECOND * 5).await;
    assert_eq!(cache.get("key").await, None);
    let tier = &cache.stats().await.tiers[0];
    assert_eq!((tier.up, tier.errors, tier.open, tier.misses), (true, 3, 47, 1));
    let asked = tier.hits + tier.misses + tier.errors + tier.timeouts + tier.open + tier.behind;
    assert_eq!(asked, 51, "each read is counted once");
}

/// However many keys a read is for, it fails once; and answers that are all errors are no sign of life.
#[tokio::test(start_paused = true)]
async fn a_tier_that_fails_for_all_of_many_keys_is_left_alone() {
    for keys in [&["a"][..], &["a", "b", "c"]] {
        let (upper, lower) = (Faulty::new(), Faulty::new());
        let cache = cache(&[&upper, &lower]);
        upper.set_mode(Mode::Down);
        for _ in 0..50 {
            assert_eq!(cache.get_many(keys).await, vec![None; keys.len()]);
        }
        let asked = keys.len() as u64;
        assert_eq!(upper.calls(), 3 * asked, "a call a key");
        let tier = &cache.stats().await.tiers[0];
        assert_eq!((tier.up, tier.errors, tier.open), (false, 3 * asked, 47 * asked));
    }
}

#[tokio::test(start_paused = true)]
async fn writes_are_ok_only_if_every_tier_took_them() {
    let (upper, lower) = (Faulty::new(), Faulty::new());
    let cache = cache(&[&upper, &lower]);
    assert!(cache.set("key", Entry::new("value")).await.is_ok());
    lower.set_mode(Mode::Down);
    let report = cache.set("key", Entry::new("value")).await;
    let results: Vec<(&str, bool)> = report.tiers().map(|(name, result)| (name, result.is_ok())).collect();
    assert_eq!(results, [("faulty", true), ("faulty-2", false)]);
    assert!(matches!(report.into_result(), Err(CacheError::Backend { .. })));
    lower.set_mode(Mode::Stalled);
    let began = Instant::now();
    let report = cache.delete("key").await;
    assert!(matches!(report.into_result(), Err(CacheError::TimedOut { .. })));
    assert_eq!(began.elapsed(), SECOND);
    assert!(matches!(cache.delete("other").await.into_result(), Err(CacheError::Open { .. })));
}

/// For each way of being down and each change that is missed: what the tier held before is never served again, before or
/// after it is back.
#[tokio::test(start_paused = true)]
async fn a_tier_that_missed_a_change_never_serves_what_it_held() {
    #[derive(Debug, Clone, Copy)]
    enum Missed {
        Set,
        Delete,
        Clear,
        ClearThenSet,
    }
    for mode in [Mode::Down, Mode::DownAfterEffect, Mode::Stalled] {
        for missed in [Missed::Set, Missed::Delete, Missed::Clear, Missed::ClearThenSet] {
            let (upper, lower) = (Faulty::new(), Faulty::new());
            let cache = cache(&[&upper, &lower]);
            assert!(cache.set("key", Entry::new("old")).await.is_ok());
            assert!(cache.set("other", Entry::new("kept")).await.is_ok());
            lower.set_mode(mode);
            let report_is_ok = match missed {
                Missed::Set => cache.set("key", Entry::new("new")).await.is_ok(),
                Missed::Delete => cache.delete("key").await.is_ok(),
                Missed::Clear => cache.clear(&Pattern::new("k*")).await.is_ok(),
                Missed::ClearThenSet => {
                    drop(cache.clear(&Pattern::new("k*")).await);
                    cache.set("key", Entry::new("new")).await.is_ok()
                }
            };
            assert!(!report_is_ok, "{mode:?} {missed:?}");
            // The upper tier loses everything, as a restart or eviction would have it.
            upper.memory.clear_all().await.unwrap();
            let expect = match missed {
                Missed::Set | Missed::ClearThenSet => Some("new"),
                Missed::Delete | Missed::Clear => None,
            };
            let read = async || cache.get("key").await.map(|entry| String::from_utf8(entry.value.to_vec()).unwrap());
            assert_eq!(read().await, None, "{mode:?} {missed:?}: while it is down nobody knows");
            lower.set_mode(Mode::Up);
            for _ in 0..200 {
                let found = read().await;
                assert!(found.is_none() || found.as_deref() == expect, "{mode:?} {missed:?}: {found:?}");
                tokio::time::sleep(SECOND / 10).await;
            }
            assert_eq!(read().await.as_deref(), expect, "{mode:?} {missed:?}: nothing is lost");
            assert_eq!(cache.get("other").await.unwrap().value, "kept");
            let tier = &cache.stats().await.tiers[1];
            assert!(tier.up && tier.pending == 0 && tier.replayed > 0, "{mode:?} {missed:?}: {tier:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_missed_value_that_has_outlived_itself_is_replayed_as_a_delete() {
    let (upper, lower) = (Faulty::new(), Faulty::new());
    let cache = cache(&[&upper, &lower]);
    assert!(cache.set("key", Entry::new("old")).await.is_ok());
    lower.set_mode(Mode::Down);
    assert!(!cache.set("key", Entry::new("new").with_ttl(SECOND * 3)).await.is_ok());
    tokio::time::sleep(SECOND * 20).await;
    lower.set_mode(Mode::Up);
    tokio::time::sleep(SECOND * 20).await;
    assert_eq!(lower.memory.get("key").await.unwrap(), None);
    assert_eq!(cache.get("key").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_given_up_on_and_lands_late_is_undone() {
    let (upper, lower) = (Faulty::new(), Faulty::new());
    let cache = cache(&[&upper, &lower]);
    let gate = lower.gate(Call::Set, "key");
    assert!(!cache.set("key", Entry::new("first")).await.is_ok());
    gate.reached().await;
    // Its turn is over, the call hangs on, newer writes come.
    assert!(!cache.set("key", Entry::new("second")).await.is_ok());
    tokio::time::sleep(SECOND * 6).await;
    assert!(matches!(cache.delete("key").await.into_result(), Err(CacheError::Deferred { .. })));
    gate.open();
    tokio::time::sleep(SECOND / 100).await;
    upper.memory.clear_all().await.unwrap();
    assert_eq!(cache.get("key").await, None);
    tokio::time::sleep(SECOND * 6).await;
    assert_eq!(lower.memory.get("key").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_leaves_no_tier_behind() {
    let (upper, lower) = (Faulty::new(), Faulty::new());
    let cache = cache(&[&upper, &lower]);
    assert!(cache.set("key", Entry::new("old")).await.is_ok());
    let gate = lower.gate(Call::Set, "key");
    let writer = tokio::spawn({
        let cache = cache.clone();
        async move { drop(cache.set("key", Entry::new("new")).await) }
    });
    gate.reached().await;
    writer.abort();
    assert!(writer.await.unwrap_err().is_cancelled());
    gate.open();
    tokio::time::sleep(SECOND / 100).await;
    assert_eq!(lower.memory.get_value("key").await.unwrap().unwrap(), "new");
}

#[tokio::test(start_paused = true)]
async fn reads_go_on_while_every_tier_is_dead() {
    let only = Faulty::new();
    let cache = cache(&[&only]);
    only.set_mode(Mode::Stalled);
    let began = Instant::now();
    let loaded = cache.get_or_load("key", None, || async { Ok(Entry::new("loaded")) }).await.unwrap();
    assert_eq!(loaded.value, "loaded");
    assert!(began.elapsed() <= SECOND, "one time-out, not one a call");
    assert_eq!(cache.get_many(&["key", "other"]).await, [None, None]);
    assert!(!CacheBackend::exists(&cache, "key").await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn many_keys_skip_what_a_tier_is_behind_on() {
    let (upper, lower) = (Faulty::new(), Faulty::new());
    let cache = cache(&[&upper, &lower]);
    for key in ["a", "b"] {
        assert!(cache.set(key, Entry::new("old")).await.is_ok());
    }
    upper.set_mode(Mode::Down);
    assert!(!cache.set("a", Entry::new("new")).await.is_ok());
    upper.set_mode(Mode::Up);
    let values: Vec<_> = cache.get_many(&["a", "b", "c"]).await.into_iter().map(|e| e.map(|e| e.value)).collect();
    assert_eq!(values, [Some("new".into()), Some("old".into()), None]);
    let tier = &cache.stats().await.tiers[0];
    assert_eq!((tier.behind, tier.hits, tier.misses), (1, 1, 1));
}
