//! Times what queries of a segment cost: `cargo run --release --example segment_bench -- [PREFIXES [QUERY]]`.
//!
//! Writes a segment of synthetic prefixes (10,000 tenants with 0.01 % each, 20-byte ids, half of them with a parent) into the
//! temporary directory, and reads it through a mapping. Then the same with seven overlapping segments and ten small ones on top.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement prints, and ends when something fails")]

use prefix_indexer_models::{EventBatch, EventRef, IndexSpec, PrefixKey, PrefixTable, Shard};
use prefix_indexer_storage::{Order, Scope, Segment, Source, TablePart, View, write_merged, write_tables};
use std::{
    fs::{self, File},
    hint::black_box,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

const TENANTS: u64 = 10_000;
const START_MS: u64 = 1_700_000_000_000;

/// Numbers without a pattern, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(x ^ (x >> 31)) * u128::from(bound)) >> 64) as u64
    }
}

fn id(number: u64) -> String {
    format!("prefix-{number:013}")
}

fn tenant(number: u64) -> String {
    format!("tenant-{:05}", number % TENANTS)
}

/// Counts one use of each of these prefixes.
fn fold(table: &mut PrefixTable, random: &mut Random, numbers: impl Iterator<Item = u64>, at_ms: u64) -> Vec<u32> {
    let mut batch = EventBatch::new();
    let mut hashes = Vec::new();
    let mut touched = Vec::new();
    let mut numbers = numbers.peekable();
    while numbers.peek().is_some() {
        batch.clear();
        for number in numbers.by_ref().take(50_000) {
            let (prefix_id, tenant) = (id(number), tenant(number));
            let parent = id(number.saturating_sub(TENANTS));
            batch.push(&EventRef {
                prefix_id: &prefix_id,
                tenant: &tenant,
                model_id: "llama-3-70b",
                layer: 0,
                page_start: 0,
                page_end: 15,
                bytes: 1 << 20,
                latency_ms: 12.5,
                timestamp_ms: at_ms + random.below(86_400_000),
                parent_id: (number % 2 == 0 && number >= TENANTS).then_some(&parent),
                depth: None,
                session_id: None,
                event_id: None,
            });
        }
        PrefixTable::hashes(table.spec(), &batch, &mut hashes);
        table.fold(&batch, &hashes, Shard::WHOLE, |number| touched.push(number));
    }
    touched.sort_unstable();
    touched.dedup();
    touched
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

/// Nanoseconds that this thread has been on a processor: what a busy machine does not distort.
fn on_cpu() -> u64 {
    let times = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    times.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Hundredths of a second that the process, all its threads, has been on a processor.
fn process_ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|text| text.parse::<u64>().ok()).sum()
}

/// Prints the mean, median and 99th percentile of a query in nanoseconds.
fn time(name: &str, mut rounds: u64, mut query: impl FnMut(u64) -> u64) {
    if let Some(only) = std::env::args().nth(2) {
        if name != only {
            return;
        }
        rounds *= 20;
    }
    let mut sum = 0;
    for round in 0..rounds / 4 {
        sum += query(round);
    }
    let mut each = Vec::new();
    let all = Instant::now();
    for round in 0..rounds {
        let start = Instant::now();
        sum += query(round);
        each.push(start.elapsed().as_nanos() as u64);
    }
    let mean = all.elapsed().as_nanos() as u64 / rounds;
    each.sort_unstable();
    let at = |share: u64| each[(each.len() as u64 * share / 1000) as usize];
    println!("{name:<44} mean {mean:>6} ns   p50 {:>6}   p99 {:>6}", at(500), at(990));
    black_box(sum);
}

fn queries(title: &str, view: &View, keys: &[PrefixKey]) {
    println!("-- {title}: {} segments, {} prefixes", view.segments().len(), view.len());
    let now = view.newest_ms();
    let tenants: Vec<String> = (0..TENANTS).map(tenant).collect();
    let mut random = Random(7);
    let top = |scope: Scope<'_>, rung: usize| -> u64 {
        view.ranked(scope, Order::Rung(rung))
            .take(10)
            .map(|row| {
                let row = row.unwrap();
                row.hit_count() + row.prefix_id().len() as u64
            })
            .sum()
    };
    let owned = |scope: Scope<'_>, rung: usize| -> u64 {
        let top: Vec<_> =
            view.ranked(scope, Order::Rung(rung)).take(10).map(|row| row.unwrap().recommend(rung, now)).collect();
        top.len() as u64
    };
    let one = Scope { tenant: Some("tenant-00042"), model_id: None };
    time("top 10 over all, rows", 20_000, |round| top(Scope::default(), round as usize % 5));
    time("top 10 over all, owned", 20_000, |round| owned(Scope::default(), round as usize % 5));
    time("top 10 of one tenant, rows", 20_000, |round| top(one, round as usize % 5));
    time("top 10 of one tenant, owned", 20_000, |round| owned(one, round as usize % 5));
    let any = |random: &mut Random| tenants[random.below(TENANTS) as usize].as_str();
    time("top 10 of a random tenant, rows", 20_000, |round| {
        top(Scope { tenant: Some(any(&mut random)), model_id: None }, round as usize % 5)
    });
    time("top 10 of a random tenant, owned", 20_000, |round| {
        owned(Scope { tenant: Some(any(&mut random)), model_id: None }, round as usize % 5)
    });
    time("top 10 of a model, rows", 20_000, |round| {
        top(Scope { tenant: None, model_id: Some("llama-3-70b") }, round as usize % 5)
    });
    // What the machine makes of two reads that depend on each other: the least that a lookup can cost.
    let memory: Vec<u64> = (0..view.len() * 28).map(|_| random.0).collect();
    time("two dependent random reads, for scale", 100_000, |_| {
        let first = memory[random.below(memory.len() as u64) as usize];
        let second = (random.below(memory.len() as u64) + (first & 1)) as usize;
        memory[second.min(memory.len() - 1)] & 1
    });
    let mut next = 0;
    let mut key = || {
        next = (next + 1) % keys.len();
        keys[next]
    };
    time("get, random key", 100_000, |_| view.get(&key()).unwrap().unwrap().hit_count());
    time("get, missing key", 100_000, |_| {
        let mut key = key();
        key.0[3] ^= 0x55;
        u64::from(view.get(&key).unwrap().is_none())
    });
    time("top 1000 over all, rows", 200, |round| {
        view.ranked(Scope::default(), Order::Rung(round as usize % 5))
            .take(1000)
            .map(|row| row.unwrap().hit_count())
            .sum()
    });
}

