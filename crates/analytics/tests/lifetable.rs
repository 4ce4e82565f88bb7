//! Life tables on simulated prefixes whose chances are known: calibrated on time that was held back, exact in their counts.

#[path = "patterns/random.rs"]
mod random;

use prefix_indexer_analytics::{LifeTable, Reliability, Waiting};
use random::Random;

const MINUTE: u64 = 60_000;

/// How one prefix is used: times of use until the end of the simulation.
type Habit = fn(&mut Random, f64, f64) -> Vec<f64>;

/// Uses without memory, at a rate that differs from prefix to prefix.
fn steady(random: &mut Random, born: f64, end: f64) -> Vec<f64> {
    let mean_gap = 10_000.0 * 300.0_f64.powf(random.unit());
    let mut uses = vec![born];
    let mut now = born + random.gap(mean_gap);
    while now < end {
        uses.push(now);
        now += random.gap(mean_gap);
    }
    uses
}

/// Conversations: after each turn they go on with a chance of 80 %, some seconds to some minutes later.
fn conversation(random: &mut Random, born: f64, end: f64) -> Vec<f64> {
    let mut uses = vec![born];
    let mut now = born;
    while random.unit() < 0.8 {
        now += 5_000.0 + random.gap(40_000.0) + if random.unit() < 0.2 { random.gap(600_000.0) } else { 0.0 };
        if now >= end {
            break;
        }
        uses.push(now);
    }
    uses
}

/// Used once and never again.
fn once(_: &mut Random, born: f64, _: f64) -> Vec<f64> {
    vec![born]
}

fn mixed(random: &mut Random, born: f64, end: f64) -> Vec<f64> {
    let habit: Habit = match random.below(10) {
        0 => steady,
        1..5 => conversation,
        _ => once,
    };
    habit(random, born, end)
}

/// Uses of many prefixes in the order of time.
fn traffic(seed: u64, prefixes: usize, end: f64, habit: Habit) -> Vec<(u64, usize)> {
    let random = &mut Random(seed);
    let mut uses = Vec::new();
    for prefix in 0..prefixes {
        let born = random.unit() * end;
        uses.extend(habit(random, born, end).into_iter().map(|time| (time as u64, prefix)));
    }
    uses.sort_unstable();
    uses
}

/// A table and its prefixes, fed with uses.
struct Watch {
    table: LifeTable,
    prefixes: Vec<Option<Waiting>>,
}

impl Watch {
    fn new(prefixes: usize) -> Watch {
        Watch { table: LifeTable::default(), prefixes: vec![None; prefixes] }
    }

    fn see(&mut self, uses: &[(u64, usize)]) {
        for &(time_ms, prefix) in uses {
            let waiting = &mut self.prefixes[prefix];
            *waiting = Some(match waiting {
                Some(waiting) => self.table.reuse(waiting, time_ms),
                None => self.table.first_use(time_ms),
            });
        }
    }
}

#[test]
fn calibrated_on_time_held_back() {
    let check = |name: &str, habit: Habit, window_ms: u64| {
        let (prefixes, end) = (12_000, 4.0 * 3_600_000.0);
        let uses = traffic(1, prefixes, end, habit);
        let mut watch = Watch::new(prefixes);
        let cut = |time_ms: u64| uses.partition_point(|use_| use_.0 < time_ms);
        let train_until = (end * 0.6) as u64;
        watch.see(&uses[..cut(train_until)]);
        let model = watch.table.model(train_until);
        let (mut reliability, mut expected, mut observed) = (Reliability::default(), 0.0, 0.0);
        let mut seen = cut(train_until);
        for step in 0..20 {
            let now_ms = train_until + step * 4 * MINUTE;
            watch.see(&uses[seen..cut(now_ms)]);
            seen = cut(now_ms);
            let mut again = vec![0; prefixes];
            uses[seen..cut(now_ms + window_ms)].iter().for_each(|use_| again[use_.1] += 1);
            let expectations = model.expectations(window_ms);
            for (waiting, &again) in watch.prefixes.iter().zip(&again) {
                let Some(waiting) = waiting else { continue };
                reliability.record(model.probability(waiting, now_ms, window_ms), again > 0);
                expected += expectations.of(waiting, now_ms);
                observed += f64::from(again);
            }
        }
        let ratio = reliability.ratio().unwrap();
        println!("{name}, {window_ms} ms: {ratio:.3}, uses {:.3}", expected / observed);
        assert!((0.9..1.1).contains(&ratio), "{name}, {window_ms} ms: {ratio}");
        // Coarser: a prefix's rate is known by its class only, and a long window meets many classes.
        assert!((0.8..1.2).contains(&(expected / observed)), "{name}, {window_ms} ms: {expected} uses, {observed}");
        for (from, to, row) in reliability.rows().filter(|(_, _, row)| row.expected > 200.0) {
            let observed = row.observed as f64;
            assert!((row.expected / observed - 1.0).abs() < 0.25, "{name}, {window_ms} ms, {from} to {to}: {row:?}");
        }
    };
    for window_ms in [MINUTE, 5 * MINUTE] {
        check("steady", steady, window_ms);
        check("conversation", conversation, window_ms);
        check("mixed", mixed, window_ms);
    }
}

