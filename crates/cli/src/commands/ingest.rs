//! `ingest`: traces into an index, in bulk or as they are written.

use super::{DataArgs, RetentionArgs};
use crate::{
    DONE, output, progress,
    units::{duration, show_count, size},
};
use anyhow::{Context, bail};
use clap::builder::PossibleValuesParser;
use prefix_indexer::{
    BadLines, Format, IndexSpec, IngestOptions, IngestReport, KeyPolicy, Ladder, OpenOptions, TraceOptions, Utility,
    ingest_files,
};
use serde::Serialize;
use std::{
    fs::File,
    io::{BufWriter, Write},
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    str::FromStr,
    time::{Duration, Instant},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Trace files, glob patterns, or - for standard input; plain, gzip or zstd
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<String>,

    #[command(flatten)]
    data: DataArgs,

    /// Format of the traces
    #[arg(long, default_value = "auto", value_parser = PossibleValuesParser::new(Format::names()))]
    format: String,

    /// Tenant of events whose trace names none
    #[arg(long)]
    tenant: Option<String>,

    /// Model of events whose trace names none
    #[arg(long)]
    model: Option<String>,

    /// Bytes of a block, for formats that do not say
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = size)]
    block_bytes: u64,

    /// Half-lives that a new index keeps [default: 1m,5m,20m,1h,6h]
    #[arg(long, value_name = "LIST", value_parser = Ladder::from_str)]
    half_life: Option<Ladder>,

    /// What a use counts in a new index [default: hits]
    #[arg(long, value_name = "hits|bytes|latency", value_parser = Utility::from_str)]
    utility: Option<Utility>,

    /// Layers that share a key in a new index [default: all]
    #[arg(long, value_name = "N")]
    layer_band: Option<NonZeroU32>,

    /// Pages that share a key in a new index [default: all]
    #[arg(long, value_name = "N")]
    page_band: Option<NonZeroU32>,

    #[command(flatten)]
    retention: RetentionArgs,

    /// With --follow: events further than this in the future of the wall clock are bad
    #[arg(long, value_name = "DUR", default_value = "5m", value_parser = duration)]
    max_future: Duration,

    /// What to do with lines that are no events: fail, skip (and count) or quarantine=FILE
    #[arg(long, value_name = "fail|skip|quarantine=FILE", default_value = "fail")]
    bad_lines: BadLinesArg,

    /// Go on reading as the input grows, until interrupted
    #[arg(long)]
    follow: bool,

    /// Threads that parse and count [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,

    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Clone)]
enum BadLinesArg {
    Fail,
    Skip,
    Quarantine(PathBuf),
}

impl FromStr for BadLinesArg {
    type Err = String;

    fn from_str(text: &str) -> Result<BadLinesArg, String> {
        match text {
            "fail" => Ok(BadLinesArg::Fail),
            "skip" => Ok(BadLinesArg::Skip),
            other => match other.strip_prefix("quarantine=") {
                Some(file) if !file.is_empty() => Ok(BadLinesArg::Quarantine(file.into())),
                _ => Err("expected fail, skip or quarantine=FILE".to_owned()),
            },
        }
    }
}
