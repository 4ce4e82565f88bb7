//! The restart scenario: by hand on a trace of eight blocks, and against a naive one on random traces.

#![expect(clippy::unwrap_used, reason = "tests")]

use prefix_indexer_models::{EventBatch, PrefixEvent, Rank};
use prefix_indexer_simulator::{
    Capacity, Costs, History, Question, Ranker, Request, Scope, Share, Trace, TraceBuilder,
    scenarios::{
        restart::{self, Options, Row},
        scale_out,
    },
};
use proptest::prelude::*;
use std::{cell::RefCell, collections::HashSet, rc::Rc};

/// A trace of requests, each a time in milliseconds and a chain of ids.
fn trace<'a>(requests: impl IntoIterator<Item = (u64, Vec<&'a str>)>) -> Trace {
    let mut builder = TraceBuilder::new();
    for (time, ids) in requests {
        let event = |place: usize| PrefixEvent {
            prefix_id: ids[place].to_owned(),
            tenant: "t".to_owned(),
            model_id: "m".to_owned(),
            bytes: 10,
            timestamp_ms: time,
            parent_id: place.checked_sub(1).map(|parent| ids[parent].to_owned()),
            depth: Some(place as u32),
            ..PrefixEvent::default()
        };
        builder.push(&(0..ids.len()).map(event).collect::<EventBatch>()).unwrap();
    }
    builder.finish()
}

/// The moment is 50: what comes from there on is the future.
fn small() -> Trace {
    trace([
        (0, vec!["a", "b", "c"]),
        (10, vec!["d", "e"]),
        (20, vec!["a", "b"]),
        (30, vec!["f"]),
        (40, vec!["d"]),
        (50, vec!["a", "b", "c"]),
        (60, vec!["d", "e", "g"]),
        (100, vec!["h"]),
    ])
}

fn options(budgets: &[u64], horizons_ms: &[u64]) -> Options {
    Options {
        at: vec![Share::percent(50)],
        budgets: budgets.iter().copied().map(Capacity::Blocks).collect(),
        horizons_ms: horizons_ms.to_vec(),
        costs: Costs { tokens_per_block: Some(512), prefill_us_per_token: Some(10.0) },
        seed: 1,
    }
}

fn rows(trace: &Trace, options: &Options) -> Vec<Row> {
    let mut rankers = restart::formula_rankers(None).unwrap();
    restart::run(trace, options, &mut rankers, |_, _| ()).unwrap().rows
}

fn find<'a>(rows: &'a [Row], policy: &str, budget: u64, horizon_ms: u64) -> &'a Row {
    let wanted = |row: &&Row| (row.policy.as_str(), row.budget_blocks, row.horizon_ms) == (policy, budget, horizon_ms);
    rows.iter().find(wanted).unwrap()
}

#[test]
fn by_hand() {
    let rows = rows(&small(), &options(&[2, 3], &[20, 5]));
    let check = |policy, budget, horizon_ms, references, hits, recovered| {
        let row = find(&rows, policy, budget, horizon_ms);
        assert_eq!((row.references, row.hits, row.recovered), (references, hits, recovered), "{policy} {budget}");
    };
    // References a b c d e; g was never used before. The tier holds two or three blocks, so nothing stays by itself.
    for budget in [2, 3] {
        check("none", budget, 20, 5, 0, Some(0.0));
        check("clairvoyant", budget, 20, 5, budget, Some(1.0));
        check("clairvoyant", budget, 5, 3, budget, Some(1.0));
    }
    // Loads d and f, which a and b drive out, the last loaded first.
    check("most-recent", 2, 20, 5, 0, Some(0.0));
    // Loads d, f and a: a is last and would go first, but is used first.
    check("most-recent", 3, 20, 5, 1, Some(1.0 / 3.0));
    // Loads d, a and b: all three have two uses, d the newest, a is above b.
    check("most-frequent", 3, 20, 5, 2, Some(2.0 / 3.0));
    check("most-frequent", 2, 5, 3, 1, Some(0.5));
}

