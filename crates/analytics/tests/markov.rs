//! The Markov predictor: back-off, decay, bounds, sessions and tenants, runs of blocks as one symbol.

#[path = "patterns/random.rs"]
mod random;

use prefix_indexer_analytics::{Markov, MarkovConfig, PrefixMarkov};
use random::Random;

fn best<S: Ord + Clone>(markov: &Markov<S>, context: &[S]) -> Option<S> {
    markov.predict(context, 1).into_iter().next().map(|(symbol, _)| symbol)
}

#[test]
fn fit_observe_predict() {
    let mut markov = Markov::default();
    assert_eq!(markov.predict(&['a'], 3), []);
    markov.fit(["abcabcabc".chars().collect::<Vec<_>>(), "abd".chars().collect()]);
    assert_eq!(best(&markov, &['a']), Some('b'));
    assert_eq!(best(&markov, &['a', 'b']), Some('c'));
    assert_eq!(best(&markov, &['c']), Some('a'));
    (0..9).for_each(|_| markov.observe(&['a', 'b'], &'d'));
    assert_eq!(best(&markov, &['a', 'b']), Some('d'));
    let next = markov.predict(&['a', 'b'], 9);
    let total: f64 = next.iter().map(|(_, probability)| probability).sum();
    assert!(total <= 1.0 + 1e-9 && total > 0.8 && next.is_sorted_by(|a, b| a.1 >= b.1), "{next:?}");
    assert_eq!(markov.predict(&['a'], 0), []);
}

/// Interpolated Witten-Bell by hand: after "x x y" the context x has been followed by x and y.
#[test]
fn probabilities() {
    let mut markov = Markov::new(MarkovConfig { order: 1, half_life: u32::MAX, ..MarkovConfig::default() });
    markov.fit([["x", "x", "y"]]);
    // Without context n = 3, d = 2: x 2/5, y 1/5. After x n = 2, d = 2: (1 + 2 x 2/5) / 4, (1 + 2 x 1/5) / 4.
    let near = |next: Vec<(&str, f64)>, expect: [(&str, f64); 2]| {
        assert_eq!(next.len(), 2);
        for (got, expect) in next.iter().zip(expect) {
            assert!(got.0 == expect.0 && (got.1 - expect.1).abs() < 1e-6, "{next:?}");
        }
    };
    near(markov.predict(&[], 5), [("x", 0.4), ("y", 0.2)]);
    near(markov.predict(&["x"], 5), [("x", 0.45), ("y", 0.35)]);
    near(markov.predict(&["never seen"], 5), [("x", 0.4), ("y", 0.2)]);
}

#[test]
fn longer_contexts_decide_and_unknown_ones_back_off() {
    // After "b" comes "c" or "d", depending on what was before it.
    let mut markov = Markov::default();
    markov.fit((0..20).map(|number| if number % 2 == 0 { ["a", "b", "c"] } else { ["z", "b", "d"] }));
    assert_eq!(best(&markov, &["a", "b"]), Some("c"));
    assert_eq!(best(&markov, &["z", "b"]), Some("d"));
    assert_eq!(best(&markov, &["q", "q", "a", "b"]), Some("c"));
    assert!(["c", "d"].contains(&best(&markov, &["q", "b"]).unwrap()));
    // Order four tells apart what order three cannot.
    let config = |order| MarkovConfig { order, ..MarkovConfig::default() };
    for (order, can) in [(3, false), (4, true), (9, true)] {
        let mut markov = Markov::new(config(order));
        markov.fit((0..20).map(|number| if number % 2 == 0 { [1, 0, 0, 0, 7] } else { [2, 0, 0, 0, 8] }));
        let both = best(&markov, &[1, 0, 0, 0]) == Some(7) && best(&markov, &[2, 0, 0, 0]) == Some(8);
        assert_eq!(both, can, "order {order}");
    }
}

#[test]
fn habits_change() {
    let mut markov = Markov::new(MarkovConfig { half_life: 50, ..MarkovConfig::default() });
    (0..1_000).for_each(|_| markov.observe(&["a"], &"old"));
    (0..100).for_each(|_| markov.observe(&["a"], &"new"));
    assert_eq!(best(&markov, &["a"]), Some("new"));
    let mut slow = Markov::new(MarkovConfig { half_life: 1_000_000, ..MarkovConfig::default() });
    (0..1_000).for_each(|_| slow.observe(&["a"], &"old"));
    (0..100).for_each(|_| slow.observe(&["a"], &"new"));
    assert_eq!(best(&slow, &["a"]), Some("old"));
}

#[test]
fn memory_is_bounded_and_what_is_used_stays() {
    let config = MarkovConfig { max_pairs: 1_000, max_successors: 8, half_life: 10_000, ..MarkovConfig::default() };
    let random = &mut Random(1);
    let mut runs = [Markov::new(config), Markov::new(config)];
    for step in 0..20_000u64 {
        let noise = [random.next(), random.next()];
        for markov in &mut runs {
            markov.observe(&noise, &(step % 100));
            markov.observe(&[1, 2], &3);
            assert!(markov.pairs() <= 1_000);
        }
    }
    let [one, other] = runs;
    assert_eq!(one, other, "eviction depends on nothing but the input");
    assert_eq!(best(&one, &[1, 2]), Some(3));
    assert!(one.pairs() > 700);
}

