//! `ingest`: traces into an index, in bulk or as they are written.

use super::{DataArgs, RetentionArgs};
use crate::{
    DONE, FAILED, PARTLY, output, progress,
    units::{duration, show_count, size},
};
use anyhow::Context;
use clap::builder::PossibleValuesParser;
use indicatif::ProgressBar;
use prefix_indexer::{
    BadLines, FORMATS, Format, IndexSpec, IndexStore, IndexerOptions, IngestReport, Inputs, KeyPolicy, Ladder,
    NativeEngine, OpenOptions, Opening, PieceReport, PrefixIndexer, ServiceError, TraceOptions, Utility, follow_pieces,
    ingest_pieces,
};
use serde::Serialize;
use std::{
    fs::File,
    io::Write,
    num::NonZeroU32,
    path::PathBuf,
    str::FromStr,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

/// Prefixes that are collected in memory before they are put into the index: some 2 GB of them.
const MAX_PREFIXES_IN_MEMORY: usize = 8_000_000;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Trace files, glob patterns, or - for standard input; plain, gzip or zstd
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<String>,

    #[command(flatten)]
    data: DataArgs,

    /// Format of the traces
    #[arg(long, default_value = "auto", value_parser = PossibleValuesParser::new(format_names()))]
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

    /// Prefixes to collect in memory, some 250 bytes each, before they are put into the index
    #[arg(long, value_name = "N", default_value_t = MAX_PREFIXES_IN_MEMORY)]
    max_prefixes_in_memory: usize,

    /// Threads that parse and count [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroU32>,

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

impl BadLinesArg {
    fn policy(&self) -> BadLines {
        match self {
            BadLinesArg::Fail => BadLines::Fail,
            BadLinesArg::Skip => BadLines::Skip,
            BadLinesArg::Quarantine(_) => BadLines::Quarantine,
        }
    }
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

#[derive(Serialize)]
struct Report {
    events: u64,
    prefixes: u64,
    bad_lines: u64,
    skipped_duplicates: u64,
    seconds: f64,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let started = Instant::now();
        let inputs = Inputs::from_args(&self.inputs)?;
        let mut store = self.data.write(OpenOptions { spec: Some(self.spec()?), ..self.retention.options() })?;
        let mut watch = Watch::new(inputs.stored_bytes(), self.bad_lines.clone())?;
        let (counted, prefixes) = if self.follow {
            self.follow(&inputs, store, &mut watch)?
        } else {
            let before = store.status().counters.events;
            match self.bulk(&inputs, store.as_mut(), &mut watch) {
                Ok(counted) => (counted, store.status().prefixes),
                Err(error) => return failed(&error, store.status().counters.events - before),
            }
        };
        watch.finish()?;
        let report = Report {
            events: counted.events,
            prefixes,
            bad_lines: counted.bad_lines,
            skipped_duplicates: counted.duplicates,
            seconds: started.elapsed().as_secs_f64(),
        };
        if self.json {
            output::print_json(&report)?;
        } else {
            output::print(&format!(
                "{} events counted in {:.2} s ({} duplicates and {} bad lines left out); the index holds {} prefixes\n",
                show_count(report.events),
                report.seconds,
                show_count(report.skipped_duplicates),
                show_count(report.bad_lines),
                show_count(report.prefixes),
            ))?;
        }
        Ok(DONE)
    }

    /// What the index was made with, changed where the arguments say something: the store refuses what it cannot be.
    fn spec(&self) -> anyhow::Result<IndexSpec> {
        let made = self.data.made()?;
        Ok(IndexSpec {
            ladder: self.half_life.clone().unwrap_or(made.ladder),
            utility: self.utility.unwrap_or(made.utility),
            key_policy: KeyPolicy {
                layer_band: self.layer_band.or(made.key_policy.layer_band),
                page_band: self.page_band.or(made.key_policy.page_band),
            },
        })
    }

    fn trace_options(&self) -> anyhow::Result<TraceOptions> {
        Ok(TraceOptions {
            format: Format::by_name(&self.format)?,
            tenant: self.tenant.clone(),
            model_id: self.model.clone(),
            block_bytes: self.block_bytes,
            bad_lines: self.bad_lines.policy(),
        })
    }

    fn bulk(&self, inputs: &Inputs, store: &mut dyn IndexStore, watch: &mut Watch) -> anyhow::Result<IngestReport> {
        let engine = match self.threads {
            Some(threads) => NativeEngine::new(threads, self.max_prefixes_in_memory),
            None => NativeEngine::on_all_cores(self.max_prefixes_in_memory),
        };
        let pieces = inputs.open(self.trace_options()?, |path| store.sources_at(path).into_iter().cloned().collect());
        Ok(ingest_pieces(store, pieces, engine, |report| watch.see(report))?)
    }

    fn follow(
        &self,
        inputs: &Inputs,
        store: Box<dyn IndexStore>,
        watch: &mut Watch,
    ) -> anyhow::Result<(IngestReport, u64)> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, stop.clone()).context("cannot watch for signals")?;
        }
        let known = |path: &str| store.sources_at(path).into_iter().cloned().collect();
        let pieces = inputs.follow(self.trace_options()?, known, stop);
        let options = IndexerOptions { max_future: Some(self.max_future), ..IndexerOptions::default() };
        let indexer = PrefixIndexer::start(store, options);
        let counted = follow_pieces(&indexer, pieces, |report| watch.see(report))?;
        indexer.flush()?;
        let prefixes = indexer.snapshot().len();
        indexer.close()?;
        Ok((counted, prefixes))
    }
}

