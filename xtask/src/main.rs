//! Tasks of this repository: `cargo xtask TASK`. One file a task, one line a task below.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command for people")]

mod bench;
mod check;
mod ci;
mod fixtures;
mod fuzz;
mod process;
mod schemathesis;
mod services;
mod serving;
mod soak;
mod soak_prefetch;
mod test;
mod torture;
mod tree;

use anyhow::{Context, Result, bail};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

const USAGE: &str = "\
cargo xtask TASK

  fixtures [--check] [--large] [--out DIR] [--events N --prefixes N]
                   write the synthetic traces: the small ones that are committed, with --large the big ones of the
                   benches (into fixtures/large); --check only compares the committed ones; with --events and
                   --prefixes one trace of that size
  test             all tests, doc tests, fixtures and rules, with the services that tests need (redis-server, moto,
                   Azurite), installed into target/services where they are missing; the last line counts them
  bench [SCENARIO...] [--rounds 7] [--no-peers] [--write]
                   the bars, beside DuckDB and Polars; --write keeps the results
  check            crate arrows, house rules, documents
  ci               format, lints, documentation, licences (where cargo-deny is installed), then test
  fuzz [--seconds 60] [TARGET]
                   every fuzz target for so long; installs cargo-fuzz where it is missing
  soak-prefetch [--seconds 60] [--rounds 10000]
                   prefetch workers under load for so long, and so many starts and stops
  schemathesis [--examples 200]
                   requests made up from the service's description; installs schemathesis where it is missing
  soak [--minutes 60]
                   the service at full load for long: no error, memory that stays
  torture [--rounds 2000] [--seed 1]
                   kill a writer at random moments and check what is left";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<ExitCode> {
    let Some((task, args)) = args.split_first() else { bail!("which task?\n\n{USAGE}") };
    match task.as_str() {
        "bench" => return bench::run(args),
        "check" => check::run(args)?,
        "ci" => return ci::run(args),
        "fixtures" => fixtures::run(args)?,
        "fuzz" => fuzz::run(args)?,
        "schemathesis" => schemathesis::run(args)?,
        "soak" => soak::run(args)?,
        "torture" => torture::run(args)?,
        "soak-prefetch" => soak_prefetch::run(args)?,
        "test" => return test::run(args),
        "help" | "-h" | "--help" => println!("{USAGE}"),
        other => bail!("there is no task {other:?}\n\n{USAGE}"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The directory of the workspace, wherever cargo was called from.
fn root() -> Result<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(own.parent().context("xtask lies in the workspace")?.to_owned())
}
