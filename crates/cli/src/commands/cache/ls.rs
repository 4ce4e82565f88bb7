//! `cache ls`: which keys there are, and where.

use super::{Opened, status};
use crate::{
    output,
    units::{show_count, show_size},
};
use comfy_table::CellAlignment::{Left, Right};
use prefix_indexer::cache::Pattern;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Which keys: * is any run of characters, also of slashes, ? any one character, \ takes the next one as it is
    #[arg(default_value = "*")]
    pattern: String,

    /// At most so many of each tier
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    limit: usize,
}

#[derive(Serialize)]
struct Row {
    key: String,
    size: u64,
    tiers: Vec<String>,
}

impl Args {
    pub(super) async fn run(self, opened: &Opened) -> anyhow::Result<u8> {
        let pattern = Pattern::new(&self.pattern);
        let mut found: BTreeMap<String, (u64, Vec<String>)> = BTreeMap::new();
        let mut answered = 0;
        for (name, backend) in opened.tiers() {
            match backend.list(&pattern, self.limit).await {
                Ok(listed) => {
                    answered += 1;
                    if listed.len() == self.limit {
                        output::warn(format_args!(
                            "tier {name}: perhaps more than {}; see --limit",
                            show_count(self.limit as u64)
                        ));
                    }
                    for row in listed {
                        found.entry(row.key).or_insert((row.size, Vec::new())).1.push(name.to_owned());
                    }
                }
                Err(error) => output::warn(format_args!("tier {name}: {error}")),
            }
        }
        let rows = found.into_iter().map(|(key, (size, tiers))| Row { key, size, tiers });
        if opened.json {
            output::print_json(&rows.collect::<Vec<_>>())?;
        } else {
            let cells = rows.map(|row| vec![row.key, show_size(row.size), row.tiers.join(", ")]);
            output::print(&output::table(&[("key", Left), ("size", Right), ("tiers", Left)], cells))?;
        }
        Ok(status(answered, opened.tiers().count()))
    }
}
