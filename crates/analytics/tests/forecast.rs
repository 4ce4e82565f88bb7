//! What is learned from a stream of uses: probabilities, a choice of policy, and state that can be kept.

use prefix_indexer_analytics::{
    Effort, Forecaster, LEARNED, Learner, Model,
    policies::{self, PrefixFacts},
};
use prefix_indexer_models::{IndexSpec, Ladder, PrefixEvent, PrefixTable, Rank, Shard};

fn next(seed: &mut u64, below: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

/// Uses in the order of time: `hot` prefixes come back all the time, all others once.
fn events(count: u64, hot: u64) -> Vec<PrefixEvent> {
    let mut seed = 5;
    let event = |number: u64| PrefixEvent {
        prefix_id: if next(&mut seed, 2) == 0 {
            format!("hot-{}", next(&mut seed, hot))
        } else {
            format!("once-{number}")
        },
        tenant: "t".to_owned(),
        model_id: "m".to_owned(),
        bytes: 100,
        timestamp_ms: 1_700_000_000_000 + number * 50,
        depth: Some(0),
        ..PrefixEvent::default()
    };
    (0..count).map(event).collect()
}

fn taught(events: &[PrefixEvent], room: usize) -> Learner {
    let mut learner = Learner::with_room(&Ladder::default(), room);
    learner.observe(&events.iter().cloned().collect());
    learner
}

#[test]
fn what_comes_back_is_told_from_what_does_not() {
    let events = events(40_000, 300);
    let learner = taught(&events, 100_000);
    let spec = IndexSpec::default();
    let mut table = PrefixTable::new(spec.clone());
    let batch = events.iter().cloned().collect();
    let mut hashes = Vec::new();
    PrefixTable::hashes(&spec, &batch, &mut hashes);
    table.fold(&batch, &hashes, Shard::WHOLE, |_| ());
    let now_ms = events.last().unwrap().timestamp_ms + 1;
    let outlook = learner.model().outlook(now_ms, 60_000);
    let (mut hot, mut once) = (Vec::new(), Vec::new());
    for row in table.rows() {
        let probability = outlook.probability(&PrefixFacts::new(row.tally, row.sums, false));
        assert!((0.0..=1.0).contains(&probability));
        let age_ms = now_ms - row.tally.last_seen_ms;
        if row.prefix_id.starts_with("hot") {
            hot.push(probability);
        } else if age_ms > 60_000 {
            once.push(probability);
        }
    }
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    // A hot prefix is used every 30 s on average: 1 - e^-2 = 0.86 within a minute.
    assert!((mean(&hot) - 0.86).abs() < 0.06, "{}", mean(&hot));
    assert!(mean(&once) < 0.02, "{}", mean(&once));
}

#[test]
fn predictions_are_calibrated_on_time_not_yet_learned_from() {
    let learner = taught(&events(120_000, 300), 200_000);
    let (horizon_ms, reliability) = learner.model().reliability().next().unwrap();
    assert_eq!(horizon_ms, 60_000);
    let ratio = reliability.ratio().unwrap();
    assert!((0.9..1.1).contains(&ratio), "expected over observed: {ratio}");
}

#[test]
fn memory_is_bounded_and_the_sample_says_the_same() {
    let events = events(40_000, 300);
    let learner = taught(&events, 1_000);
    assert!(learner.followed() <= 1_000 && learner.share() < 0.2, "{} {}", learner.followed(), learner.share());
    let bytes = serde_json::to_vec(&learner).unwrap().len();
    assert!(bytes < 4 << 20, "{bytes}");
    let all = taught(&events, 100_000);
    assert_eq!((all.share(), all.followed() > 10_000), (1.0, true));
    let share = |learner: &Learner, policy: &str| {
        let shares = learner.model().choice().shares;
        shares.iter().find(|share| share.policy == policy).map(|share| share.share).unwrap()
    };
    assert!((share(&learner, "most-frequent") - share(&all, "most-frequent")).abs() < 0.2);
}

#[test]
fn kept_state_goes_on_as_if_it_had_never_been_written() {
    let events = events(20_000, 300);
    for cut in [0, 1, 777, 12_345] {
        let mut learner = taught(&events[..cut], 2_000);
        learner = serde_json::from_slice(&serde_json::to_vec(&learner).unwrap()).unwrap();
        learner.observe(&events[cut..].iter().cloned().collect());
        // JSON may round the last digit of a number.
        let facts = |model: &Model| -> Vec<i64> {
            let decided = model.reliability().map(|(_, table)| table.total().observed as i64);
            let shares = model.choice().shares.into_iter().map(|share| (share.share * 1e6).round() as i64);
            decided.chain(shares).collect()
        };
        assert_eq!(facts(learner.model()), facts(taught(&events, 2_000).model()), "cut at {cut}");
    }
}

#[test]
fn state_that_does_not_fit_together_is_refused() {
    let state = serde_json::to_value(taught(&events(2_000, 50), 500)).unwrap();
    let check = |pointer: &str, value: serde_json::Value, expect: &str| {
        let mut state = state.clone();
        *state.pointer_mut(pointer).unwrap() = value;
        let error = serde_json::from_value::<Learner>(state).unwrap_err().to_string();
        assert!(error.contains(expect), "{pointer}: {error}");
    };
    check("/version", 1.into(), "version 1");
    check("/names", serde_json::json!([1, 2]), "names");
    check("/forecaster/blocks/sums", serde_json::json!([1.0]), "sums");
    check("/forecaster/model/horizons/0/experts/0/weights", serde_json::json!([]), "weights");
    check("/forecaster/model/ledger/policies", serde_json::json!([]), "ledger");
    check("/forecaster/samples", serde_json::json!([]), "samples");
}

#[test]
fn two_indexes_know_more_than_one() {
    let (mut one, other) = (taught(&events(5_000, 50), 10_000), taught(&events(20_000, 50), 10_000));
    let count = |learner: &Learner| learner.model().reliability().next().unwrap().1.total().count;
    let before = (count(&one), count(&other));
    one.merge(&other);
    assert_eq!(count(&one), before.0 + before.1);
}

#[test]
fn a_forecaster_ranks_by_the_policy_that_it_says() {
    let ladder = Ladder::new(&policies::REPLAY_HALF_LIVES_MS).unwrap();
    let mut forecaster = Forecaster::new(&ladder, Effort::replay());
    assert!(forecaster.is_empty() && forecaster.choice().why.contains("no plan"));
    let mut seed = 3;
    let mut blocks = 0;
    // Twenty conversations that grow by a block a request, and requests that are never seen again.
    let mut chains: Vec<Vec<u32>> = vec![Vec::new(); 20];
    for step in 0..6_000_u64 {
        let mut once = Vec::new();
        let chain = if step % 2 == 0 { &mut chains[next(&mut seed, 20) as usize] } else { &mut once };
        chain.push(blocks);
        blocks += 1;
        forecaster.observe(step * 200, None, chain, |_| 1);
    }
    let choice = forecaster.choice();
    assert!(choice.why.contains(&choice.policy) && choice.shares.len() == policies::names(&ladder).len());
    assert!(choice.policy == LEARNED || policies::names(&ladder).contains(&choice.policy));
    let mut ranks = Vec::new();
    forecaster.rank(1_200_000, 60_000, &mut ranks);
    assert_eq!(ranks.len(), blocks as usize);
    let of = |block: u32| -> Rank { ranks[block as usize] };
    let worst = chains.iter().flatten().map(|&block| of(block)).min().unwrap();
    // All conversations go on; of the others nothing comes back.
    let above = (0..blocks).filter(|block| !chains.iter().any(|chain| chain.contains(block)) && of(*block) > worst);
    assert!(above.count() < 30);
}
