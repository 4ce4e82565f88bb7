//! `export`: statistics for other tools.

use super::DataArgs;
use crate::{DONE, output, units::show_count};
use anyhow::Context;
use clap::builder::PossibleValuesParser;
use prefix_indexer::{ExportFormat, export};
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataArgs,

    /// Format of the file
    #[arg(long, value_name = "FORMAT", value_parser = PossibleValuesParser::new(ExportFormat::ALL.map(|(name, _)| name)))]
    format: String,

    /// File to write
    #[arg(value_name = "OUT")]
    out: PathBuf,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let (_, format) = ExportFormat::ALL
            .into_iter()
            .find(|(name, _)| *name == self.format)
            .with_context(|| format!("no format `{}`", self.format))?;
        let rows = export(&self.data.read()?.view(), format, &self.out)?;
        output::note(format_args!("{} prefixes written to {}", show_count(rows), self.out.display()));
        Ok(DONE)
    }
}