#[test]
fn reports_what_loading_cost_and_spared() {
    let rows = rows(&small(), &options(&[3], &[20]));
    let row = find(&rows, "most-frequent", 3, 20);
    assert_eq!((row.loaded_blocks, row.bytes_moved, row.used_blocks), (3, 30, 2));
    assert_eq!((row.precision, row.coverage), (Some(2.0 / 3.0), Some(0.4)));
    assert_eq!(row.prefix_hits, 2);
    assert_eq!(row.tokens_saved, Some(1_024));
    assert!((row.saved_ms.unwrap() - 10.24).abs() < 1e-9);
    let none = find(&rows, "none", 3, 20);
    assert_eq!((none.loaded_blocks, none.precision, none.coverage, none.tokens_saved), (0, None, Some(0.0), Some(0)));
}

#[test]
fn the_tier_holds_a_quarter_even_when_less_is_loaded() {
    // 8 unique blocks: a tier of two. One is loaded, the second place is free.
    let rows = rows(&small(), &options(&[1], &[20]));
    assert_eq!(find(&rows, "clairvoyant", 1, 20).hits, 1);
    // d is loaded and stays beside a until b comes: no hit either way.
    assert_eq!(find(&rows, "most-recent", 1, 20).hits, 0);
}

#[test]
fn moments_add_up_and_nothing_to_gain_is_null() {
    let mut options = options(&[3], &[20, 0]);
    options.at = vec![Share::percent(50), Share::percent(50)];
    let rows = rows(&small(), &options);
    let row = find(&rows, "most-frequent", 3, 20);
    assert_eq!((row.references, row.hits, row.recovered), (10, 4, Some(2.0 / 3.0)));
    let row = find(&rows, "most-frequent", 3, 0);
    assert_eq!((row.references, row.hits, row.recovered), (0, 0, None));
    assert!(serde_json::to_value(row).unwrap()["recovered"].is_null());
}

#[test]
fn rows_have_the_documented_names_and_order() {
    let options = options(&[2, 3], &[20, 5]);
    let mut rankers = restart::formula_rankers(Some(&["most-recent", "decay-5m"])).unwrap();
    let report = restart::run(&small(), &options, &mut rankers, |_, _| ()).unwrap();
    let order: Vec<(&str, u64, u64)> =
        report.rows.iter().map(|row| (row.policy.as_str(), row.budget_blocks, row.horizon_ms)).collect();
    assert_eq!(
        order[..5],
        [
            ("most-recent", 2, 20),
            ("most-recent", 2, 5),
            ("most-recent", 3, 20),
            ("most-recent", 3, 5),
            ("decay-5m", 2, 20)
        ]
    );
    let json = serde_json::to_value(&report).unwrap();
    for name in ["policy", "budget", "budget_blocks", "horizon_ms", "references", "hits", "recovered"] {
        assert!(json["rows"][0].get(name).is_some(), "{name}");
    }
    let again = restart::run(&small(), &options, &mut rankers, |_, _| ()).unwrap();
    assert_eq!(serde_json::to_string(&report).unwrap(), serde_json::to_string(&again).unwrap());
}

/// Ranks some blocks first, in the order given, and writes down what it is asked.
struct Fixed {
    first: Vec<u32>,
    scope: Scope,
    asked: Rc<RefCell<Vec<Question>>>,
    observed: Rc<RefCell<Vec<(usize, usize)>>>,
}

impl Ranker for Fixed {
    fn name(&self) -> &str {
        "fixed"
    }

    fn scope(&self) -> Scope {
        self.scope
    }

    fn observe(&mut self, request: &Request<'_>, history: &History<'_>) {
        self.observed.borrow_mut().push((request.index, history.requests()));
    }

    fn rank(&mut self, question: &Question, history: &History<'_>, ranks: &mut Vec<Rank>) {
        self.asked.borrow_mut().push(*question);
        let place = |block: &u32| self.first.iter().position(|first| first == block);
        let rank = |block: &u32| place(block).map_or(Rank::LAST, |place| Rank::of_time(1_000 - place as u64));
        ranks.extend(history.order().iter().map(rank));
    }
}

