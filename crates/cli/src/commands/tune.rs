//! `tune`: what the index's own history recommends.

use super::DataArgs;
use crate::{
    DONE, output,
    units::{show_age, show_count},
};
use anyhow::Context;
use comfy_table::CellAlignment::{Left, Right};
use prefix_indexer::{Tuning, learned, tuning};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataArgs,

    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let index = self.data.read()?;
        let learner =
            learned(&index)?.context("this index has learned nothing: it was made by a version that did not")?;
        let tuning = tuning(&learner);
        if self.json {
            output::print_json(&tuning)?;
        } else {
            output::print(&page(&tuning))?;
        }
        Ok(DONE)
    }
}

fn page(tuning: &Tuning) -> String {
    let mut page = format!(
        "auto is {}.\nHalf-life {}: {}.\nLearned from {} prefixes, {:.1} % of all.\n",
        tuning.why,
        tuning.half_life.as_deref().unwrap_or("unknown"),
        tuning.half_life_advice,
        show_count(tuning.followed as u64),
        tuning.followed_share * 100.0,
    );
    for row in tuning.calibration.iter().filter(|row| row.observed > 0) {
        let (horizon, expected) = (show_age(row.horizon_ms), show_count(row.expected.round() as u64));
        page += &format!("Of the uses within {horizon}: {expected} expected, {} came.\n", show_count(row.observed));
    }
    if !tuning.cells.is_empty() {
        let headings =
            [("horizon", Right), ("budget", Right), ("plans", Right), ("best policy", Left), ("gained", Right)];
        let rows = tuning.cells.iter().map(|cell| {
            vec![
                show_age(cell.horizon_ms),
                format!("{:.0} %", cell.budget_share * 100.0),
                format!("{:.1}", cell.plans),
                cell.policy.clone(),
                percent(cell.share),
            ]
        });
        page += "\nOf what a clairvoyant plan gains, by horizon and budget (a share of the prefixes):\n";
        page += &output::table(&headings, rows);
        let rows = tuning.shares.iter().map(|share| vec![share.policy.clone(), percent(share.share)]);
        page += "\nOver all of them:\n";
        page += &output::table(&[("policy", Left), ("gained", Right)], rows);
    }
    page
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
