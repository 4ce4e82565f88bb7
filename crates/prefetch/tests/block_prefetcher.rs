//! Cycles: what is chosen, what is moved, what is counted, and how they end.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use prefix_indexer_analytics::{Presence, RankedBlock, next_blocks};
use prefix_indexer_cache::{Entry, ManualClock};
use prefix_indexer_models::{PrefixKey, PrefixRecommendation};
use prefix_indexer_prefetch::{
    Ask, Attempts, BlockKeys, BlockPrefetcher, BlockPrefetcherParts, BlockUse, BreakerConfig, Candidate,
    CandidateSource, Candidates, Cycle, Destination, Dress, Evidence, FetchCtx, FetchPolicy, Fetched, Fetcher,
    PrefetchConfig, PrefetchError, PrefetchRequest, RetryPolicy,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Blocks `name` or `name<parent`, best first; their score is what is left of the list.
struct List {
    blocks: Vec<(String, Option<String>)>,
    used: Mutex<Vec<BlockUse>>,
}

fn key(name: &str) -> PrefixKey {
    PrefixKey::new(Default::default(), "t", "m", name, 0, 0)
}

impl List {
    fn new(names: &[&str]) -> Arc<List> {
        let block = |name: &&str| match name.split_once('<') {
            Some((name, parent)) => (name.to_owned(), Some(parent.to_owned())),
            None => ((*name).to_owned(), None),
        };
        Arc::new(List { blocks: names.iter().map(block).collect(), used: Mutex::default() })
    }
}

#[derive(Clone, Copy)]
struct Item<'a>(&'a List, usize);

impl RankedBlock for Item<'_> {
    fn key(&self) -> PrefixKey {
        key(&self.0.blocks[self.1].0)
    }

    fn parent_key(&self) -> Option<PrefixKey> {
        self.0.blocks[self.1].1.as_deref().map(key)
    }

    fn parent(&self) -> Option<Self> {
        let parent = self.0.blocks[self.1].1.as_ref()?;
        self.0.blocks.iter().position(|(name, _)| name == parent).map(|place| Item(self.0, place))
    }
}

impl CandidateSource for List {
    fn next(&self, ask: &Ask<'_>, presence: &dyn Fn(&PrefixKey) -> Presence) -> Result<Candidates, PrefetchError> {
        if ask.policy == "broken" {
            return Err(PrefetchError::source_failed(io::Error::other("torn")));
        }
        let ranked = (0..self.blocks.len()).map(|place| (Item(self, place), 1.0 - place as f64 / 100.0));
        let next = next_blocks(ranked.take_while(|(_, score)| *score >= ask.min_score), ask.limits, presence);
        let candidate = |(item, score): &(Item<'_>, f64)| Candidate {
            key: item.key(),
            block: PrefixRecommendation {
                prefix_id: item.0.blocks[item.1].0.as_str().into(),
                tenant: "t".into(),
                model_id: "m".into(),
                score: *score,
                hit_count: 1,
                total_bytes: 1,
                footprint_bytes: 10,
                avg_latency_ms: 0.0,
                last_seen_ms: 0,
                layer_min: 0,
                layer_max: 0,
                page_start: 0,
                page_end: 0,
                parent_id: None,
                depth: None,
            },
        };
        let chosen = next.chosen.iter().map(candidate).collect();
        Ok(Candidates { chosen, scored: next.scored, resident: next.resident, gone: next.gone })
    }

    fn used_since(&self, since_ms: u64, limit: usize) -> Result<Vec<BlockUse>, PrefetchError> {
        let used = self.used.lock().unwrap();
        Ok(used.iter().filter(|block| block.at_ms > since_ms).take(limit).copied().collect())
    }

    fn reported(&self) -> Result<Evidence, PrefetchError> {
        Ok(Evidence::default())
    }
}

/// A cold place and a local one; how a block behaves is in its name.
#[derive(Default)]
struct World {
    local: Mutex<BTreeSet<String>>,
    begun: Mutex<Vec<String>>,
    asked: Mutex<usize>,
}