fn fixed(first: &[u32], scope: Scope) -> Fixed {
    Fixed { first: first.to_vec(), scope, asked: Rc::default(), observed: Rc::default() }
}

#[test]
fn ancestors_come_along_and_chains_that_do_not_fit_are_skipped() {
    // Numbers: a 0, b 1, c 2, d 3, e 4.
    let check = |first: &[u32], budget, hits| {
        let ranker: Box<dyn Ranker> = Box::new(fixed(first, Scope::Moment));
        let report = restart::run(&small(), &options(&[budget], &[20]), &mut [ranker], |_, _| ()).unwrap();
        assert_eq!(find(&report.rows, "fixed", budget, 20).hits, hits, "{first:?} {budget}");
    };
    // c needs a and b: all three are used at once.
    check(&[2], 3, 3);
    // Three do not fit in two; e and its parent d do, but a and b drive both out.
    check(&[2, 4], 2, 0);
    // b with a fits.
    check(&[2, 1, 4], 2, 2);
    // a b c, then e with d: the tier of five holds all.
    check(&[2, 4], 5, 5);
}

#[test]
fn rankers_see_every_request_once_and_are_asked_as_seldom_as_they_say() {
    let count = |scope, questions: usize| {
        let ranker = fixed(&[0], scope);
        let (asked, observed) = (Rc::clone(&ranker.asked), Rc::clone(&ranker.observed));
        let ranker: Box<dyn Ranker> = Box::new(ranker);
        restart::run(&small(), &options(&[1, 2, 3], &[20, 5]), &mut [ranker], |_, _| ()).unwrap();
        assert_eq!(asked.borrow().len(), questions, "{scope:?}");
        assert_eq!(*observed.borrow(), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)]);
        assert!(asked.borrow().iter().all(|question| question.now_ms == 50));
        let asked = asked.borrow().iter().map(|question| (question.horizon_ms, question.budget_blocks)).collect();
        let asked: HashSet<(u64, u64)> = asked;
        if scope == Scope::Cell {
            assert_eq!(asked, [20, 5].into_iter().flat_map(|h| [1, 2, 3].map(|b| (h, b))).collect());
        }
    };
    count(Scope::Moment, 1);
    count(Scope::Horizon, 2);
    count(Scope::Cell, 6);
}

#[test]
fn an_empty_trace_has_rows_of_nothing() {
    let empty = TraceBuilder::new().finish();
    let rows = rows(&empty, &Options::default());
    assert_eq!(rows.len(), 13 * 10);
    assert!(rows.iter().all(|row| row.references == 0 && row.recovered.is_none()));
}

#[test]
fn a_new_replica_with_all_the_traffic_is_a_restart() {
    let whole = rows(&small(), &options(&[2, 3], &[20, 5]));
    let run = |percent| {
        let share = Share::percent(percent);
        let options = scale_out::Options { restart: options(&[2, 3], &[20, 5]), share };
        scale_out::run(&small(), &options, &mut restart::formula_rankers(None).unwrap(), |_, _| ()).unwrap().rows
    };
    assert_eq!(run(100), whole);
    assert!(run(0).iter().all(|row| row.references == 0 && row.hits == 0));
    assert!(run(50).iter().zip(&whole).all(|(half, whole)| half.references <= whole.references));
}

