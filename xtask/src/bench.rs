//! `bench`: the bars of docs/benchmarks.md, measured beside the peers they name.
//!
//! Peers and ours run alternately, with the same number of threads, in the same run; what counts is the ratio of medians.
//! Answers are compared before times are believed.

mod evictions;
mod http;
mod hybrid;
mod in_process;
mod ingest;
mod machine;
mod memory;
mod ours;
mod peers;
mod report;

use crate::{fixtures, process, root};
use anyhow::{Context, Result, bail};
use ours::Ours;
use peers::Peers;
use report::Report;
use std::{fs, path::PathBuf, process::ExitCode};

/// Threads that everyone may use.
const THREADS: usize = 2;

/// What a scenario is given.
struct Bench {
    ours: Ours,
    peers: Peers,
    rounds: usize,
    /// For indexes and other scratch; emptied at the end.
    scratch: PathBuf,
}

impl Bench {
    /// A trace of the benches, made if it is not there.
    fn trace(&self, name: &str) -> Result<PathBuf> {
        let dir = root()?.join("fixtures/large");
        let path = dir.join(name);
        if !path.exists() {
            fixtures::generate(&dir, name)?;
        }
        Ok(path)
    }
}

type Scenario = fn(&Bench, &mut Report) -> Result<()>;

/// All scenarios; each adds its measurements and bars to the report.
const SCENARIOS: &[(&str, Scenario)] = &[
    ("ingest_jsonl", |bench, report| ingest::jsonl(bench, report)),
    ("ingest_any_order", |bench, report| ingest::any_order(bench, report)),
    ("ingest_parquet", |bench, report| ingest::parquet(bench, report)),
    ("memory", |bench, report| memory::run(bench, report)),
    ("service", |bench, report| http::run(bench, report)),
    ("evictions", |bench, report| evictions::run(bench, report)),
    ("in_process", |bench, report| in_process::run(bench, report)),
    ("hybrid", |bench, report| hybrid::run(bench, report)),
];

pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let (mut rounds, mut only, mut with_peers, mut write) = (7, Vec::new(), true, false);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--rounds" => rounds = args.next().context("--rounds needs a number")?.parse()?,
            "--no-peers" => with_peers = false,
            "--write" => write = true,
            name if SCENARIOS.iter().any(|(scenario, _)| *scenario == name) => only.push(name),
            other => bail!(
                "bench has no option or scenario {other:?}; scenarios: {}",
                SCENARIOS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
            ),
        }
    }
    if rounds == 0 {
        bail!("--rounds must be at least 1");
    }
    process::run(process::cargo("build --release -p prefix-indexer-cli -p prefix-indexer-benches")?)?;
    let scratch = root()?.join("target/bench");
    fs::create_dir_all(&scratch)?;
    let bench = Bench { ours: Ours::new()?, peers: Peers::new(with_peers)?, rounds, scratch };
    let mut report = Report::new(machine::describe()?, rounds, bench.peers.skipped());
    let mut failed = false;
    for (name, scenario) in SCENARIOS.iter().filter(|(name, _)| only.is_empty() || only.contains(name)) {
        eprintln!("== {name}");
        // What the others measured is not lost with it.
        if let Err(error) = scenario(&bench, &mut report) {
            failed = true;
            report.skip(&format!("{name} failed: {error:#}"));
        }
    }
    fs::remove_dir_all(&bench.scratch)?;
    let table = report.markdown();
    println!("{table}");
    if write {
        report.write(&root()?)?;
    }
    Ok(if report.all_met() && !failed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Middle of the values; of two middles the lower, so that it was measured.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((sorted.len().max(1) - 1) / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        for (values, expect) in [(&[3.0][..], 3.0), (&[9.0, 1.0, 5.0], 5.0), (&[4.0, 1.0, 2.0, 3.0], 2.0)] {
            assert_eq!(median(values).to_bits(), f64::to_bits(expect));
        }
        assert!(median(&[]).is_nan());
    }
}
