//! `cache clear`: all keys that match go, from every tier.

use super::{Opened, TierResult, results};
use crate::{output, units::show_count};
use prefix_indexer::cache::Pattern;
use serde::Serialize;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Which keys: * is any run of characters, also of slashes, ? any one character, \ takes the next one as it is
    pattern: String,
}

#[derive(Serialize)]
struct Document<'a> {
    pattern: &'a str,
    tiers: Vec<TierResult>,
}

impl Args {
    pub(super) async fn run(self, opened: &Opened) -> anyhow::Result<u8> {
        let report = opened.cache.clear(&Pattern::new(&self.pattern)).await;
        let (tiers, status) = results(&report, |count| Some(*count));
        if opened.json {
            output::print_json(&Document { pattern: &self.pattern, tiers })?;
        } else {
            let lines =
                tiers.iter().filter_map(|row| Some(format!("{}: {} cleared\n", row.tier, show_count(row.count?))));
            output::print(&lines.collect::<String>())?;
        }
        Ok(status)
    }
}
