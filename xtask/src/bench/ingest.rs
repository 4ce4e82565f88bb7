//! From a file to a durable index, beside the same aggregates in one query of the peers.

use super::{
    Bench, median,
    ours::size,
    report::{Bar, Report, Row},
};
use anyhow::{Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Half-lives of the default ladder, as the peers know them.
const HALF_LIVES: [&str; 5] = ["1m", "5m", "20m", "1h", "6h"];
/// Recommendations compared with the peers', for each half-life.
const COMPARED: usize = 1_000;

pub(super) fn jsonl(bench: &Bench, report: &mut Report) -> Result<()> {
    let file = bench.trace("events-2m.jsonl")?;
    let bytes_a_prefix = run(bench, report, "ingest, JSON Lines", &file, (2.5, 3.0))?;
    report.bar(Bar::at_most("index on disk, bytes a prefix", bytes_a_prefix, 240.0));
    Ok(())
}

pub(super) fn any_order(bench: &Bench, report: &mut Report) -> Result<()> {
    let file = bench.trace("events-2m-any-order.jsonl")?;
    run(bench, report, "ingest, JSON Lines with fields in any order", &file, (2.0, 2.0))?;
    Ok(())
}

pub(super) fn parquet(bench: &Bench, report: &mut Report) -> Result<()> {
    run(bench, report, "ingest, Parquet", &parquet_trace(bench)?, (1.4, 2.0))?;
    Ok(())
}

/// The events of the JSON Lines trace as Parquet.
pub(super) fn parquet_trace(bench: &Bench) -> Result<PathBuf> {
    let lines = bench.trace("events-2m.jsonl")?;
    let file = lines.with_extension("parquet");
    if !file.exists() {
        bench.ours.benches(&["to-parquet", &lines.to_string_lossy(), &file.to_string_lossy()])?;
    }
    Ok(file)
}

/// `bar`: how much faster than DuckDB it has to be, and is meant to be. Returns the size of the index in bytes a prefix.
fn run(bench: &Bench, report: &mut Report, name: &str, file: &Path, bar: (f64, f64)) -> Result<f64> {
    let data = bench.scratch.join("index");
    let warm = bench.ours.ingest(file, &data)?;
    for half_life in HALF_LIVES {
        let to = bench.scratch.join(format!("suggest-{half_life}.json"));
        bench.ours.suggest(&data, half_life, COMPARED, &to)?;
    }
    let bytes_on_disk = size(&data)?;
    let peers = bench.peers.names();
    let mut versions = Vec::new();
    for peer in peers {
        let answer = bench.peers.aggregate(peer, file, Some(&bench.scratch))?;
        if (answer.events, answer.prefixes) != (warm.events, warm.prefixes) {
            bail!(
                "{peer} counts {} events of {} prefixes, ours {} of {}",
                answer.events,
                answer.prefixes,
                warm.events,
                warm.prefixes
            );
        }
        versions.push(format!("{peer} {}", answer.version));
    }
    let mut ours = Vec::new();
    let mut theirs = vec![Vec::new(); peers.len()];
    for round in 0..bench.rounds {
        // Whoever comes after the other finds other things in the caches, so they take turns.
        if round % 2 == 0 {
            ours.push(bench.ours.ingest(file, &data)?.seconds);
        }
        for (peer, times) in peers.iter().zip(&mut theirs) {
            times.push(bench.peers.aggregate(peer, file, None)?.seconds);
        }
        if round % 2 == 1 {
            ours.push(bench.ours.ingest(file, &data)?.seconds);
        }
    }
    fs::remove_dir_all(&data)?;
    let own = median(&ours);
    report.scenario(
        name,
        &format!(
            "{} events, {} prefixes, {:.0} MB; ours: whole process, parsed, aggregated, ranked and durable; peers: one query; \
             {} numbers agree",
            warm.events,
            warm.prefixes,
            fs::metadata(file)?.len() as f64 / 1e6,
            HALF_LIVES.len() * COMPARED.min(warm.prefixes as usize) * 9 * peers.len(),
        ),
    );
    report.row(Row::times("prefix-indexer", &ours).note(&format!("{:.2} M events/s", warm.events as f64 / own / 1e6)));
    for ((peer, times), version) in peers.iter().zip(&theirs).zip(&versions) {
        let ratio = median(times) / own;
        report.row(Row::times(version, times).note(&format!("ours is {ratio:.2}x as fast")));
        if *peer == "duckdb" {
            report.bar(Bar::at_least(&format!("{name}: times as fast as DuckDB"), ratio, bar.0, bar.1));
        }
    }
    Ok(bytes_on_disk as f64 / warm.prefixes as f64)
}
