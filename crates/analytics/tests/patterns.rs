//! Access patterns: uses an hour, next use, period state that stays small, parts that merge.

#[path = "patterns/random.rs"]
mod random;

use prefix_indexer_analytics::{AccessPattern, MAX_PERIOD_POINTS, top_hot, uses_per_hour};
use prefix_indexer_models::Tally;
use random::Random;

fn pattern(times_ms: &[u64]) -> AccessPattern {
    let mut pattern = AccessPattern::default();
    times_ms.iter().for_each(|&time_ms| pattern.record(time_ms, 1));
    pattern
}

#[test]
fn uses_an_hour_over_the_recorded_span() {
    let check = |times_ms: &[u64], expect: f64| {
        let rate = pattern(times_ms).uses_per_hour();
        assert!((rate - expect).abs() < 1e-9, "{times_ms:?}: {rate}");
    };
    check(&[], 0.0);
    check(&[5], 0.0);
    check(&[5, 5, 5], 0.0); // no span
    check(&[0, 3_600_000], 2.0);
    check(&[0, 600_000, 1_800_000], 6.0);
    check(&[7_200_000, 0, 3_600_000], 1.5); // out of order
}

#[test]
fn next_use_by_smoothed_gaps() {
    let check = |times_ms: &[u64], expect| assert_eq!(pattern(times_ms).next_use_ms(), expect, "{times_ms:?}");
    check(&[], None);
    check(&[1_000], None);
    check(&[1_000, 1_000], None);
    check(&[1_000, 3_000], Some(5_000));
    check(&[0, 1_000, 3_000], Some(3_000 + 1_300));
    check(&[0, 1_000, 3_000, 3_500], Some(3_500 + 1_060));
}

#[test]
fn due_follows_the_period_where_there_is_one() {
    let hourly = pattern(&[0, 3_600_000, 7_200_000, 10_800_000]);
    assert_eq!(hourly.period().unwrap().period_ms, 3_600_000);
    assert_eq!(hourly.due_ms(10_800_000), Some(14_400_000));
    assert_eq!(hourly.due_ms(14_400_001), Some(18_000_000));
    let twice = pattern(&[0, 1_000]);
    assert_eq!(twice.due_ms(1_500), Some(2_000));
    assert_eq!(twice.due_ms(9_000), Some(9_000)); // overdue: any time now
    assert_eq!(pattern(&[0]).due_ms(0), None);
}

#[test]
fn times_are_kept_from_the_fourth_use_and_never_more_than_the_limit() {
    let random = &mut Random(3);
    let mut pattern = AccessPattern::default();
    let mut now = 0;
    for count in 1..=20_000u64 {
        now += 1 + random.gap(60_000.0) as u64;
        pattern.record(now, 1);
        assert_eq!(pattern.times().is_some(), count >= 4);
        let kept = pattern.times().map_or(0, |times| times.as_slice().len());
        assert!(kept <= MAX_PERIOD_POINTS && kept as u64 >= count.min(48) * u64::from(count >= 4), "{kept} of {count}");
    }
    assert_eq!(pattern.times().unwrap().as_slice().last(), Some(&now));
}

#[test]
fn bursts_do_not_push_history_out() {
    // A hundred days of fifty quick uses each: the list reaches back over weeks of starts.
    let random = &mut Random(4);
    let day = 86_400_000;
    let mut pattern = AccessPattern::default();
    for number in 0..100 {
        let mut now = number * day + random.below(day / 10);
        for _ in 0..50 {
            pattern.record(now, 1);
            now += 1 + random.gap(3_000.0) as u64;
        }
    }
    let found = pattern.period().unwrap();
    assert!((found.period_ms as f64 / day as f64 - 1.0).abs() < 0.05, "{found:?}");
    let times = pattern.times().unwrap().as_slice();
    assert!(times.last().unwrap() - times[0] > 30 * day, "{} days", (times.last().unwrap() - times[0]) / day);
}

#[test]
fn what_looked_like_a_burst_may_become_the_habit() {
    let mut pattern = AccessPattern::default();
    let (mut now, mut start) = (0, 0);
    for _ in 0..40 {
        start += 3_600_000;
        now = start;
        (0..10).for_each(|use_| pattern.record(now + use_ * 5_000, 1));
    }
    (0..2_000u64).for_each(|_| {
        now += 5_000;
        pattern.record(now + 50_000, 1);
    });
    assert_eq!(pattern.period().unwrap().period_ms, 5_000);
}

