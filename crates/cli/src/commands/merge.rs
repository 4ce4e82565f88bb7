//! `merge`: whole indexes become one.

use super::DataArgs;
use crate::{DONE, output, units::show_count};
use anyhow::{Context, ensure};
use prefix_indexer::{IndexReader, OpenOptions, merge_into};
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Indexes to merge, made with the same half-lives, utility and key bands
    #[arg(required = true, value_name = "DIR")]
    indexes: Vec<PathBuf>,

    #[command(flatten)]
    data: DataArgs,

    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let mut parts = Vec::new();
        for path in &self.indexes {
            parts.push(IndexReader::open(path, self.data.mmap)?);
        }
        let new = std::fs::read_dir(&self.data.data).map_or(true, |mut entries| entries.next().is_none());
        ensure!(new, "{}: not empty; --data names a new index", self.data.data.display());
        let spec = parts.first().map(|part| part.view().spec().clone());
        for (part, path) in parts.iter().zip(&self.indexes) {
            let first = spec.clone().unwrap_or_default();
            first.check_same(part.view().spec()).with_context(|| path.display().to_string())?;
        }
        let mut store = self.data.write(OpenOptions { spec, ..OpenOptions::default() })?;
        for (part, path) in parts.iter().zip(&self.indexes) {
            merge_into(store.as_mut(), part).with_context(|| path.display().to_string())?;
        }
        store.compact()?;
        let status = store.status();
        if self.json {
            output::print_json(&serde_json::json!({
                "indexes": parts.len(), "prefixes": status.prefixes, "events": status.counters.events,
            }))?;
        } else {
            output::print(&format!(
                "{} indexes merged: {} prefixes, {} events\n",
                parts.len(),
                show_count(status.prefixes),
                show_count(status.counters.events),
            ))?;
        }
        Ok(DONE)
    }
}
