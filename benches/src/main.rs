//! `prefix-indexer-benches`: what `cargo xtask bench` cannot measure from outside.
//!
//! `list` names the scenarios, `run [NAME...] --scratch DIR` prints one JSON object a measurement, `to-parquet IN OUT` turns
//! native JSON Lines into a Parquet file, `http ADDRESS ...` puts load on a running service.
#![expect(clippy::print_stdout, reason = "measurements go to standard output")]

mod cache;
mod cache_redis;
mod cache_s3;
mod fold;
mod harness;
mod http;
mod index;
mod live;
mod plan;
mod prefetch;
mod synthetic;
mod to_parquet;
mod warm;

use anyhow::{Context, Result, bail};
use harness::Measurement;
use std::path::{Path, PathBuf};

/// Measures something; may use the directory for files.
type Scenario = fn(&Path) -> Result<Vec<Measurement>>;

const SCENARIOS: &[(&str, Scenario)] = &[
    ("fold", fold::run),
    ("index", index::run),
    ("overlapping", index::overlapping),
    ("durable", live::durable),
    ("without-waiting", live::without_waiting),
    ("plan", plan::run),
    ("memory-tier", cache::memory),
    ("file-tier", cache::files),
    ("redis-tier", cache_redis::run),
    ("s3-tier", cache_s3::run),
    ("warm", warm::run),
    ("rate-limits", warm::limits),
    ("prefetch-cycle", prefetch::cycle),
    ("prefetch-queue", prefetch::queue),
];

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["list"] => SCENARIOS.iter().for_each(|(name, _)| println!("{name}")),
        ["to-parquet", input, output] => to_parquet::run(Path::new(input), Path::new(output))?,
        ["http", address, seconds, connections, load @ ..] => {
            println!("{}", http::run(address, seconds, connections, load)?);
        }
        ["run", rest @ ..] => run(rest)?,
        _ => bail!("prefix-indexer-benches list | run [NAME...] --scratch DIR | to-parquet IN OUT | http ..."),
    }
    Ok(())
}

fn run(args: &[&str]) -> Result<()> {
    let (mut only, mut scratch) = (Vec::new(), None);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match *arg {
            "--scratch" => scratch = Some(PathBuf::from(args.next().context("--scratch needs a directory")?)),
            name if SCENARIOS.iter().any(|(scenario, _)| *scenario == name) => only.push(name),
            other => bail!("there is no scenario {other:?}"),
        }
    }
    let scratch = scratch.context("--scratch DIR is needed")?;
    for (name, scenario) in SCENARIOS.iter().filter(|(name, _)| only.is_empty() || only.contains(name)) {
        for measurement in scenario(&scratch).with_context(|| format!("scenario {name}"))? {
            println!("{}", measurement.json());
        }
    }
    Ok(())
}