#[test]
fn state_survives_serialisation() {
    let mut markov = Markov::default();
    markov.fit(["to be or not to be".split(' ').map(str::to_owned).collect::<Vec<_>>()]);
    let back: Markov<String> = serde_json::from_str(&serde_json::to_string(&markov).unwrap()).unwrap();
    assert_eq!(back, markov);
    let mut prefixes = PrefixMarkov::default();
    prefixes.observe("acme", Some("s"), &[0, 1, 2]);
    prefixes.observe("acme", None, &[0, 1, 3]);
    let back: PrefixMarkov = serde_json::from_str(&serde_json::to_string(&prefixes).unwrap()).unwrap();
    assert_eq!(back, prefixes);
}

/// Three prompts of many blocks, asked for in turn, with a new question behind each.
#[test]
fn predicts_the_next_prefix_not_the_next_block() {
    let (mut markov, mut fresh) = (PrefixMarkov::default(), 60);
    let prompts: [Vec<u32>; 3] = [(0..20).collect(), (20..40).collect(), (40..60).collect()];
    // So that numbers count up, each prompt comes once by itself.
    prompts.iter().for_each(|prompt| markov.observe("acme", Some("warm-up"), prompt));
    let mut right = 0;
    for turn in 0..60 {
        let session = ["one", "two"][turn / 3 % 2];
        let prompt = &prompts[turn % 3];
        let predicted = markov.predict("acme", Some(session), 1);
        right += u32::from(turn >= 30 && predicted.first().is_some_and(|(run, _)| *run == prompt[0]));
        let mut chain = prompt.clone();
        chain.extend([fresh, fresh + 1]);
        fresh += 2;
        markov.observe("acme", Some(session), &chain);
    }
    assert_eq!(right, 30, "of the last 30");
    let (run, probability) = markov.predict("acme", Some("one"), 1)[0];
    assert!(probability > 0.6, "{probability}");
    assert_eq!(markov.runs().blocks(run).collect::<Vec<_>>(), prompts[0], "whole, and without the questions");
}

#[test]
fn tenants_and_sessions_are_apart() {
    let mut markov = PrefixMarkov::default();
    markov.observe("acme", Some("s"), &[0]);
    markov.observe("acme", Some("s"), &[1]);
    for _ in 0..20 {
        markov.observe("acme", Some("s"), &[0]);
        markov.observe("acme", Some("s"), &[1]);
    }
    assert_eq!(markov.predict("globex", Some("s"), 5), []);
    assert_eq!(markov.predict("acme", Some("s"), 1)[0].0, 0);
    // Another session is elsewhere in the same habit; a new one starts from frequencies alone.
    markov.observe("acme", Some("t"), &[0]);
    assert_eq!(markov.predict("acme", Some("t"), 1)[0].0, 1);
    assert!(markov.predict("acme", Some("new"), 1)[0].1 < 0.6);
    markov.observe("acme", None, &[0]);
    assert_eq!(markov.predict("acme", None, 1)[0].0, 1);
    assert!(markov.predict("acme", Some(""), 1)[0].1 < 0.6);
}

#[test]
fn sessions_are_bounded() {
    let mut markov = PrefixMarkov::new(MarkovConfig { max_sessions: 100, ..MarkovConfig::default() });
    for number in 0..1_000 {
        markov.observe("acme", Some(&format!("s{number}")), &[0, 1]);
        markov.observe("acme", Some("busy"), &[0, 1]);
        assert!(markov.sessions() <= 100);
    }
    assert!(markov.sessions() > 80);
    markov.observe("acme", Some("busy"), &[]);
    assert!(!markov.predict("acme", Some("busy"), 1).is_empty());
    let mut none = PrefixMarkov::new(MarkovConfig { max_sessions: 0, max_pairs: 0, ..MarkovConfig::default() });
    none.observe("acme", None, &[0]);
    assert_eq!((none.sessions(), none.pairs()), (0, 0));
}

#[test]
fn habits_outlive_what_is_forgotten_around_them() {
    let mut markov = PrefixMarkov::default();
    // A hundred prefixes once each, then a habit of two.
    (0..100).for_each(|block| markov.observe("acme", Some("others"), &[block]));
    markov.observe("acme", Some("s"), &[100]);
    markov.observe("acme", Some("s"), &[101]);
    for _ in 0..10 {
        markov.observe("acme", Some("s"), &[100]);
        markov.observe("acme", Some("s"), &[101]);
    }
    let before = markov.predict("acme", Some("s"), 1)[0];
    let keep: Vec<bool> = (0..102).map(|block| block >= 90).collect();
    let numbers = markov.retain(&keep);
    assert_eq!((numbers[89], numbers[90], numbers[100], markov.runs().len()), (None, Some(0), Some(10), 12));
    let after = markov.predict("acme", Some("s"), 1)[0];
    assert_eq!((before.0, after.0), (100, 10));
    assert!((before.1 - after.1).abs() < 0.1, "{before:?} {after:?}");
    assert_eq!(markov.predict_after("acme", &[10], 1)[0].0, 11);
    assert_eq!(markov.predict_after("globex", &[10], 1), []);
    let pairs = markov.pairs();
    markov.retain(&[]);
    assert_eq!((markov.pairs(), markov.predict("acme", Some("s"), 1)), (0, Vec::new()), "of {pairs}");
}