fn write(path: &Path, table: &PrefixTable, parts: &[TablePart<'_>], fresh: u64) -> u64 {
    let mut file = File::create(path).unwrap();
    write_tables(table.spec(), parts, fresh, &mut file, path).unwrap()
}

fn open(path: &Path) -> Arc<Segment> {
    Arc::new(Segment::open(Source::map(&File::open(path).unwrap()).unwrap(), path).unwrap())
}

fn main() {
    let prefixes: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let directory: PathBuf = std::env::temp_dir().join(format!("segment-bench-{prefixes}"));
    fs::create_dir_all(&directory).unwrap();
    let path = directory.join("base");
    let spec = IndexSpec::default();
    let mut random = Random(1);
    let mut table = PrefixTable::new(spec.clone());
    fold(&mut table, &mut random, 0..prefixes, START_MS);
    let uses: Vec<u64> = (0..prefixes).map(|_| (random.below(1 << 20) * random.below(prefixes)) >> 20).collect();
    fold(&mut table, &mut random, uses.into_iter(), START_MS);
    let mut keys: Vec<PrefixKey> = table.rows().map(|row| row.key).collect();
    keys.sort_unstable_by(|a, b| a.0[8..].cmp(&b.0[8..])); // in no order that a segment knows
    println!("table: {} bytes a prefix", table.memory_bytes() as u64 / prefixes);

    let (start, ticks) = (Instant::now(), process_ticks());
    let bytes = write(&path, &table, &[(&table).into()], prefixes);
    println!(
        "write: {:?}, {} ms on CPU, {} bytes a prefix",
        start.elapsed(),
        (process_ticks() - ticks) * 10,
        bytes / prefixes
    );

    let before = resident_kib();
    let start = Instant::now();
    let base = open(&path);
    println!("open: {:?}, {} KiB more resident", start.elapsed(), resident_kib() - before);
    let start = on_cpu();
    base.verify().unwrap();
    println!("verify: {} ms on CPU", (on_cpu() - start) / 1_000_000);
    let view = View::new(spec.clone(), vec![base.clone()]).unwrap();
    queries("one segment", &view, &keys);

    let mut segments = vec![base];
    for round in 1..8 {
        let numbers: Vec<u64> = (0..prefixes / 20).map(|_| random.below(prefixes)).collect();
        let touched = fold(&mut table, &mut random, numbers.into_iter(), START_MS + round * 86_400_000);
        let path = directory.join(format!("part-{round}"));
        write(&path, &table, &[TablePart { table: &table, numbers: Some(&touched) }], 0);
        segments.insert(0, open(&path));
    }
    for round in 0..10u64 {
        let numbers: Vec<u64> = (0..(100_000 >> round.min(6)).max(1000)).map(|_| random.below(prefixes)).collect();
        let touched = fold(&mut table, &mut random, numbers.into_iter(), START_MS + 8 * 86_400_000 + round);
        let start = on_cpu();
        let run = Segment::build(&spec, &[TablePart { table: &table, numbers: Some(&touched) }], 0).unwrap();
        println!("run of {:>6}: {:>5} ns a row", touched.len(), (on_cpu() - start) / touched.len() as u64);
        segments.insert(0, Arc::new(run));
    }
    let view = View::new(spec.clone(), segments).unwrap();
    queries("overlapping", &view, &keys);

    let runs: Vec<&Segment> = view.segments()[..10].iter().map(|segment| &**segment).collect();
    let start = on_cpu();
    let rows: u64 = runs.iter().map(|run| run.len()).sum();
    let merged = Segment::merge(&spec, &runs, &mut |_| true).unwrap();
    println!("merge of 10 runs: {} rows to {}, {} ns a row", rows, merged.len(), (on_cpu() - start) / rows);
    let all: Vec<&Segment> = view.segments().iter().map(|segment| &**segment).collect();
    let path = directory.join("merged");
    let start = on_cpu();
    let mut file = File::create(&path).unwrap();
    let bytes = write_merged(&spec, &all, &mut |_| true, &mut file, &path).unwrap();
    println!("merge of all: {} ms on CPU, {} bytes a prefix", (on_cpu() - start) / 1_000_000, bytes / prefixes);
    drop(view);
    fs::remove_dir_all(&directory).unwrap();
}
