//! What a cycle of the block prefetcher costs over a million indexed blocks, and what the request queue carries.

use crate::{
    harness::{Measurement, Times},
    index::{open, view, write},
    synthetic::{DAY_MS, Random, START_MS, fold},
};
use anyhow::{Result, ensure};
use prefix_indexer_analytics::{NextLimits, Presence};
use prefix_indexer_cache::SystemClock;
use prefix_indexer_models::{PrefixKey, PrefixTable};
use prefix_indexer_prefetch::{Ask, CandidateSource, Candidates, PrefetchError, PrefetchQueue, PrefetchRequest};
use prefix_indexer_service::IndexCandidates;
use prefix_indexer_storage::{Order, Scope, View};
use std::{
    collections::HashSet,
    fs,
    hash::{BuildHasherDefault, Hasher},
    hint::black_box,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

const BLOCKS: u64 = 1_000_000;
const TOP_K: usize = 32;
/// Leaders of the ranking that are resident.
const LEADERS: usize = 10_000;
/// Requests through the queue.
const REQUESTS: usize = 1_000_000;

/// What is resident, as a prefetcher remembers it: keys are digests, and any eight bytes of one are its hash.
type Resident = HashSet<PrefixKey, BuildHasherDefault<Digest>>;

#[derive(Default)]
struct Digest(u64);

impl Hasher for Digest {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
    }

    fn write_usize(&mut self, _length: usize) {}
}

/// Which blocks a cycle chooses. Nothing is kept from one cycle to the next, so the first one of a generation costs what the others do, but
/// for the pages that nobody has read yet: those are verified then.
pub(crate) fn cycle(scratch: &Path) -> Result<Vec<Measurement>> {
    let path = scratch.join("segment-prefetch");
    write(&path, &table(), None, BLOCKS)?;
    let view = Arc::new(view(vec![open(&path)?])?);
    let source = source(&view);
    let leaders = leaders(&view)?;
    let choose = |wanted: usize, scan_limit: usize, policy: &str, resident: &Resident| {
        next(&source, wanted, scan_limit, policy, resident)
    };
    let none = Resident::default();
    let check = choose(TOP_K, usize::MAX, "decay-5m", &leaders)?;
    ensure!(check.chosen.len() == TOP_K && check.resident == LEADERS, "{} are chosen", check.chosen.len());
    let all = choose(TOP_K, usize::MAX, "recency-chain-model", &none)?;
    ensure!(all.chosen.len() == TOP_K, "scoring all chooses {}", all.chosen.len());
    let time = |rounds, resident: &Resident, policy: &str| {
        Times::of_batches(rounds, 1, |_| {
            black_box(choose(TOP_K, usize::MAX, policy, resident).is_ok());
        })
        .median()
    };
    let note = || format!("{BLOCKS} blocks, one segment, k = {TOP_K}");
    let found = vec![
        Measurement::new("cycle, leaders not resident", time(400, &none, "decay-5m") / 1e3, "us")
            .note(note())
            .at_most(50.0),
        Measurement::new("cycle, first 10,000 resident", time(100, &leaders, "decay-5m") / 1e3, "us")
            .note(note())
            .at_most(1_000.0),
        Measurement::new("the same, of an index just opened", just_opened(&path, &leaders)? / 1e3, "us")
            .note(format!("{}; pages that are read for the first time are verified; for comparison", note())),
        Measurement::new(
            "the same, by a formula whose ranking is kept",
            time(3, &leaders, "recency-chain-model") / 1e3,
            "us",
        )
        .note(format!("{}; for comparison", note())),
        Measurement::new("the same, all scored and sorted", sorted(&view)? / 1e3, "us")
            .note(format!("{}; for comparison", note())),
    ];
    fs::remove_file(path)?;
    Ok(found)
}

fn source(view: &Arc<View>) -> IndexCandidates {
    let held = Arc::clone(view);
    IndexCandidates::new(move || Arc::clone(&held))
}

fn next(
    source: &IndexCandidates,
    wanted: usize,
    scan_limit: usize,
    policy: &str,
    resident: &Resident,
) -> Result<Candidates, PrefetchError> {
    let limits = NextLimits { wanted, scan_limit };
    let ask = Ask { policy, active_model: None, now_ms: 0, horizon_ms: 300_000, limits, min_score: f64::NEG_INFINITY };
    let presence = |key: &PrefixKey| if resident.contains(key) { Presence::Resident } else { Presence::Loadable };
    source.next(&ask, &presence)
}

/// Nanoseconds of the first cycle over a segment.
fn just_opened(path: &Path, leaders: &Resident) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..5 {
        let view = Arc::new(view(vec![open(path)?])?);
        let source = source(&view);
        let began = Instant::now();
        black_box(next(&source, TOP_K, usize::MAX, "decay-5m", leaders)?);
        times.push(began.elapsed().as_nanos() as f64);
    }
    Ok(Times::sorted(times).median())
}

fn table() -> PrefixTable {
    let (mut table, mut random) = (PrefixTable::new(Default::default()), Random(5));
    fold(&mut table, 0..BLOCKS, START_MS, &mut random);
    for hour in 1..24 {
        fold(&mut table, (0..BLOCKS / 50).map(|place| place * 49 + hour), START_MS + hour * DAY_MS / 24, &mut random);
    }
    table
}

fn leaders(view: &View) -> Result<Resident> {
    let rung = 1;
    let rows = view.ranked(Scope::default(), Order::Rung(rung)).take(LEADERS);
    rows.map(|row| Ok(row?.key())).collect()
}

/// Nanoseconds that scoring every block and sorting all of them takes.
fn sorted(view: &View) -> Result<f64> {
    let began = Instant::now();
    let mut scores = Vec::new();
    for row in view.rows() {
        let row = row?;
        scores.push((row.score(1, view.newest_ms()), row.key()));
    }
    scores.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    black_box(scores.get(..TOP_K).map(<[_]>::len));
    Ok(began.elapsed().as_nanos() as f64)
}

/// A thread that puts and one that gets.
pub(crate) fn queue(_scratch: &Path) -> Result<Vec<Measurement>> {
    let mut rates = Vec::new();
    for _ in 0..5 {
        let queue = PrefetchQueue::new(5_000, Arc::new(SystemClock));
        let requests: Vec<PrefetchRequest> =
            (0..REQUESTS).map(|number| PrefetchRequest::for_block(&format!("prod/acme/llama/{number}"), 0)).collect();
        let began = Instant::now();
        let got = std::thread::scope(|scope| {
            scope.spawn(|| {
                for mut request in requests {
                    while let Err(refused) = queue.put(request) {
                        request = refused.request;
                        std::thread::yield_now();
                    }
                }
            });
            let getter = scope.spawn(|| (0..REQUESTS).filter_map(|_| queue.get(Duration::from_secs(60))).count());
            getter.join().unwrap_or(0)
        });
        ensure!(got == REQUESTS, "{got} of {REQUESTS} requests came out");
        rates.push(REQUESTS as f64 / began.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    let note = "one thread puts, one gets; 5,000 may wait".to_owned();
    Ok(vec![Measurement::new("queue, put and got", rates[2], "a second").note(note).at_least(1e6)])
}
