//! Are the probabilities of the life table true on a trace?
//!
//! ```text
//! zstd -dc trace.jsonl.zst | cargo run --release -p prefix-indexer-analytics --example calibration
//! ```
//! Reads rows of the Mooncake format from standard input, learns from the first 60 % of the time, and at moments after it
//! asks for the probability that each block is used again within 60 s and 300 s. Printed are the reliability tables, once
//! for the table as it was at 60 %, once for the table that goes on learning up to each moment, and once for the
//! divergence model that does so.
#![expect(clippy::print_stdout, reason = "a program for people")]

use prefix_indexer_analytics::{Divergence, LifeTable, Reliability, ReuseModel, Waiting};
use serde::Deserialize;
use std::{collections::HashMap, error::Error, io, time::Instant};

#[derive(Deserialize)]
struct Row {
    timestamp: u64,
    hash_ids: Vec<u64>,
}

struct Request {
    time_ms: u64,
    blocks: Vec<u32>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut numbers = HashMap::new();
    let mut requests = Vec::new();
    for line in io::stdin().lines() {
        let row: Row = serde_json::from_str(&line?)?;
        let number = |id| {
            let next = numbers.len() as u32;
            *numbers.entry(id).or_insert(next)
        };
        requests.push(Request { time_ms: row.timestamp, blocks: row.hash_ids.into_iter().map(number).collect() });
    }
    let (Some(first), Some(last)) = (requests.first(), requests.last()) else { return Ok(()) };
    let (start_ms, span_ms) = (first.time_ms, last.time_ms - first.time_ms);
    let moment = |percent: u64| start_ms + span_ms * percent / 100;

    let mut table = LifeTable::default();
    let mut blocks: Vec<Option<Waiting>> = vec![None; numbers.len()];
    let mut seen = 0;
    let mut observe = |until_ms: u64, table: &mut LifeTable, blocks: &mut Vec<Option<Waiting>>| {
        let before = Instant::now();
        let mut uses = 0;
        while let Some(request) = requests.get(seen).filter(|request| request.time_ms < until_ms) {
            for &block in &request.blocks {
                let waiting = &mut blocks[block as usize];
                *waiting = Some(match waiting {
                    Some(waiting) => table.reuse(waiting, request.time_ms),
                    None => table.first_use(request.time_ms),
                });
            }
            uses += request.blocks.len();
            seen += 1;
        }
        (seen, uses, before.elapsed())
    };

    let (_, uses, elapsed) = observe(moment(60), &mut table, &mut blocks);
    println!("{uses} uses, {:.1} ns each", elapsed.as_nanos() as f64 / uses as f64);
    let before = Instant::now();
    let frozen = table.model(moment(60));
    println!("model in {:?}", before.elapsed());
    let mut divergence = Divergence::default();
    let mut passed = 0;
    let mut reports: Vec<(u64, [Reliability; 3], [f64; 2])> =
        [60_000, 300_000].map(|window_ms| (window_ms, Default::default(), [0.0; 2])).into();
    for percent in 60..100 {
        let now_ms = moment(percent);
        let (next, ..) = observe(now_ms, &mut table, &mut blocks);
        let learning = table.model(now_ms);
        let before = Instant::now();
        let news = &requests[passed..next];
        news.iter().for_each(|request| divergence.observe(request.time_ms, &request.blocks));
        if passed == 0 {
            let uses: usize = news.iter().map(|request| request.blocks.len()).sum();
            println!("divergence: {:.1} ns a use", before.elapsed().as_nanos() as f64 / uses as f64);
        }
        passed = next;
        for (window_ms, reliability, uses) in &mut reports {
            if now_ms + *window_ms > moment(100) {
                continue;
            }
            let mut used = vec![0_u32; blocks.len()];
            for request in requests[next..].iter().take_while(|request| request.time_ms < now_ms + *window_ms) {
                request.blocks.iter().for_each(|&block| used[block as usize] += 1);
            }
            let before = Instant::now();
            let diverging = divergence.probabilities(now_ms, *window_ms);
            if percent == 60 {
                println!("divergence: {} blocks in {:?}", diverging.len(), before.elapsed());
            }
            for (&probability, &used) in diverging.iter().zip(&used) {
                reliability[2].record(probability, used > 0);
            }
            let expected = learning.expectations(*window_ms);
            for (waiting, &used) in blocks.iter().zip(&used) {
                let Some(waiting) = waiting else { continue };
                let ask = |model: &ReuseModel| model.probability(waiting, now_ms, *window_ms);
                reliability[0].record(ask(&frozen), used > 0);
                reliability[1].record(ask(&learning), used > 0);
                uses[0] += expected.of(waiting, now_ms);
                uses[1] += f64::from(used);
            }
        }
    }
    for (window_ms, reliability, [expected, observed]) in reports {
        println!("uses within {} s: expected {expected:.0}, observed {observed:.0}", window_ms / 1000);
        for (name, reliability) in ["frozen at 60 %", "learning", "divergence"].iter().zip(reliability) {
            let (ratio, brier) = (reliability.ratio().unwrap_or(f64::NAN), reliability.brier().unwrap_or(f64::NAN));
            println!(
                "used again within {} s, {name}: expected / observed {ratio:.3}, Brier {brier:.5}",
                window_ms / 1000
            );
            for (from, to, row) in reliability.rows().filter(|(_, _, row)| row.count > 0) {
                let share = |of: f64| of / row.count as f64;
                let (expected, observed) = (share(row.expected), share(row.observed as f64));
                println!("  {from:>5} to {to:<5} {:>9} expected {expected:.4} observed {observed:.4}", row.count);
            }
        }
    }
    Ok(())
}
