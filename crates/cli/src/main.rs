//! The `prefix-indexer` command: what the library does, from a shell.
//!
//! Each command is one file in `commands` and one line in their list. Results go to standard output, as a table for people or one
//! JSON document with `--json`; progress, warnings and errors go to standard error.

mod candidates;
mod commands;
mod config;
mod output;
mod progress;
mod report;
mod tiers;
mod units;
mod worker;

use clap::Parser;
use std::process::ExitCode;

/// Done.
const DONE: u8 = 0;
/// Failed.
const FAILED: u8 = 1;
/// Partly done; standard error says what is missing.
const PARTLY: u8 = 3;

#[derive(Parser)]
#[command(name = "prefix-indexer", version, about, long_about = LONG_ABOUT, propagate_version = true, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: commands::Command,
}

const LONG_ABOUT: &str = "Ranks prompt prefixes by their use, so that a cold KV cache is warmed with what matters.\n\n\
    Exit status: 0 done, 1 failed, 2 usage, 3 partly done (said on standard error).";

fn main() -> ExitCode {
    match Cli::parse().command.run() {
        Ok(status) => ExitCode::from(status),
        // `prefix-indexer ... | head` ends quietly, as other tools do.
        Err(error) if output::is_closed_pipe(&error) => ExitCode::from(DONE),
        Err(error) => {
            // What only the command itself could tell is wrong with its arguments.
            if let Some(usage) = error.downcast_ref::<clap::Error>() {
                usage.exit();
            }
            output::error(&error);
            ExitCode::from(FAILED)
        }
    }
}