impl Fetcher for World {
    fn fetch(&self, request: &PrefetchRequest, ctx: &FetchCtx) -> Result<Fetched, PrefetchError> {
        let key = request.cache_key();
        self.begun.lock().unwrap().push(key.to_owned());
        match key.chars().next() {
            Some('?') => Ok(Fetched::Missing),
            Some('!') => Err(PrefetchError::failed(io::Error::other("torn"))),
            Some('*') => panic!("oh"),
            Some('~') => {
                let left = ctx.deadline.saturating_duration_since(Instant::now());
                match ctx.cancel.sleep(left) {
                    true => Err(PrefetchError::Cancelled),
                    false => Err(PrefetchError::TimedOut(left)),
                }
            }
            Some('=') => Ok(Fetched::Resident),
            _ => {
                self.local.lock().unwrap().insert(key.to_owned());
                Ok(Fetched::Moved { bytes: 10 })
            }
        }
    }
}

impl Destination for World {
    fn holds(&self, keys: &[&str], _: &FetchCtx) -> Result<Vec<bool>, PrefetchError> {
        *self.asked.lock().unwrap() += keys.len();
        let local = self.local.lock().unwrap();
        Ok(keys.iter().map(|key| local.contains(*key)).collect())
    }

    fn store(&self, key: &str, _: Entry, _: &FetchCtx) -> Result<(), PrefetchError> {
        self.local.lock().unwrap().insert(key.to_owned());
        Ok(())
    }
}

struct Scene {
    world: Arc<World>,
    list: Arc<List>,
    clock: ManualClock,
    prefetcher: BlockPrefetcher,
    cycles: Arc<Mutex<Vec<Cycle>>>,
}

fn scene(names: &[&str], resident: &[&str], change: impl FnOnce(&mut PrefetchConfig)) -> Scene {
    let mut config = PrefetchConfig {
        fetch: FetchPolicy {
            deadline: Duration::from_secs(30),
            retry: RetryPolicy { retries: 0, ..RetryPolicy::default() },
            breaker: BreakerConfig { max_failures: 1_000, ..BreakerConfig::default() },
            ..FetchPolicy::default()
        },
        ..PrefetchConfig::default()
    };
    change(&mut config);
    let world = Arc::new(World::default());
    world.local.lock().unwrap().extend(resident.iter().map(|name| (*name).to_owned()));
    let clock = ManualClock::at(1_000_000);
    let dress = Dress { base_ttl: Duration::from_secs(60), clock: Arc::new(clock.clone()) };
    let cycles: Arc<Mutex<Vec<Cycle>>> = Arc::default();
    let log = Arc::clone(&cycles);
    let list = List::new(names);
    let parts = BlockPrefetcherParts {
        source: Arc::clone(&list) as _,
        attempts: Arc::new(Attempts::new(Arc::clone(&world) as _, None, dress, config.fetch)),
        destination: Arc::clone(&world) as _,
        keys: BlockKeys::parse("{prefix_id}", "").unwrap(),
        clock: Arc::new(clock.clone()),
        on_cycle: Some(Box::new(move |cycle| log.lock().unwrap().push(cycle.clone()))),
    };
    Scene { world, list, clock, prefetcher: BlockPrefetcher::new(config, parts), cycles }
}

impl Scene {
    fn begun(&self) -> Vec<String> {
        std::mem::take(&mut *self.world.begun.lock().unwrap())
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("b{number:02}")).collect()
}

/// fetched, resident, missing, failed.
fn counts(cycle: &Cycle) -> [usize; 4] {
    let outcome = &cycle.outcome;
    [outcome.fetched, outcome.resident, outcome.missing, outcome.failed]
}

#[test]
fn an_empty_index_is_a_cycle_in_which_nothing_is_selected() {
    let scene = scene(&[], &[], |_| {});
    let cycle = scene.prefetcher.run_cycle();
    assert_eq!((cycle.plan.scored, cycle.plan.selected.len(), counts(&cycle)), (0, 0, [0; 4]));
    assert!(cycle.outcome.ended_by.is_none());
}

#[test]
fn a_cycle_takes_the_next_eight_that_are_not_there() {
    let all = names(20);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let scene = scene(&all, &all[..5], |config| config.workers = 1);
    let first = scene.prefetcher.run_cycle();
    assert_eq!(counts(&first), [8, 5, 0, 0]);
    assert_eq!((first.outcome.selected, first.outcome.bytes), (8, 80));
    assert_eq!(scene.begun(), &all[5..13]);
    let scores: Vec<f64> = first.plan.selected.iter().map(|(candidate, _)| candidate.block.score).collect();
    assert!(scores.is_sorted_by(|a, b| a > b));
    let second = scene.prefetcher.run_cycle();
    assert_eq!((counts(&second), second.plan.scored), ([7, 13, 0, 0], 20));
    let third = scene.prefetcher.run_cycle();
    assert_eq!((counts(&third), third.outcome.selected), ([0, 20, 0, 0], 0));
    assert_eq!(scene.cycles.lock().unwrap().len(), 3);
}