/// Uses without memory: the chance does not depend on the age, and the expected number is rate x window.
#[test]
fn uses_without_memory() {
    let habit: Habit = |random, born, end| {
        let mut uses = vec![born];
        while let Some(next) = uses.last().map(|last| last + random.gap(60_000.0)).filter(|&next| next < end) {
            uses.push(next);
        }
        uses
    };
    let uses = traffic(2, 1_000, 3_600_000.0, habit);
    let mut watch = Watch::new(1_000);
    watch.see(&uses);
    let model = watch.table.model(3_600_000);
    for (age_ms, window_ms) in
        [(0, 10_000), (0, 60_000), (20_000, 60_000), (100_000, 30_000), (0, 600_000), (50_000, 600_000)]
    {
        let waiting = Waiting { uses: 30, last_gap_ms: Some(60_000), last_use_ms: 1_000_000 };
        let now_ms = 1_000_000 + age_ms;
        let chance = model.probability(&waiting, now_ms, window_ms);
        let expect = 1.0 - (-(window_ms as f64) / 60_000.0).exp();
        assert!((chance - expect).abs() < 0.03, "{age_ms} + {window_ms}: {chance}, not {expect}");
        let number = model.expected_uses(&waiting, now_ms, window_ms);
        let expect = window_ms as f64 / 60_000.0;
        assert!((number / expect - 1.0).abs() < 0.08, "{age_ms} + {window_ms}: {number} uses, not {expect}");
        assert!(number >= chance);
    }
}

#[test]
fn those_who_wait_count() {
    // A hundred prefixes used at 0; ten of them again after a minute. The rest wait for an hour.
    let mut table = LifeTable::default();
    let first: Vec<Waiting> = (0..100).map(|_| table.first_use(0)).collect();
    let soon = table.model(30_000).probability(&first[0], 30_000, MINUTE);
    first[..10].iter().for_each(|waiting| assert_eq!(table.reuse(waiting, MINUTE).uses, 2));
    let model = table.model(60 * MINUTE);
    let chance = |age_ms, window_ms| model.probability(&first[20], age_ms, window_ms);
    assert_eq!(soon, 0.0);
    // The bin around a minute holds 10 of 100 at risk.
    let at = chance(0, 2 * MINUTE);
    assert!((at - 0.1).abs() < 0.02, "{at}");
    assert!(chance(3 * MINUTE, 10 * MINUTE) < 0.02);
    assert!(chance(0, 0) == 0.0 && chance(0, u64::MAX) <= 1.0 && chance(u64::MAX, u64::MAX) <= 1.0);
}

#[test]
fn thin_classes_borrow_from_coarser_ones() {
    let mut table = LifeTable::default();
    // Three uses ten seconds apart, a thousand times; then they stop.
    for number in 0..1_000 {
        let mut waiting = table.first_use(number * 100);
        for turn in 1..3 {
            waiting = table.reuse(&waiting, number * 100 + turn * 10_000);
        }
    }
    let model = table.model(10 * MINUTE);
    let chance = |uses, gap_ms| {
        let waiting = Waiting { uses, last_gap_ms: Some(gap_ms), last_use_ms: 0 };
        model.probability(&waiting, 0, MINUTE)
    };
    assert!(chance(2, 10_000) > 0.9, "seen");
    assert!(chance(3, 10_000) < 0.1, "seen to stop");
    // Nobody was used 17 times: as the others with such a gap, of which half went on.
    assert!((0.3..0.7).contains(&chance(17, 10_000)), "{}", chance(17, 10_000));
    // Nor with such a gap: as all.
    assert!((0.3..0.9).contains(&chance(17, 700_000)), "{}", chance(17, 700_000));
}

