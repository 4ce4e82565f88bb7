//! `cache`: the tiers of a configuration, by hand.
//!
//! Each of its commands is a file in `cache` and a line below. All open the same tiers in the same order as a server of that configuration does;
//! what one tier could not do is said on standard error and makes the exit status 3.

mod bench;
mod clear;
mod del;
mod get;
mod ls;
mod set;
mod stats;

use crate::{DONE, FAILED, PARTLY, config::Config, output};
use anyhow::Context;
use clap::Subcommand;
use prefix_indexer::cache::{CacheBackend, CacheManager, WriteReport};
use serde::Serialize;
use std::{path::PathBuf, sync::Arc};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

/// What every command of the cache takes.
#[derive(clap::Args)]
struct Common {
    /// The configuration, whose [cache] section names the tiers
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

/// The tiers, opened.
struct Opened {
    cache: CacheManager,
    config: Config,
    json: bool,
}

impl Opened {
    /// Each tier by itself, in the order in which they are asked.
    fn tiers(&self) -> impl Iterator<Item = (&str, &Arc<dyn CacheBackend>)> {
        self.cache.tier_names().filter_map(|name| Some((name, self.cache.tier(name)?)))
    }
}

macro_rules! commands {
    ($($(#[$help:meta])* $name:ident = $module:ident;)*) => {
        #[derive(Subcommand)]
        enum Command {
            $($(#[$help])* $name {
                #[command(flatten)]
                common: Common,
                #[command(flatten)]
                args: $module::Args,
            },)*
        }

        impl Args {
            pub(crate) fn run(self) -> anyhow::Result<u8> {
                match self.command {
                    $(Command::$name { common, args } => common.run(async |opened| args.run(&opened).await),)*
                }
            }
        }
    };
}

commands! {
    /// Write a value to standard output or a file
    Get = get;
    /// Set a key to what a file or standard input holds
    Set = set;
    /// Delete keys
    Del = del;
    /// List keys, and the tiers that have them
    Ls = ls;
    /// What each tier says of itself, and whether it answers
    Stats = stats;
    /// Delete all keys that match a pattern
    Clear = clear;
    /// Write, read and delete values of its own, and say how long each tier took
    Bench = bench;
}

impl Common {
    fn run(self, work: impl AsyncFnOnce(Opened) -> anyhow::Result<u8>) -> anyhow::Result<u8> {
        let config = Config::load(&self.config)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        runtime.context("cannot start the runtime")?.block_on(async {
            let cache = config.open_cache().await?;
            let status = work(Opened { cache: cache.clone(), config, json: self.json }).await;
            // Copies to higher tiers are made beside the caller; here nobody would see them made.
            cache.settle().await;
            status
        })
    }
}

/// What became of a write in one tier.
#[derive(Serialize)]
struct TierResult {
    tier: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The results of each tier; errors are said on standard error too. With the exit status that follows.
fn results<T>(report: &WriteReport<T>, count: impl Fn(&T) -> Option<u64>) -> (Vec<TierResult>, u8) {
    let rows: Vec<TierResult> = report
        .tiers()
        .map(|(tier, result)| TierResult {
            tier: tier.to_owned(),
            ok: result.is_ok(),
            count: result.as_ref().ok().and_then(&count),
            error: result.as_ref().err().map(ToString::to_string),
        })
        .collect();
    for row in &rows {
        if let Some(error) = &row.error {
            output::warn(format_args!("tier {}: {error}", row.tier));
        }
    }
    let status = status(rows.iter().filter(|row| row.ok).count(), rows.len());
    (rows, status)
}

/// The exit status when so many of all tiers did what they were asked.
fn status(done: usize, all: usize) -> u8 {
    match done {
        _ if done == all => DONE,
        0 => FAILED,
        _ => PARTLY,
    }
}
