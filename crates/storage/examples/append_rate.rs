//! How many events a second durable appends take: `cargo run --release --example append_rate -- DIR [BATCHES] [KEYS] [kind]`.
//! Batches of 1,000 events, one sync each, keys drawn from a Zipf-like distribution.
#![expect(clippy::print_stdout, reason = "a program for people")]

use prefix_indexer_models::{IndexSpec, PrefixEvent};
use prefix_indexer_storage::{Batch, Commit, OpenOptions, StorageError, StoreKind, open};
use std::{path::Path, time::Instant};

const BATCH: u64 = 1000;

fn main() -> Result<(), StorageError> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let dir = args.first().map_or("target/append-rate", String::as_str);
    let number = |index: usize, default: u64| args.get(index).and_then(|arg| arg.parse().ok()).unwrap_or(default);
    let (batches, keys) = (number(1, 1000), number(2, 100_000));
    let kind: StoreKind = args.get(3).map_or("segments", String::as_str).parse()?;
    let made: Vec<Batch> = (0..batches.min(512)).map(|batch| make(batch, keys)).collect();
    let mut store =
        open(kind, Path::new(dir), OpenOptions { spec: Some(IndexSpec::default()), ..OpenOptions::default() })?;
    let (started, busy) = (Instant::now(), busy_seconds());
    let mut slowest = [0.0_f64; 3];
    for number in 0..batches {
        let batch = &made[(number % made.len() as u64) as usize];
        let begun = Instant::now();
        store.append(std::slice::from_ref(batch))?;
        let took = begun.elapsed().as_secs_f64();
        if took > slowest[2] {
            slowest[2] = took;
            slowest.sort_by(|a, b| b.total_cmp(a));
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let status = store.status();
    println!(
        "{:.0} events/s, {:.0} us a batch ({:.0} us busy), slowest {slowest:.4?} s, {:.1} log bytes an event, {} prefixes, {} segments",
        (batches * BATCH) as f64 / seconds,
        seconds * 1e6 / batches as f64,
        (busy_seconds() - busy) * 1e6 / batches as f64,
        status.log_bytes as f64 / (batches * BATCH) as f64,
        status.prefixes,
        status.segments,
    );
    let begun = Instant::now();
    store.flush()?;
    println!("flush {:.1} ms, {} bytes", begun.elapsed().as_secs_f64() * 1e3, store.status().bytes);
    Ok(())
}

/// Time that this thread has run, which other programs on the machine do not change; 0 where the system does not tell.
fn busy_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

fn make(batch: u64, keys: u64) -> Batch {
    let events = (0..BATCH).map(|index| {
        let number = batch * BATCH + index;
        let random = noise(number);
        // Log-uniform: each octave of keys is as popular as any other.
        let share = (random >> 11) as f64 / (1_u64 << 53) as f64;
        let key = (keys as f64).powf(share) as u64;
        PrefixEvent {
            prefix_id: format!("prefix-{key:012x}"),
            tenant: format!("tenant-{}", key % 16),
            model_id: "llama-70b".to_owned(),
            layer: 0,
            page_start: (key % 64) as u32,
            page_end: (key % 64) as u32 + 7,
            bytes: 4096 * (1 + key % 100),
            latency_ms: (random % 100_000) as f64 / 1000.0,
            timestamp_ms: 1_700_000_000_000 + number,
            parent_id: (key % 2 == 1).then(|| format!("prefix-{:012x}", key / 2)),
            depth: Some((key % 5) as u32),
            ..PrefixEvent::default()
        }
    });
    Batch { events: events.collect(), commit: Commit::default() }
}

fn noise(seed: u64) -> u64 {
    let mut word = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