#[test]
fn a_use_at_the_same_time_or_earlier_is_no_reuse() {
    let mut table = LifeTable::default();
    let waiting = table.first_use(5_000);
    let unchanged = table.clone();
    assert_eq!(table.reuse(&waiting, 5_000), waiting);
    assert_eq!(table.reuse(&waiting, 4_000), waiting);
    assert_eq!(table, unchanged);
}

#[test]
fn forgotten_prefixes_wait_no_more() {
    let mut table = LifeTable::default();
    let kept = table.first_use(0);
    for _ in 0..1_000 {
        let gone = table.first_use(0);
        table.forget(&gone, 10_000);
    }
    let later = table.reuse(&kept, 2 * MINUTE);
    assert_eq!(later.last_gap_ms, Some(2 * MINUTE));
    // After ten seconds only one was at risk, and it was used: had the others stayed, the chance would be 0.1 %.
    let chance = table.model(3 * MINUTE).probability(&Waiting::first(0), MINUTE, 2 * MINUTE);
    assert!(chance > 0.3, "{chance}");
}

/// Shards of prefixes, folded apart and merged, give the very same table.
#[test]
fn shards_merge_exactly() {
    let uses = traffic(3, 2_000, 7_200_000.0, mixed);
    let mut whole = Watch::new(2_000);
    whole.see(&uses);
    for shards in [2, 3, 7] {
        let mut merged = LifeTable::default();
        for shard in 0..shards {
            let part: Vec<_> = uses.iter().copied().filter(|use_| use_.1 % shards == shard).collect();
            let mut watch = Watch::new(2_000);
            watch.see(&part);
            merged.merge(&watch.table);
        }
        assert_eq!(merged, whole.table, "{shards} shards");
    }
}

#[test]
fn order_within_a_moment_does_not_matter() {
    let uses = traffic(4, 500, 3_600_000.0, mixed);
    // Late by up to ten seconds, though for each prefix in order.
    let random = &mut Random(5);
    let mut late: Vec<(u64, (u64, usize))> = Vec::new();
    let mut delay = vec![0; 500];
    for &(time_ms, prefix) in &uses {
        delay[prefix] = (time_ms + random.below(10_000)).max(delay[prefix] + 1);
        late.push((delay[prefix], (time_ms, prefix)));
    }
    late.sort_unstable();
    let (mut one, mut other) = (Watch::new(500), Watch::new(500));
    one.see(&uses);
    other.see(&late.into_iter().map(|(_, use_)| use_).collect::<Vec<_>>());
    assert_eq!(one.table, other.table);
}

#[test]
fn state_is_small_and_survives_serialisation() {
    let mut watch = Watch::new(5_000);
    let uses = traffic(6, 5_000, 7_200_000.0, mixed);
    watch.see(&uses);
    let text = serde_json::to_string(&watch.table).unwrap();
    assert!(text.len() < 64 * 1024, "{} bytes", text.len());
    let back: LifeTable = serde_json::from_str(&text).unwrap();
    assert_eq!(back, watch.table);
    assert_eq!(back.model(7_200_000), watch.table.model(7_200_000));
}

#[test]
fn a_tally_says_who_waits() {
    use prefix_indexer_analytics::AccessPattern;
    let mut pattern = AccessPattern::default();
    let mut waiting = None;
    for time_ms in [1_000, 1_000, 4_000, 9_000, 9_000, 700_000] {
        pattern.record(time_ms, 1);
        waiting = Some(waiting.map_or(Waiting::first(time_ms), |waiting: Waiting| waiting.used(time_ms)));
        assert_eq!(Some(Waiting::of(pattern.tally())), waiting);
    }
}
