//! `cache del`: keys go, from every tier.

use super::{Opened, TierResult, results};
use crate::{DONE, output};
use serde::Serialize;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The keys
    #[arg(required = true)]
    keys: Vec<String>,
}

/// What became of one key; `count` of a tier is 1 where it had it.
#[derive(Serialize)]
struct Row {
    key: String,
    tiers: Vec<TierResult>,
}

impl Args {
    pub(super) async fn run(self, opened: &Opened) -> anyhow::Result<u8> {
        let (mut rows, mut worst) = (Vec::new(), DONE);
        for key in self.keys {
            let (tiers, status) = results(&opened.cache.delete(&key).await, |had| Some(u64::from(*had)));
            // Of a key that could be deleted nowhere and one that could, together a part was done.
            worst = if rows.is_empty() || worst == status { status } else { crate::PARTLY };
            rows.push(Row { key, tiers });
        }
        if opened.json {
            output::print_json(&rows)?;
        } else {
            let had = |row: &&Row| row.tiers.iter().any(|tier| tier.count == Some(1));
            output::print(&format!("{} of {} keys were there\n", rows.iter().filter(had).count(), rows.len()))?;
        }
        Ok(worst)
    }
}
