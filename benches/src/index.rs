//! What a query of a segmented index costs: top ten, lookup, opening; at one and ten million prefixes, and with segments and
//! dirty prefixes that overlap.

use crate::{
    harness::{Measurement, Times},
    synthetic::{DAY_MS, Random, START_MS, TENANTS, fold, tenant},
};
use anyhow::{Context, Result, ensure};
use prefix_indexer_models::{IndexSpec, PrefixKey, PrefixTable};
use prefix_indexer_storage::{Order, Scope, Segment, Source, TablePart, View, write_tables};
use std::{
    fs::{self, File},
    hint::black_box,
    path::Path,
    sync::Arc,
};

const TOP: usize = 10;
const MILLION: u64 = 1_000_000;
/// Sizes of the runs of a memory table that holds 100,000 dirty prefixes.
const RUNS: [usize; 4] = [64_000, 16_000, 16_000, 4_000];

/// Medians that the larger index is compared with, by name.
type Medians = Vec<(&'static str, f64)>;

pub(crate) fn run(scratch: &Path) -> Result<Vec<Measurement>> {
    let mut found = Vec::new();
    let at_one = one_segment(scratch, MILLION, &Vec::new(), &mut found)?;
    one_segment(scratch, 10 * MILLION, &at_one, &mut found)?;
    Ok(found)
}

/// One segment of so many prefixes.
fn one_segment(scratch: &Path, prefixes: u64, smaller: &Medians, found: &mut Vec<Measurement>) -> Result<Medians> {
    let path = scratch.join(format!("segment-{prefixes}"));
    let (table, mut random) = table(prefixes);
    let bytes = write(&path, &table, None, prefixes)?;
    let mut keys: Vec<PrefixKey> = table.rows().map(|row| row.key).collect();
    keys.sort_unstable_by(|a, b| a.0[8..].cmp(&b.0[8..])); // in no order that the segment knows
    drop(table);
    let size = format!("{} M prefixes", prefixes / MILLION);
    let note = format!("{size}, one segment");
    found.push(
        Measurement::new(&format!("disk, {size}"), bytes as f64 / prefixes as f64, "bytes a prefix")
            .note(note.clone())
            .at_most(240.0),
    );

    let resident = resident_kib();
    let view = view(vec![open(&path)?])?;
    let more_kib = resident_kib().saturating_sub(resident);
    ensure!(view.len() == prefixes, "{} of {prefixes} prefixes are in the segment", view.len());
    let opening = Times::of_batches(50, 1, |_| {
        black_box(open(&path).map(|segment| segment.len()).ok());
    });
    let is_large = prefixes > MILLION;
    found
        .push(Measurement::new(&format!("open, {size}"), opening.median() / 1e6, "ms").note(note.clone()).at_most(1.0));
    found.push(
        Measurement::new(&format!("resident after opening, {size}"), more_kib as f64 / 1024.0, "MiB")
            .note(note.clone())
            .at_most(4.0),
    );

    let mut medians = Medians::new();
    for (name, scope, limits) in scopes() {
        for (form, owned, limit) in [("rows", false, limits.0), ("owned", true, limits.1)] {
            check_top(&view, scope)?;
            let times = Times::of_batches(200, 200, |number| top(&view, scope, number, owned));
            let name = if owned { name.1 } else { name.0 };
            // The larger index is held to the smaller one, not to the time.
            let before = smaller.iter().find(|(known, _)| *known == name).map(|(_, median)| *median);
            let limit = before.map_or(limit, |median| 1.5 * median);
            let note = format!("{form}, {note}");
            found.push(Measurement::new(&format!("{name}, {size}"), times.median(), "ns").note(note).at_most(limit));
            medians.push((name, times.median()));
        }
    }
    let key = |number: usize| keys.get(number % keys.len()).copied().unwrap_or_default();
    let lookup = Times::of_batches(200, 1_000, |number| {
        black_box(view.get(&key(number)).ok().flatten().map(|row| row.last_seen_ms()));
    });
    let missing = Times::of_batches(200, 1_000, |number| {
        let mut key = key(number);
        key.0[3] ^= 0x55;
        black_box(view.get(&key).is_ok_and(|row| row.is_none()));
    });
    let reads = two_reads(bytes as usize, &mut random);
    for key in keys.iter().take(1_000) {
        ensure!(view.get(key)?.is_some_and(|row| row.key() == *key), "a key is not found");
    }
    let limit = if is_large { 400.0 } else { 300.0 };
    let scale = format!("{note}; two reads of as much memory, one after the other: {:.0} ns", reads.median());
    found.push(Measurement::new(&format!("lookup, {size}"), lookup.median(), "ns").note(scale).at_most(limit));
    found.push(Measurement::new(&format!("lookup of a missing key, {size}"), missing.median(), "ns").note(note));
    drop(view);
    fs::remove_file(path)?;
    Ok(medians)
}

/// What the machine makes of two reads from memory of this size, each of which waits for the one before: the least that
/// finding a key in a table and then its row can take.
fn two_reads(bytes: usize, random: &mut Random) -> Times {
    let memory: Vec<u64> = (0..(bytes / 8) as u64).collect();
    let at = |place: u64| memory.get(place as usize).copied().unwrap_or(0);
    let count = memory.len() as u64;
    let mut last = 0;
    Times::of_batches(200, 1_000, |_| {
        for _ in 0..2 {
            last = at((random.below(count) ^ (last & 1)).min(count - 1));
        }
        black_box(last);
    })
}

/// A million prefixes in eight segments that overlap, and 100,000 dirty ones on top.
pub(crate) fn overlapping(scratch: &Path) -> Result<Vec<Measurement>> {
    let (mut table, mut random) = table(MILLION);
    let base = scratch.join("segment-base");
    write(&base, &table, None, MILLION)?;
    let mut segments = vec![open(&base)?];
    for day in 1..8 {
        let path = scratch.join(format!("segment-{day}"));
        let numbers: Vec<u64> = (0..MILLION / 20).map(|_| random.popular(MILLION)).collect();
        let touched = fold(&mut table, numbers.into_iter(), START_MS + day * DAY_MS, &mut random);
        write(&path, &table, Some(&touched), 0)?;
        segments.insert(0, open(&path)?);
    }
    let mut dirty = 0;
    for size in RUNS {
        let mut picked = std::collections::BTreeSet::new();
        while picked.len() < size {
            picked.insert(random.below(MILLION));
        }
        let touched = fold(&mut table, picked.into_iter(), START_MS + 8 * DAY_MS, &mut random);
        dirty += touched.len();
        let part = TablePart { table: &table, numbers: Some(&touched) };
        segments.insert(0, Arc::new(Segment::build(table.spec(), &[part], 0)?));
    }
    let view = view(segments)?;
    let mut found = Vec::new();
    for (name, scope, _) in scopes() {
        check_top(&view, scope)?;
        let note = format!("8 segments, {dirty} dirty prefixes in {} runs", RUNS.len());
        let times = Times::of_batches(200, 200, |number| top(&view, scope, number, false));
        let name = format!("{}, overlapping", name.0);
        found.push(Measurement::new(&name, times.median(), "ns").note(note.clone()).at_most(3_000.0));
        let singles = Times::of_calls(20_000, |number| top(&view, scope, number, false));
        found.push(Measurement::new(&format!("{name}, p99"), singles.at(0.99), "ns").note(note).at_most(15_000.0));
    }
    drop(view);
    for name in ["base", "1", "2", "3", "4", "5", "6", "7"] {
        fs::remove_file(scratch.join(format!("segment-{name}")))?;
    }
    Ok(found)
}

type Names = (&'static str, &'static str);

/// What is asked for, and how many nanoseconds rows and owned recommendations may take.
fn scopes() -> [(Names, Scope<'static>, (f64, f64)); 2] {
    let one = Scope { tenant: Some("tenant-00042"), model_id: None };
    [
        (("top 10 of all, rows", "top 10 of all, owned"), Scope::default(), (300.0, 1_500.0)),
        (("top 10 of a tenant of 0.01 %, rows", "top 10 of a tenant of 0.01 %, owned"), one, (300.0, 1_500.0)),
    ]
}

fn top(view: &View, scope: Scope<'_>, number: usize, owned: bool) {
    let rung = number % 5;
    let rows = view.ranked(scope, Order::Rung(rung)).take(TOP).flatten();
    if owned {
        let now_ms = view.newest_ms();
        black_box(rows.map(|row| row.recommend(rung, now_ms)).collect::<Vec<_>>());
    } else {
        rows.for_each(|row| {
            black_box((row.key(), row.sum(rung)));
        });
    }
}

/// Before it is timed, the answer is compared with a scan of everything.
fn check_top(view: &View, scope: Scope<'_>) -> Result<()> {
    let (rung, now_ms) = (1, view.newest_ms());
    let mut scores = Vec::new();
    for row in view.rows() {
        let row = row?;
        if scope.tenant.is_none_or(|tenant| tenant == row.tenant()) {
            scores.push(row.score(rung, now_ms));
        }
    }
    scores.sort_by(|a, b| b.total_cmp(a));
    let ranked: Vec<_> = view.ranked(scope, Order::Rung(rung)).take(TOP).collect::<Result<_, _>>()?;
    ensure!(ranked.len() == TOP, "{} of {TOP} rows", ranked.len());
    for (row, wanted) in ranked.iter().zip(scores) {
        let score = row.score(rung, now_ms);
        ensure!((score - wanted).abs() <= 1e-9 * wanted, "score {score} where a scan finds {wanted}");
    }
    Ok(())
}

/// So many prefixes, each used once, and as many uses again of popular ones.
fn table(prefixes: u64) -> (PrefixTable, Random) {
    let (mut table, mut random) = (PrefixTable::new(IndexSpec::default()), Random(1));
    fold(&mut table, 0..prefixes, START_MS, &mut random);
    let mut again = Random(2);
    fold(&mut table, (0..prefixes).map(|_| again.popular(prefixes)), START_MS, &mut random);
    debug_assert_eq!(tenant(42 + TENANTS), "tenant-00042");
    (table, random)
}

pub(crate) fn write(path: &Path, table: &PrefixTable, numbers: Option<&[u32]>, fresh: u64) -> Result<u64> {
    let mut file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(write_tables(table.spec(), &[TablePart { table, numbers }], fresh, &mut file, path)?)
}

pub(crate) fn open(path: &Path) -> Result<Arc<Segment>> {
    Ok(Arc::new(Segment::open(Source::map(&File::open(path)?)?, path)?))
}

pub(crate) fn view(segments: Vec<Arc<Segment>>) -> Result<View> {
    Ok(View::new(IndexSpec::default(), segments)?)
}

/// Resident memory of this process; 0 where the system does not tell.
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}
