//! The list of commands. A new one is a file here and a line in [`Command`].

mod advise;
mod cache;
mod compact;
mod completions;
mod demo;
mod export;
mod feedback;
mod forget;
mod hot;
mod ingest;
mod inspect;
mod man;
mod merge;
mod plan;
mod prefetch;
mod replay;
mod serve;
mod snapshot;
mod suggest;
mod trace;
mod tune;
mod warm;

use crate::units::milliseconds;
use clap::{ArgAction, Subcommand};
use prefix_indexer::{IndexReader, IndexSpec, IndexStore, OpenOptions, StorageError, StoreKind};
use std::path::PathBuf;

macro_rules! commands {
    ($($(#[$help:meta])* $name:ident = $module:ident;)*) => {
        #[derive(Subcommand)]
        pub(crate) enum Command {
            $($(#[$help])* $name($module::Args),)*
        }

        impl Command {
            /// Runs the command; the exit status where nothing failed.
            pub(crate) fn run(self) -> anyhow::Result<u8> {
                match self {
                    $(Command::$name(args) => args.run(),)*
                }
            }
        }
    };
}

commands! {
    /// Read traces into an index
    Ingest = ingest;
    /// The best prefixes now
    Suggest = suggest;
    /// What to load before a moment: the most expected saving that fits a budget
    Plan = plan;
    /// The prefixes in most use, and when they are due again
    Hot = hot;
    /// What the index's own history recommends: policy, half-life
    Tune = tune;
    /// Execute a plan: move its blocks to the local tier, root first
    Warm = warm;
    /// Keep what matters now in the local tier, beside a live index
    Prefetch = prefetch;
    /// All prefixes with their statistics
    Snapshot = snapshot;
    /// What an index consists of, with every checksum verified
    Inspect = inspect;
    /// Merge all segments into one, in the current format, and apply retention
    Compact = compact;
    /// Merge whole indexes into a new one
    Merge = merge;
    /// Remove a tenant or a model for good
    Forget = forget;
    /// Write the statistics of all prefixes to a file
    Export = export;
    /// Report what became of prefixes that a planner loaded
    Feedback = feedback;
    /// The tiers of a configuration: read, write, list, measure
    Cache = cache;
    /// What a tier, an eviction policy or a warm-up would have gained on your trace
    Replay = replay;
    /// Answer over HTTP: take events, say what matters
    Serve = serve;
    /// How large a tier should be, and what warming it up is worth, from your trace
    Advise = advise;
    /// See the main job done, on a built-in trace or on yours
    Demo = demo;
    /// Print a completion script for a shell
    Completions = completions;
    /// Print the manual page
    Man = man;
}

/// Where the index is.
#[derive(clap::Args)]
pub(crate) struct DataArgs {
    /// Directory of the index
    #[arg(long, value_name = "DIR", env = "PREFIX_INDEXER_INDEX_DATA")]
    pub(crate) data: PathBuf,

    /// Map segments into memory, or read them whole (network file systems)
    #[arg(long, value_name = "on|off", default_value = "on", action = ArgAction::Set, value_parser = on_or_off)]
    pub(crate) mmap: bool,
}

fn on_or_off(text: &str) -> Result<bool, &'static str> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("expected on or off"),
    }
}

impl DataArgs {
    /// The index as readers see it; a writer elsewhere is not disturbed.
    pub(crate) fn read(&self) -> anyhow::Result<IndexReader> {
        Ok(IndexReader::open(&self.data, self.mmap)?)
    }

    /// What the index was made with; the defaults where there is none yet.
    pub(crate) fn made(&self) -> anyhow::Result<IndexSpec> {
        match IndexReader::spec_of(&self.data) {
            Err(StorageError::Absent { .. }) => Ok(IndexSpec::default()),
            made => Ok(made?),
        }
    }

    /// The index as its one writer sees it. Without a specification in the options it has to be there already.
    pub(crate) fn write(&self, options: OpenOptions) -> anyhow::Result<Box<dyn IndexStore>> {
        let options = prefix_indexer::learning(OpenOptions { mmap: self.mmap, ..options });
        Ok(prefix_indexer::open(StoreKind::Segments, &self.data, options)?)
    }
}

/// Whose prefixes a question is about.
#[derive(clap::Args)]
pub(crate) struct ScopeArgs {
    /// Only prefixes of this tenant
    #[arg(long)]
    pub(crate) tenant: Option<String>,

    /// Only prefixes of this model
    #[arg(long)]
    pub(crate) model: Option<String>,
}

/// How much an index keeps.
#[derive(clap::Args, Default)]
pub(crate) struct RetentionArgs {
    /// Compaction drops prefixes whose newest use is longer ago than this (as of the newest event)
    #[arg(long, value_name = "DUR", value_parser = milliseconds)]
    pub(crate) retain: Option<u64>,

    /// Compaction keeps so many prefixes; the lowest-ranked go
    #[arg(long, value_name = "N")]
    pub(crate) max_prefixes: Option<u64>,
}

impl RetentionArgs {
    pub(crate) fn options(&self) -> OpenOptions {
        OpenOptions { retain_ms: self.retain, max_prefixes: self.max_prefixes, ..OpenOptions::default() }
    }
}