#[test]
fn what_is_known_is_not_asked_for_again_until_it_is_old() {
    let all = names(20);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let scene = scene(&all, &all, |_| {});
    scene.prefetcher.run_cycle();
    let asked = *scene.world.asked.lock().unwrap();
    scene.prefetcher.run_cycle();
    assert_eq!(*scene.world.asked.lock().unwrap(), asked);
    // An eviction is noticed when what was seen is old.
    scene.world.local.lock().unwrap().clear();
    scene.clock.advance(Duration::from_secs(400));
    assert_eq!(scene.prefetcher.run_cycle().outcome.fetched, 8);
}

#[test]
fn resident_missing_and_failed_are_never_mistaken_for_each_other() {
    let scene = scene(&["a", "?gone", "!bad", "*panics", "=raced", "b"], &["a"], |config| config.workers = 3);
    let cycle = scene.prefetcher.run_cycle();
    assert_eq!(counts(&cycle), [1, 2, 1, 2]);
    assert_eq!(cycle.outcome.bytes, 10);
    // What is gone or failed is left alone for a while, and failures for a shorter one.
    scene.begun();
    assert_eq!(scene.prefetcher.run_cycle().outcome.selected, 0);
    scene.clock.advance(Duration::from_secs(20));
    let again = scene.prefetcher.run_cycle();
    assert_eq!(counts(&again), [0, 3, 0, 2]);
    scene.clock.advance(Duration::from_secs(400));
    assert_eq!(scene.prefetcher.run_cycle().outcome.missing, 1);
}

#[test]
fn ancestors_come_first_and_nothing_is_fetched_behind_one_that_is_gone() {
    let chain = ["leaf<middle", "middle<root", "root", "behind<?gone", "?gone", "other"];
    let scene = scene(&chain, &[], |config| config.workers = 1);
    scene.prefetcher.run_cycle();
    assert_eq!(scene.begun(), ["root", "middle", "leaf", "?gone", "behind", "other"]);
    scene.world.local.lock().unwrap().clear();
    let scene = self::scene(&["?gone", "behind<?gone"], &[], |config| (config.workers, config.top_k) = (1, 1));
    scene.prefetcher.run_cycle();
    assert_eq!(scene.begun(), ["?gone"]);
    scene.prefetcher.run_cycle();
    assert!(scene.begun().is_empty());
}

#[test]
fn parallel_fetches_begin_in_order_too() {
    let all = names(40);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let scene = scene(&all, &[], |config| (config.workers, config.top_k) = (4, 40));
    assert_eq!(scene.prefetcher.run_cycle().outcome.fetched, 40);
    for (place, name) in scene.begun().iter().enumerate() {
        let due: usize = name[1..].parse().unwrap();
        // The system may hold a thread up for as long as it likes: one that is late holds up nobody, and none is early.
        assert!(due < place + 4, "{name} began as number {place}");
    }
}

#[test]
fn a_fetch_over_its_deadline_ends_the_cycle_and_says_so() {
    let scene = scene(&["a", "~slow", "b", "c"], &[], |config| {
        config.workers = 1;
        config.fetch.deadline = Duration::from_millis(20);
    });
    let cycle = scene.prefetcher.run_cycle();
    assert_eq!((counts(&cycle), scene.begun().len()), ([1, 0, 0, 1], 2));
    assert!(matches!(cycle.outcome.ended_by, Some(PrefetchError::TimedOut(_))));
    // The next one goes on with the others.
    assert_eq!(scene.prefetcher.run_cycle().outcome.fetched, 2);
}

#[test]
fn a_source_that_fails_ends_the_cycle_and_says_so() {
    let scene = scene(&["a"], &[], |config| config.policy = "broken".into());
    let cycle = scene.prefetcher.run_cycle();
    assert_eq!(cycle.outcome.ended_by.unwrap().to_string(), "cannot rank candidates: torn");
}

