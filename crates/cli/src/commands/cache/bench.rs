//! `cache bench`: how long each tier takes, with real values of its own that are deleted afterwards.

use super::{Opened, status};
use crate::{
    output,
    units::{show_count, show_size, size},
};
use comfy_table::CellAlignment::{Left, Right};
use prefix_indexer::cache::{CacheBackend, Entry, Pattern, Result};
use serde::Serialize;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Number of values
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    values: u32,

    /// Bytes of a value
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = size)]
    size: u64,

    /// How many requests are under way at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: u32,
}

/// One operation on one tier.
#[derive(Serialize)]
struct Row {
    tier: String,
    operation: &'static str,
    count: u64,
    failed: u64,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    max_us: f64,
    bytes_per_second: f64,
}

#[derive(Clone, Copy, PartialEq)]
enum Operation {
    Set,
    Get,
    Delete,
}

const OPERATIONS: [(Operation, &str); 3] =
    [(Operation::Set, "set"), (Operation::Get, "get"), (Operation::Delete, "delete")];

impl Args {
    pub(super) async fn run(self, opened: &Opened) -> anyhow::Result<u8> {
        let mut rows = Vec::new();
        let mut sound = 0;
        for (name, backend) in opened.tiers() {
            // A prefix of our own, whoever else measures at the same time.
            let prefix = format!("prefix-indexer-bench/{}/{name}/", std::process::id());
            let measured = self.measure(name, Arc::clone(backend), &prefix).await;
            sound += usize::from(measured.iter().all(|row| row.failed == 0));
            rows.extend(measured);
            // What could not be deleted one by one is perhaps deleted so.
            if let Err(error) = backend.clear(&Pattern::new(&format!("{prefix}*"))).await {
                output::warn(format_args!("tier {name}: values under {prefix} may be left: {error}"));
            }
        }
        if opened.json {
            output::print_json(&rows)?;
        } else {
            output::print(&table(&rows))?;
        }
        Ok(status(sound, opened.tiers().count()))
    }

    async fn measure(&self, tier: &str, backend: Arc<dyn CacheBackend>, prefix: &str) -> Vec<Row> {
        let mut rows = Vec::new();
        for (operation, name) in OPERATIONS {
            let next = Arc::new(AtomicUsize::new(0));
            let mut workers = JoinSet::new();
            let began = Instant::now();
            for _ in 0..self.concurrency {
                let (backend, next, prefix) = (Arc::clone(&backend), Arc::clone(&next), prefix.to_owned());
                let (values, size) = (self.values as usize, self.size as usize);
                workers.spawn(async move {
                    let (mut times, mut errors) = (Vec::new(), Vec::new());
                    loop {
                        let number = next.fetch_add(1, Relaxed);
                        if number >= values {
                            return (times, errors);
                        }
                        match one(&*backend, operation, &format!("{prefix}{number}"), number, size).await {
                            Ok(took) => times.push(took),
                            Err(error) => errors.push(error),
                        }
                    }
                });
            }
            let (mut times, mut errors) = (Vec::new(), Vec::new());
            while let Some(worker) = workers.join_next().await {
                match worker {
                    Ok((more, failed)) => (times.extend(more), errors.extend(failed)),
                    Err(error) => ((), errors.push(error.to_string())),
                };
            }
            if let Some(error) = errors.first() {
                output::warn(format_args!("tier {tier}: {name}: {error}"));
            }
            rows.push(row(tier, name, times, errors.len(), self.size, began.elapsed()));
        }
        rows
    }
}

/// Does one operation, and checks what a get gives.
async fn one(
    backend: &dyn CacheBackend,
    operation: Operation,
    key: &str,
    number: usize,
    size: usize,
) -> std::result::Result<Duration, String> {
    // Made before the clock starts.
    let value = if operation == Operation::Delete { Vec::new() } else { value(number, size) };
    let entry = (operation == Operation::Set).then(|| Entry::new(value.clone()).with_ttl(Duration::from_secs(600)));
    let began = Instant::now();
    let outcome: Result<bool> = match (operation, entry) {
        (Operation::Set, Some(entry)) => backend.set(key, entry).await.map(|()| true),
        (Operation::Delete, _) => backend.delete(key).await.map(|_| true),
        _ => {
            let found = backend.get(key).await;
            let took = began.elapsed();
            return match found {
                Ok(Some(entry)) if entry.value == value => Ok(took),
                Ok(Some(_)) => Err(format!("{key}: another value came back")),
                Ok(None) => Err(format!("{key}: not there any more")),
                Err(error) => Err(error.to_string()),
            };
        }
    };
    outcome.map(|_| began.elapsed()).map_err(|error| error.to_string())
}

/// Bytes that differ from value to value and do not compress.
fn value(number: usize, size: usize) -> Vec<u8> {
    let mut state = number as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let words = std::iter::repeat_with(|| {
        // splitmix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31).to_le_bytes()
    });
    words.flatten().take(size).collect()
}

fn row(tier: &str, operation: &'static str, mut times: Vec<Duration>, failed: usize, size: u64, wall: Duration) -> Row {
    times.sort_unstable();
    // The time that a share of the calls did not exceed.
    let at = |share: f64| {
        let place = (times.len() as f64 * share).ceil() as usize;
        times.get(place.max(1) - 1).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
    };
    Row {
        tier: tier.to_owned(),
        operation,
        count: times.len() as u64,
        failed: failed as u64,
        p50_us: at(0.5),
        p90_us: at(0.9),
        p99_us: at(0.99),
        max_us: at(1.0),
        bytes_per_second: times.len() as f64 * size as f64 / wall.as_secs_f64().max(1e-9),
    }
}

fn table(rows: &[Row]) -> String {
    let cells = rows.iter().map(|row| {
        let time = |us: f64| if us.is_nan() { "-".to_owned() } else { format!("{us:.0} us") };
        vec![
            row.tier.clone(),
            row.operation.to_owned(),
            show_count(row.count),
            show_count(row.failed),
            time(row.p50_us),
            time(row.p90_us),
            time(row.p99_us),
            if row.operation == "delete" { "-".to_owned() } else { show_size(row.bytes_per_second as u64) + "/s" },
        ]
    });
    let headings = [
        ("tier", Left),
        ("", Left),
        ("done", Right),
        ("failed", Right),
        ("p50", Right),
        ("p90", Right),
        ("p99", Right),
        ("rate", Right),
    ];
    output::table(&headings, cells)
}
