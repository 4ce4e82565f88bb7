//! `inspect`: what an index consists of, with every checksum verified.

use crate::{
    DONE, FAILED, output,
    units::{show_count, show_size},
};
use comfy_table::CellAlignment::{Left, Right};
use prefix_indexer::{Inspection, inspect};
use serde::Serialize;
use std::{fmt::Write, path::PathBuf};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Directory of the index
    #[arg(long, value_name = "DIR", env = "PREFIX_INDEXER_INDEX_DATA")]
    data: PathBuf,

    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    prefixes: u64,
    #[serde(flatten)]
    inspection: &'a Inspection,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let found = inspect(&self.data)?;
        if self.json {
            output::print_json(&Document { prefixes: prefixes(&found), inspection: &found })?;
        } else {
            output::print(&page(&found)?)?;
        }
        Ok(if found.problems.is_empty() { DONE } else { FAILED })
    }
}

fn prefixes(found: &Inspection) -> u64 {
    found.segments.iter().map(|segment| segment.fresh).sum()
}

fn page(found: &Inspection) -> anyhow::Result<String> {
    let (spec, counters) = (&found.spec, found.counters);
    let mut page = String::new();
    writeln!(page, "{} store, generation {}", found.kind, found.generation)?;
    writeln!(page, "half-lives {}; utility {}; keys by {}", spec.ladder, spec.utility, spec.key_policy)?;
    writeln!(
        page,
        "{} prefixes of {} events ({}) from {} files; {} duplicates, {} parent conflicts, {} parent cycles",
        show_count(prefixes(found)),
        show_count(counters.events),
        show_size(counters.bytes),
        show_count(found.sources as u64),
        show_count(counters.duplicates),
        show_count(counters.parent_conflicts),
        show_count(counters.parent_cycles),
    )?;
    if !found.segments.is_empty() {
        let headings = [("segment", Left), ("size", Right), ("prefixes", Right), ("new", Right), ("newest use", Right)];
        let rows = found.segments.iter().map(|segment| {
            vec![
                segment.file.clone(),
                show_size(segment.bytes),
                show_count(segment.prefixes),
                show_count(segment.fresh),
                segment.newest_ms.to_string(),
            ]
        });
        page += &output::table(&headings, rows);
    }
    let log = &found.log;
    writeln!(page, "log: {} batches, {} events, {}", log.batches, log.events, show_size(log.bytes))?;
    if let Some(unfinished) = &log.unfinished {
        writeln!(page, "log: {unfinished}")?;
    }
    for side in &found.sides {
        writeln!(page, "side file {} version {}: {}", side.name, side.version, show_size(side.bytes))?;
    }
    match found.problems.as_slice() {
        [] => writeln!(page, "every checksum is right")?,
        problems => problems.iter().try_for_each(|problem| writeln!(page, "PROBLEM: {problem}"))?,
    }
    Ok(page)
}