#[test]
fn a_stop_is_seen_in_sleep_within_25_ms_and_in_the_middle_of_a_cycle() {
    let mut scene = scene(&["a"], &["a"], |config| config.interval = Duration::from_secs(3_600));
    scene.prefetcher.start().unwrap();
    while scene.cycles.lock().unwrap().is_empty() {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(scene.prefetcher.is_running());
    // The best of a few: a busy machine may keep the thread from running at all.
    let began = Instant::now();
    scene.prefetcher.signal_stop();
    while scene.prefetcher.is_running() {
        assert!(began.elapsed() < Duration::from_millis(25), "{:?}", began.elapsed());
        std::thread::yield_now();
    }

    let mut scene = self::scene(&["~slow", "b", "c"], &[], |config| {
        config.workers = 1;
        config.fetch.deadline = Duration::from_secs(3_600);
    });
    scene.prefetcher.start().unwrap();
    while scene.world.begun.lock().unwrap().is_empty() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let began = Instant::now();
    let (world, cycles) = (Arc::clone(&scene.world), Arc::clone(&scene.cycles));
    drop(scene.prefetcher);
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
    assert_eq!(*world.begun.lock().unwrap(), ["~slow"]);
    assert_eq!(cycles.lock().unwrap().last().unwrap().outcome.cancelled, 1);
}

#[test]
fn a_dry_run_scores_reports_and_never_fetches() {
    let scene = scene(&["a", "b", "c", "d"], &["a"], |config| (config.dry_run, config.top_k) = (true, 2));
    let cycle = scene.prefetcher.run_cycle();
    assert!(cycle.dry_run);
    assert_eq!((cycle.outcome.selected, counts(&cycle)), (2, [0, 1, 0, 0]));
    assert!(scene.begun().is_empty());
    // What would be there by now is not chosen again.
    let keys = |cycle: &Cycle| cycle.plan.selected.iter().map(|(_, key)| key.clone()).collect::<Vec<_>>();
    assert_eq!(
        (keys(&cycle), keys(&scene.prefetcher.run_cycle())),
        (vec!["b".into(), "c".into()], vec!["d".to_owned()])
    );
}

#[test]
fn shadow_mode_says_what_would_have_been_gained() {
    let scene = scene(&["a", "b", "c", "d"], &["a"], |config| (config.dry_run, config.top_k) = (true, 2));
    scene.prefetcher.run_cycle();
    let used = |name, first_ms| BlockUse { key: key(name), at_ms: 1_000_500, first_ms, latency_ms: 30.0 };
    // One that was planned, one that was not, one that was there anyway, and one that is new.
    *scene.list.used.lock().unwrap() = vec![used("b", 0), used("d", 0), used("a", 0), used("new", 1_000_500)];
    scene.clock.advance(Duration::from_secs(1));
    scene.prefetcher.run_cycle();
    let report = scene.prefetcher.shadow();
    assert_eq!((report.planned, report.used, report.came_back, report.saved_ms), (2, 1, 2, 30.0));
    scene.clock.advance(Duration::from_secs(7_200));
    scene.prefetcher.run_cycle();
    let report = scene.prefetcher.shadow();
    assert_eq!((report.precision(), report.coverage()), (Some(0.5), Some(0.5)));
}

#[test]
fn the_meter_tells_used_wasted_late_and_evicted_apart() {
    let scene = scene(&["a", "b", "c", "d", "?e"], &["d"], |config| config.top_k = 4);
    let meter = scene.prefetcher.meter();
    assert_eq!(scene.prefetcher.run_cycle().outcome.fetched, 3);
    let totals = meter.totals();
    assert_eq!((totals.fetches.succeeded, totals.fetches.bytes, totals.resident, totals.queued), (3, 30, 1, 0));
    assert_eq!((totals.blocks.planned, totals.blocks.waiting), (3, 3));
    // One of them is used, another one leaves, and somebody wants what was never loaded, twice.
    let used = |name, at_ms| BlockUse { key: key(name), at_ms, first_ms: 0, latency_ms: 30.0 };
    *scene.list.used.lock().unwrap() = vec![used("a", 1_000_500), used("other", 1_000_600)];
    scene.world.local.lock().unwrap().remove("b");
    scene.clock.advance(Duration::from_secs(1));
    scene.prefetcher.run_cycle();
    let blocks = meter.totals().blocks;
    assert_eq!((blocks.used, blocks.evicted, blocks.late, blocks.wasted, blocks.waiting), (1, 1, 1, 0, 2));
    assert_eq!((blocks.saved_ms, blocks.wasted_bytes, blocks.planned), (30.0, 10, 4), "what left is loaded again");
    // Whoever wanted it has it by now.
    *scene.list.used.lock().unwrap() = vec![used("other", 1_001_500)];
    scene.prefetcher.run_cycle();
    scene.clock.advance(Duration::from_secs(7_200));
    scene.prefetcher.run_cycle();
    let totals = meter.totals();
    assert_eq!((totals.blocks.wasted, totals.blocks.late, totals.fetches.missing), (2, 1, 2));
    assert_eq!(totals.adaptive, None);
}

#[test]
fn what_was_evicted_is_evidence_for_adaptive_control() {
    let all = names(60);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let scene = scene(&all, &[], |config| {
        (config.adaptive, config.top_k) = (true, 60);
        config.fetch.max_bytes_per_second = Some(1 << 20);
    });
    assert_eq!(scene.prefetcher.run_cycle().outcome.fetched, 60);
    let before = scene.prefetcher.adaptive().unwrap().setting;
    scene.world.local.lock().unwrap().clear();
    scene.clock.advance(Duration::from_secs(61));
    scene.prefetcher.run_cycle();
    let stats = scene.prefetcher.adaptive().unwrap();
    assert_eq!(stats.windows, 1);
    assert!(stats.value_ms < 0.0 && stats.setting != before, "{stats:?}");
}

#[test]
fn scores_below_the_minimum_are_left_out() {
    let scene = scene(&["a", "b", "c", "d"], &[], |_| {});
    scene.prefetcher.set_min_score(0.985);
    assert_eq!(scene.prefetcher.run_cycle().outcome.fetched, 2);
    let scene = self::scene(&["a", "b", "c", "d"], &[], |config| config.min_score = 0.975);
    assert_eq!(scene.prefetcher.run_cycle().outcome.fetched, 3);
}

#[test]
fn adaptive_control_learns_from_what_was_used_and_shows_its_choices() {
    let all = names(60);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let scene = scene(&all, &[], |config| {
        (config.adaptive, config.top_k) = (true, 60);
        config.fetch.max_bytes_per_second = Some(1 << 20);
    });
    let stats = || scene.prefetcher.adaptive().unwrap();
    assert!((stats().setting.min_probability - 0.25).abs() < 1e-9 && stats().windows == 0);
    // All scores are above that: all are fetched; then all are used.
    assert_eq!(scene.prefetcher.run_cycle().outcome.fetched, 60);
    let used = |name: &&str| BlockUse { key: key(name), at_ms: 1_000_500, first_ms: 0, latency_ms: 30.0 };
    *scene.list.used.lock().unwrap() = all.iter().map(used).collect();
    scene.clock.advance(Duration::from_secs(61));
    scene.prefetcher.run_cycle();
    assert_eq!((stats().windows, stats().value_ms), (1, 1_800.0));
    // Nothing was wasted: less choosy.
    assert!((stats().setting.min_probability - 0.15).abs() < 1e-9, "{:?}", stats());
    assert!(self::scene(&[], &[], |_| {}).prefetcher.adaptive().is_none(), "off by default");
}

/// Remembers the fields of events.
#[derive(Default)]
struct Listener(Mutex<Vec<BTreeMap<String, String>>>);

struct Shared(Arc<Listener>);

impl tracing::Subscriber for Shared {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("prefix_indexer_prefetch") && *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Fields(BTreeMap<String, String>);
        impl tracing::field::Visit for Fields {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0.insert(field.name().to_owned(), format!("{value:?}"));
            }
        }
        let mut fields = Fields(BTreeMap::new());
        event.record(&mut fields);
        self.0.0.lock().unwrap().push(fields.0);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn a_cycle_is_one_structured_event() {
    let listener = Arc::new(Listener::default());
    let scene = scene(&["a", "?b", "c"], &["a"], |_| {});
    tracing::subscriber::with_default(Shared(Arc::clone(&listener)), || scene.prefetcher.run_cycle());
    let events = listener.0.lock().unwrap();
    assert_eq!(events.len(), 1);
    let field = |name: &str| events[0][name].as_str();
    assert_eq!(field("message"), "prefetch cycle");
    let shown = ["scored", "selected", "resident", "fetched", "missing", "failed", "bytes", "dry_run"].map(field);
    assert_eq!(shown, ["3", "2", "1", "1", "1", "0", "10", "false"]);
}
