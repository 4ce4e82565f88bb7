//! `compact`: all segments into one, retention applied.

use super::{DataArgs, RetentionArgs};
use crate::{
    DONE, output,
    units::{show_count, show_size},
};
use serde::Serialize;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataArgs,

    #[command(flatten)]
    retention: RetentionArgs,

    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    prefixes: u64,
    removed: u64,
    segments_before: usize,
    bytes_before: u64,
    bytes: u64,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let mut store = self.data.write(self.retention.options())?;
        let before = store.status();
        store.compact()?;
        let after = store.status();
        let report = Report {
            prefixes: after.prefixes,
            removed: before.prefixes.saturating_sub(after.prefixes),
            segments_before: before.segments,
            bytes_before: before.bytes,
            bytes: after.bytes,
        };
        if self.json {
            output::print_json(&report)?;
        } else {
            output::print(&format!(
                "{} prefixes in one segment of {} (before: {} segments, {}); {} removed by retention\n",
                show_count(report.prefixes),
                show_size(report.bytes),
                report.segments_before,
                show_size(report.bytes_before),
                show_count(report.removed),
            ))?;
        }
        Ok(DONE)
    }
}
