//! `feedback`: what became of prefixes that a planner loaded.

use super::DataArgs;
use crate::{DONE, output, units::show_count};
use anyhow::Context;
use prefix_indexer::{FeedbackLedger, OpenOptions};
use serde::Serialize;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// One JSON object a line: prefix_id, tenant, model_id, outcome (used, wasted, late, evicted), and optionally plan_id, bytes,
    /// saved_ms, timestamp_ms
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    data: DataArgs,

    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    reports: u64,
    already_counted: bool,
    precision: Option<f64>,
    outcomes: serde_json::Value,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let text = std::fs::read_to_string(&self.file).with_context(|| self.file.display().to_string())?;
        let mut store = self.data.write(OpenOptions::default())?;
        let mut ledger = FeedbackLedger::load(store.as_ref())?;
        let counted = ledger.add_file(&text).with_context(|| self.file.display().to_string())?;
        if counted.is_some() {
            ledger.save(store.as_mut())?;
            store.flush()?;
        }
        let report = Report {
            reports: counted.unwrap_or(0),
            already_counted: counted.is_none(),
            precision: ledger.precision(),
            outcomes: serde_json::to_value(ledger.totals())?,
        };
        if self.json {
            output::print_json(&report)?;
        } else if report.already_counted {
            output::print("this file was counted before; nothing added\n")?;
        } else {
            let precision = report.precision.map_or("-".to_owned(), |share| format!("{:.1} %", share * 100.0));
            output::print(&format!("{} reports; {precision} used in time so far\n", show_count(report.reports)))?;
        }
        Ok(DONE)
    }
}
