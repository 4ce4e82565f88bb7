//! `replay --scenario restart` and `scale-out`: their options, and their tables.

use super::capacity::{CapacityArg, resolve_all};
use crate::{
    output,
    units::{milliseconds, show_duration},
};
use comfy_table::CellAlignment::{Left, Right};
use prefix_indexer::simulator::{
    Costs, Share, Trace,
    scenarios::{
        calibration::Horizon,
        restart::{Options, Report},
        scale_out,
    },
};
use serde::Serialize;
use std::str::FromStr;

#[derive(clap::Args)]
#[command(next_help_heading = "Options of restart and scale-out")]
pub(super) struct RestartArgs {
    /// When the tier is lost: shares of the trace's time, or a range with a step [default: 40%..80%/1%]
    #[arg(long, value_name = "LIST")]
    at: Option<Shares>,

    /// How much may be loaded: shares of the trace's blocks, numbers of blocks, or sizes [default: 1%,2%,5%,10%,25%]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    budget: Vec<CapacityArg>,

    /// For how long the requests after it are watched [default: 60s,300s]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = milliseconds)]
    horizon: Vec<u64>,

    /// scale-out: the share of the traffic that the new replica takes [default: 25%]
    #[arg(long, value_name = "SHARE")]
    share: Option<Share>,
}

/// A list of shares and ranges.
#[derive(Debug, Clone)]
struct Shares(Vec<Share>);

impl FromStr for Shares {
    type Err = String;

    fn from_str(text: &str) -> Result<Shares, String> {
        Share::list(text).map(Shares).map_err(|error| error.to_string())
    }
}

impl RestartArgs {
    /// The first option that is given, of those that both scenarios have.
    pub(super) fn given(&self) -> Option<&'static str> {
        let options = [
            (self.at.is_some(), "--at"),
            (!self.budget.is_empty(), "--budget"),
            (!self.horizon.is_empty(), "--horizon"),
        ];
        options.into_iter().find_map(|(given, name)| given.then_some(name))
    }

    /// The option of scale-out alone, if it is given.
    pub(super) fn given_share(&self) -> Option<&'static str> {
        self.share.map(|_| "--share")
    }

    pub(super) fn options(&self, trace: &Trace, costs: Costs, seed: u64) -> anyhow::Result<Options> {
        let defaults = Options::default();
        let budgets = resolve_all(&self.budget, trace)?;
        Ok(Options {
            at: self.at.as_ref().map_or(defaults.at, |shares| shares.0.clone()),
            budgets: if budgets.is_empty() { defaults.budgets } else { budgets },
            horizons_ms: if self.horizon.is_empty() { defaults.horizons_ms } else { self.horizon.clone() },
            costs,
            seed,
        })
    }

    pub(super) fn scale_out(&self, trace: &Trace, costs: Costs, seed: u64) -> anyhow::Result<scale_out::Options> {
        let share = self.share.unwrap_or(scale_out::Options::default().share);
        Ok(scale_out::Options { restart: self.options(trace, costs, seed)?, share })
    }
}

/// The document.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    #[serde(flatten)]
    pub(super) report: &'a Report,
    pub(super) calibration: &'a [Horizon],
}

/// What each policy recovered in each cell, and over all of them; and how right the probabilities were.
pub(super) fn tables(report: &Report, calibration: &[Horizon]) -> String {
    let percent = |share: Option<f64>| {
        // A sum that begins with 0 does not show the sign of what rounds to it.
        share.map_or("-".to_owned(), |share| format!("{:.1}", 0.0 + (share * 1000.0).round() / 10.0))
    };
    let mut headings = vec![("policy".to_owned(), Left)];
    let mut policies = report.rows.chunk_by(|a, b| a.policy == b.policy).peekable();
    if let Some(rows) = policies.peek() {
        headings.extend(rows.iter().map(|row| (format!("{} {}", row.budget, show_duration(row.horizon_ms)), Right)));
    }
    let cells = policies.map(|rows| {
        let policy = rows.iter().take(1).map(|row| row.policy.clone());
        policy.chain(rows.iter().map(|row| percent(row.recovered))).collect()
    });
    let headings: Vec<_> = headings.iter().map(|(heading, alignment)| (heading.as_str(), *alignment)).collect();
    let cells = output::table(&headings, cells);
    let means = report.summary.iter().map(|summary| {
        let interval = match (summary.recovered_low, summary.recovered_high) {
            (Some(low), Some(high)) => format!("{:.1} .. {:.1}", low * 100.0, high * 100.0),
            _ => "-".to_owned(),
        };
        vec![summary.policy.clone(), percent(summary.recovered), interval, percent(summary.worst_gap)]
    });
    let means = output::table(&[("policy", Left), ("mean", Right), ("95 %", Right), ("worst gap", Right)], means);
    let calibrated = calibration.iter().map(|horizon| {
        let ratio = |ratio: Option<f64>| ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        let brier = horizon.brier.map_or("-".to_owned(), |brier| format!("{brier:.4}"));
        let (blocks, uses) = (ratio(horizon.expected_over_observed), ratio(horizon.uses_expected_over_observed));
        vec![horizon.policy.to_owned(), show_duration(horizon.horizon_ms), blocks, brier, uses]
    });
    let headings =
        [("probability", Left), ("horizon", Right), ("used blocks", Right), ("Brier score", Right), ("uses", Right)];
    let calibrated = output::table(&headings, calibrated);
    format!(
        "Share of the clairvoyant gain that each policy recovers, in percent, by budget and horizon:\n\n{cells}\n\
         Over all of them, with 95 % of the draws of the moments, and the most that a policy is below the best\n\
         fixed formula of a cell, chosen in hindsight:\n\n{means}\n\
         Blocks and uses that were expected, over those that came, by the life tables alone and by all that is learned:\n\n\
         {calibrated}"
    )
}