#[test]
fn parts_merge() {
    let random = &mut Random(5);
    let times: Vec<u64> = (0..60).map(|run| run * 600_000 + random.below(60_000)).collect();
    let whole = pattern(&times);
    for cut in [0, 1, 2, 4, 17, 30, 58, 60] {
        let mut older_first = pattern(&times[..cut]);
        older_first.merge(&pattern(&times[cut..]));
        assert_eq!(older_first.times(), whole.times(), "cut {cut}");
        assert_eq!(older_first.tally().hit_count, 60);
        let mut newer_first = pattern(&times[cut..]);
        newer_first.merge(&pattern(&times[..cut]));
        assert_eq!(newer_first.times(), whole.times(), "cut {cut}");
        assert_eq!(newer_first.period(), whole.period(), "cut {cut}");
    }
    // Parts that overlap in time: every other use.
    let (mut even, odd): (AccessPattern, AccessPattern) = (
        pattern(&times.iter().copied().step_by(2).collect::<Vec<_>>()),
        pattern(&times.iter().copied().skip(1).step_by(2).collect::<Vec<_>>()),
    );
    even.merge(&odd);
    assert_eq!(even.times(), whole.times());
}

#[test]
fn a_tally_of_an_index_is_enough_to_begin() {
    let times = [0, 600_000, 1_200_000, 1_800_000];
    let mut from_index = AccessPattern::of(pattern(&times[..3]).tally(), None);
    from_index.record(times[3], 1);
    assert_eq!(from_index.period().unwrap().period_ms, 600_000);
    // A longer history has lost its times: it starts anew with the last.
    let mut late = AccessPattern::of(pattern(&[0, 1_000, 2_000, 3_000, 4_000, 5_000]).tally(), None);
    late.record(700_000, 1);
    assert_eq!(late.times().unwrap().as_slice(), [700_000]);
}

#[test]
fn state_survives_serialisation() {
    let pattern = pattern(&(0..500u64).map(|run| run * run * 1_000).collect::<Vec<_>>());
    let text = serde_json::to_string(&pattern).unwrap();
    let mut back: AccessPattern = serde_json::from_str(&text).unwrap();
    assert_eq!(back, pattern);
    let mut on = pattern.clone();
    (0..100).for_each(|more| [&mut back, &mut on].into_iter().for_each(|p| p.record(260_000_000 + more * 7_000, 2)));
    assert_eq!(back, on);
}

#[test]
fn hottest_first() {
    let hour = 3_600_000;
    let tallies: Vec<Tally> = [&[0, hour][..], &[0, hour / 2, hour], &[hour], &[0, 1], &[0, hour / 4, hour / 2, hour]]
        .map(|times| *pattern(times).tally())
        .to_vec();
    let rows = || tallies.iter().enumerate();
    let hot = top_hot(rows(), hour, 3);
    // 0 and 1 ms: 2 uses in what counts as a minute, an hour ago: 120 / e.
    assert_eq!(hot.iter().map(|hot| hot.key).collect::<Vec<_>>(), [3, 4, 1]);
    assert!((hot[0].heat - 120.0 / std::f64::consts::E).abs() < 0.1, "{hot:?}");
    assert_eq!((hot[1].heat, hot[1].uses_per_hour), (4.0, 4.0));
    assert_eq!(hot[2].next_use_ms, Some(hour + hour / 2));
    assert_eq!(top_hot(rows(), hour, 0), []);
    assert_eq!(top_hot(rows(), hour, 99).len(), 5);
    // Many rows: the same as sorting all.
    let random = &mut Random(6);
    let many: Vec<Tally> =
        (0..2_000).map(|_| *pattern(&[random.below(1_000_000), random.below(hour)]).tally()).collect();
    let mut all: Vec<f64> = top_hot(many.iter().enumerate(), hour, 2_000).iter().map(|hot| hot.heat).collect();
    assert!(all.is_sorted_by(|a, b| a >= b));
    all.truncate(40);
    assert_eq!(top_hot(many.iter().enumerate(), hour, 40).iter().map(|hot| hot.heat).collect::<Vec<_>>(), all);
    assert!(many.iter().all(|tally| uses_per_hour(tally) >= 0.0));
}