/// The scenario as the documentation states it, with a scan for everything.
fn naive(trace: &Trace, start_ms: u64, horizon_ms: u64, budget: usize, score: impl Fn(u32) -> f64) -> (u64, u64) {
    let before = |request: &Request<'_>| request.time_ms < start_ms;
    let uses = |block: u32| {
        trace.requests().filter(before).filter(move |request| request.blocks.contains(&block)).map(|r| r.time_ms)
    };
    let mut history: Vec<u32> =
        (0..trace.unique_blocks() as u32).filter(|&block| uses(block).next().is_some()).collect();
    history.sort_by(|&a, &b| {
        let ties = |block: u32| (std::cmp::Reverse(uses(block).max()), trace.depth(block), block);
        score(b).total_cmp(&score(a)).then_with(|| ties(a).cmp(&ties(b)))
    });
    let mut loaded: Vec<u32> = Vec::new();
    for block in history.iter().copied() {
        let mut chain = vec![block];
        while let Some(parent) = trace.parent(chain[chain.len() - 1]) {
            chain.push(parent);
        }
        chain.retain(|block| !loaded.contains(block));
        if loaded.len() + chain.len() <= budget {
            loaded.extend(chain.into_iter().rev());
        }
    }
    let capacity = budget.max(trace.unique_blocks() / 4);
    // Most recent first.
    let mut tier = loaded;
    let mut seen: HashSet<u32> = history.into_iter().collect();
    let (mut references, mut hits) = (0, 0);
    for request in trace.requests().filter(|r| r.time_ms >= start_ms && r.time_ms < start_ms + horizon_ms) {
        for &block in request.blocks {
            references += u64::from(!seen.insert(block));
            if let Some(place) = tier.iter().position(|&held| held == block) {
                hits += 1;
                tier.remove(place);
            }
            tier.insert(0, block);
            tier.truncate(capacity);
        }
    }
    (references, hits)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn equals_the_naive_scenario(
        requests in prop::collection::vec((0..30_u64, prop::collection::vec(0..3_u8, 1..5)), 2..60),
        budget in 0..30_usize,
        horizon_s in 1..300_u64,
        at in 1..100_u8,
    ) {
        let mut time_ms = 1_700_000_000_000;
        let ids: Vec<(u64, Vec<String>)> = requests
            .iter()
            .map(|(gap_s, path)| {
                time_ms += gap_s * 1_000;
                // A block is named by the way to it.
                (time_ms, (1..=path.len()).map(|length| format!("{:?}", &path[..length])).collect())
            })
            .collect();
        let trace = trace(ids.iter().map(|(time, ids)| (*time, ids.iter().map(String::as_str).collect())));
        let horizon_ms = horizon_s * 1_000;
        let budget = budget.min(trace.unique_blocks());
        let mut options = options(&[budget as u64], &[horizon_ms]);
        options.at = vec![Share::percent(at)];
        let rows = rows(&trace, &options);
        let (first_ms, last_ms) = trace.span_ms().unwrap();
        let start_ms = first_ms + ((last_ms - first_ms) * u64::from(at)).div_ceil(100);
        let uses = |block: u32, from: u64, to: u64| {
            let used = move |request: &Request<'_>| {
                (from..to).contains(&request.time_ms) && request.blocks.contains(&block)
            };
            trace.requests().filter(used).map(|request| request.time_ms).collect::<Vec<_>>()
        };
        let check = |policy, score: &dyn Fn(u32) -> f64, budget| {
            let row = rows.iter().find(|row| row.policy == policy).unwrap();
            let expect = naive(&trace, start_ms, horizon_ms, budget, score);
            prop_assert_eq!((row.references, row.hits), expect, "{}", policy);
            Ok(())
        };
        check("most-recent", &|_| 0.0, budget)?;
        check("most-frequent", &|block| uses(block, 0, start_ms).len() as f64, budget)?;
        let decay = |block| {
            let worth = |time: &u64| 0.5_f64.powf((start_ms - time) as f64 / 300_000.0);
            let sum: f64 = uses(block, 0, start_ms).iter().map(worth).sum();
            // Equal but for rounding is equal: our sums are exact where two uses are worth one of a half-life later.
            (sum.log2() * 1e9).round()
        };
        check("decay-5m", &decay, budget)?;
        let clairvoyant = |block| {
            uses(block, start_ms, start_ms + horizon_ms).first().map_or(0.0, |time| 1e15 - *time as f64)
        };
        check("clairvoyant", &clairvoyant, budget)?;
        let none = rows.iter().find(|row| row.policy == "none").unwrap();
        prop_assert_eq!(none.loaded_blocks, 0);
    }
}
