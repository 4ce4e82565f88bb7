//! Tasks of this repository: `cargo xtask TASK`. One file a task, one line a task below.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command for people")]

mod check;
mod fixtures;
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
  check            crate arrows, house rules, documents";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<()> {
    let Some((task, args)) = args.split_first() else { bail!("which task?\n\n{USAGE}") };
    match task.as_str() {
        "check" => check::run(args),
        "fixtures" => fixtures::run(args),
        "help" | "-h" | "--help" => {
            println!("{USAGE}");
            Ok(())
        }
        other => bail!("there is no task {other:?}\n\n{USAGE}"),
    }
}

/// The directory of the workspace, wherever cargo was called from.
fn root() -> Result<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(own.parent().context("xtask lies in the workspace")?.to_owned())
}
