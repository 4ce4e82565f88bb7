//! A cache warmed from keys, sizes and times alone.

use prefix_indexer_analytics::{CacheWarmer, WarmerConfig};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

fn every(warmer: &mut CacheWarmer<&'static str>, key: &'static str, bytes: u64, gap_ms: u64, until_ms: u64) {
    (0..=until_ms / gap_ms).for_each(|run| warmer.record_access(key, bytes, run * gap_ms));
}

#[test]
fn defaults() {
    let config = WarmerConfig::default();
    assert_eq!((config.look_ahead_ms, config.least_per_hour), (300_000, 1.0));
}

#[test]
fn score_is_frequency_times_recency_times_size() {
    let mut warmer = CacheWarmer::default();
    every(&mut warmer, "small", 1024, 4 * MINUTE, 2 * HOUR); // 31 accesses in 2 h
    let plan = warmer.plan(2 * HOUR + MINUTE, u64::MAX, |_| false);
    let expect = 15.5 * (-1.0 / 60.0_f64).exp() / 2.0;
    assert_eq!(plan.entries.len(), 1);
    assert!((plan.entries[0].score - expect).abs() < 1e-9, "{plan:?}");
    assert_eq!((plan.entries[0].due_ms, plan.estimated_bytes), (2 * HOUR + 4 * MINUTE, 1024));
    assert_eq!(plan.estimated_hit_improvement, 1.0);
}

#[test]
fn plans_in_descending_score_within_the_bytes() {
    let mut warmer = CacheWarmer::default();
    every(&mut warmer, "large", 100_000, 2 * MINUTE, 2 * HOUR);
    every(&mut warmer, "medium", 4_000, 2 * MINUTE, 2 * HOUR);
    every(&mut warmer, "small", 1_000, 2 * MINUTE, 2 * HOUR);
    let keys = |bytes| {
        let plan = warmer.plan(2 * HOUR, bytes, |_| false);
        let total: u64 = plan.entries.iter().map(|entry| entry.bytes).sum();
        assert_eq!(plan.estimated_bytes, total);
        assert!(total <= bytes && plan.entries.is_sorted_by(|a, b| a.score >= b.score));
        let share = plan.entries.len() as f64 / 3.0;
        assert!((plan.estimated_hit_improvement - share).abs() < 1e-9, "{plan:?}");
        plan.entries.iter().map(|entry| entry.key).collect::<Vec<_>>()
    };
    assert_eq!(keys(u64::MAX), ["small", "medium", "large"]);
    assert_eq!(keys(104_999), ["small", "medium"]);
    assert_eq!(keys(101_000), ["small", "medium"]);
    assert_eq!(keys(3_999), ["small"]);
    assert_eq!(keys(999), [] as [&str; 0]);
    let plan = warmer.plan(2 * HOUR, u64::MAX, |&key| key == "small");
    assert_eq!(plan.entries.iter().map(|entry| entry.key).collect::<Vec<_>>(), ["medium", "large"]);
    assert!((plan.estimated_hit_improvement - 2.0 / 3.0).abs() < 1e-9);
}

#[test]
fn only_what_is_frequent_and_due() {
    let check = |gap_ms, now_ms, planned| {
        let mut warmer = CacheWarmer::default();
        every(&mut warmer, "key", 1, gap_ms, 30 * HOUR);
        let plan = warmer.plan(now_ms, u64::MAX, |_| false);
        assert_eq!(!plan.entries.is_empty(), planned, "every {gap_ms} at {now_ms}");
        assert!((0.0..=1.0).contains(&plan.estimated_hit_improvement));
    };
    check(30 * MINUTE, 30 * HOUR, false); // due in half an hour
    check(30 * MINUTE, 30 * HOUR + 24 * MINUTE, false);
    check(30 * MINUTE, 30 * HOUR + 25 * MINUTE, true);
    check(30 * MINUTE, 30 * HOUR + 31 * MINUTE, false); // one missed: the next is due on the hour
    check(30 * MINUTE, 30 * HOUR + 56 * MINUTE, true);
    check(2 * HOUR, 32 * HOUR - MINUTE, false); // less than one an hour
    // One access, or two at one time, have no frequency.
    let mut warmer = CacheWarmer::default();
    [("once", 0), ("twice", 5), ("twice", 5)]
        .into_iter()
        .for_each(|(key, time_ms)| warmer.record_access(key, 1, time_ms));
    let plan = warmer.plan(10, u64::MAX, |_| false);
    assert_eq!((plan.entries.len(), plan.estimated_hit_improvement), (0, 0.0));
    assert_eq!(CacheWarmer::<u8>::default().plan(0, 1, |_| false).estimated_hit_improvement, 0.0);
}

#[test]
fn hot_keys() {
    let mut warmer = CacheWarmer::default();
    every(&mut warmer, "hourly", 1, HOUR, 6 * HOUR);
    every(&mut warmer, "often", 1, MINUTE, 6 * HOUR);
    every(&mut warmer, "stale", 1, MINUTE, HOUR);
    let keys = |count| warmer.top_hot_keys(count).iter().map(|hot| hot.key).collect::<Vec<_>>();
    assert_eq!(keys(9), ["often", "hourly", "stale"]);
    assert_eq!(keys(1), ["often"]);
    assert_eq!(keys(0), [] as [&str; 0]);
    assert!((warmer.pattern(&"often").unwrap().uses_per_hour() - 361.0 / 6.0).abs() < 1e-9);
}

#[test]
fn keys_are_bounded_and_the_coldest_go() {
    let mut warmer = CacheWarmer::new(WarmerConfig { max_keys: 80, ..WarmerConfig::default() });
    for round in 0..1_000u64 {
        warmer.record_access(round, 1, round * 1_000);
        warmer.record_access(7, 1, round * 1_000);
        assert!(warmer.len() <= 80);
    }
    assert!(warmer.len() >= 70 && warmer.pattern(&7).is_some() && warmer.pattern(&999).is_some());
    assert!(warmer.pattern(&500).is_none());
    let mut none = CacheWarmer::new(WarmerConfig { max_keys: 0, ..WarmerConfig::default() });
    none.record_access("key", 1, 1);
    assert!(none.is_empty());
}