/// An error, after so many events had been committed.
fn failed(error: &anyhow::Error, events: u64) -> anyhow::Result<u8> {
    output::error(error);
    if events == 0 {
        return Ok(FAILED);
    }
    output::note(format_args!(
        "{} events before it are in the index; reading the same files again goes on behind them",
        show_count(events)
    ));
    Ok(PARTLY)
}

/// What a person sees of the work, and where bad lines go.
struct Watch {
    bar: ProgressBar,
    quarantine: Option<(PathBuf, File)>,
}

impl Watch {
    fn new(total: Option<u64>, bad_lines: BadLinesArg) -> anyhow::Result<Watch> {
        let quarantine = match bad_lines {
            BadLinesArg::Quarantine(path) => {
                let file = File::options().create(true).append(true).open(&path);
                let file = file.with_context(|| path.display().to_string())?;
                Some((path, file))
            }
            BadLinesArg::Fail | BadLinesArg::Skip => None,
        };
        Ok(Watch { bar: progress::bytes(total), quarantine })
    }

    fn see(&mut self, report: &PieceReport) -> Result<(), ServiceError> {
        self.bar.inc(report.read_bytes);
        let file = &report.file;
        match report.opening {
            Some(Opening::Truncated { from, to }) => self.say(format_args!(
                "{file}: truncated from {from} to {to} bytes; what is left was counted before, reading goes on at its end"
            )),
            Some(Opening::Rotated) => self.say(format_args!("{file}: another file than before; read from its start")),
            _ => {}
        }
        report.described.iter().for_each(|bad| self.say(bad));
        let described = report.described.len() as u64;
        if report.bad_lines > described {
            self.say(format_args!("{file}: {} more bad lines nearby", report.bad_lines - described));
        }
        if let Some((path, file)) = &mut self.quarantine {
            let failed = |source| ServiceError::File { action: "cannot write", path: path.clone(), source };
            file.write_all(&report.quarantine).map_err(failed)?;
        }
        Ok(())
    }

    fn say(&self, message: impl std::fmt::Display) {
        self.bar.suspend(|| output::warn(message));
    }

    fn finish(self) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
        match self.quarantine {
            Some((path, file)) => file.sync_all().with_context(|| path.display().to_string()),
            None => Ok(()),
        }
    }
}

/// What `--format` takes.
pub(super) fn format_names() -> Vec<&'static str> {
    std::iter::once("auto").chain(FORMATS.iter().map(|format| format.name)).collect()
}
