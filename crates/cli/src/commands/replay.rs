//! `replay`: a trace against tiers, eviction and scoring policies, on a virtual clock.

pub(super) mod capacity;
pub(super) mod page;
mod restart;
mod steady;
mod tier;

use super::trace::{CostArgs, TraceArgs, TraceSummary};
use crate::{DONE, output, progress, report::Page};
use clap::{ValueEnum, error::ErrorKind};
use prefix_indexer::{
    Ladder,
    analytics::policies::{self, REPLAY_HALF_LIVES_MS},
    simulator::{
        Ranker, Trace, rankers,
        scenarios::{
            calibration, restart as restart_scenario,
            restart::{CLAIRVOYANT, NONE},
            scale_out, steady as steady_scenario,
        },
    },
};
use serde::Serialize;
use std::path::PathBuf;

/// All policies of the list.
const ALL: &str = "all";

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    trace: TraceArgs,

    /// What is asked
    #[arg(long, value_enum, default_value_t = Scenario::Restart)]
    scenario: Scenario,

    /// Scoring policies: all, or some of them; in `steady` they drive a prefetcher, and without them there is none [default for the
    /// others: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = policy)]
    policy: Vec<String>,

    #[command(flatten)]
    steady: steady::SteadyArgs,

    #[command(flatten)]
    restart: restart::RestartArgs,

    #[command(flatten)]
    costs: CostArgs,

    /// Seed of everything that is drawn
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Print a JSON document
    #[arg(long)]
    json: bool,

    /// Write a page with plots, which needs nothing from elsewhere
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Scenario {
    /// The whole trace through tiers that begin empty
    Steady,
    /// A tier is lost at some moments and filled again
    Restart,
    /// A new replica takes a share of the traffic
    ScaleOut,
}

#[derive(Serialize)]
struct Document<'a, R> {
    scenario: Scenario,
    trace: TraceSummary,
    #[serde(flatten)]
    report: &'a R,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        self.check_options()?;
        let mut rankers = self.rankers()?;
        let trace = self.trace.load()?;
        let costs = self.costs.costs();
        let bar = progress::steps(if self.scenario == Scenario::Steady { "requests" } else { "moments" });
        let watch = |done, of| progress::step(&bar, done, of);
        match self.scenario {
            Scenario::Steady => {
                let options = self.steady.options(&trace, costs)?;
                let rows = steady_scenario::run(&trace, &options, &mut rankers, watch)?;
                bar.finish_and_clear();
                let draw = |page: &mut Page| page::steady(page, &rows, trace.unique_blocks() as u64);
                self.show(&trace, &steady::Document { rows: &rows }, || steady::table(&rows), draw)
            }
            Scenario::Restart => {
                let options = self.restart.options(&trace, costs, self.seed)?;
                let report = restart_scenario::run(&trace, &options, &mut rankers, watch)?;
                bar.finish_and_clear();
                self.show_restart(&trace, &options, &report)
            }
            Scenario::ScaleOut => {
                let options = self.restart.scale_out(&trace, costs, self.seed)?;
                let report = scale_out::run(&trace, &options, &mut rankers, watch)?;
                bar.finish_and_clear();
                self.show_restart(&trace, &options.restart, &report)
            }
        }
    }

    fn show_restart(
        &self,
        trace: &Trace,
        options: &restart_scenario::Options,
        report: &restart_scenario::Report,
    ) -> anyhow::Result<u8> {
        let calibration = calibration::run(trace, &options.at, &options.horizons_ms)?;
        let formulas = formulas();
        let draw = |page: &mut Page| {
            page::restart(page, report, |name| formulas.iter().any(|formula| formula == name));
            page::calibration(page, &calibration);
        };
        let document = restart::Document { report, calibration: &calibration };
        self.show(trace, &document, || restart::tables(report, &calibration), draw)
    }

    /// What means nothing in a scenario is refused, not ignored.
    fn check_options(&self) -> Result<(), clap::Error> {
        let clairvoyant = self.policy.iter().any(|name| name == CLAIRVOYANT).then_some("--policy clairvoyant");
        let misplaced = match self.scenario {
            Scenario::Steady => self.restart.given().or(self.restart.given_share()).or(clairvoyant),
            Scenario::Restart => self.steady.given().or(self.restart.given_share()),
            Scenario::ScaleOut => self.steady.given(),
        };
        let Some(option) = misplaced else { return Ok(()) };
        let message = format!("{option} means nothing with --scenario {}\n", self.scenario.name());
        Err(clap::Error::raw(ErrorKind::ArgumentConflict, message))
    }

    /// The policies to compare. Without any named: all, but none in `steady`.
    fn rankers(&self) -> anyhow::Result<Vec<Box<dyn Ranker>>> {
        let ladder = Ladder::new(&REPLAY_HALF_LIVES_MS)?;
        let by_default = self.policy.is_empty() && self.scenario != Scenario::Steady;
        let mut names = self.policy.clone();
        if by_default || names.iter().any(|name| name == ALL) {
            names = policies::names(&ladder);
        }
        // The two bounds are in every report, asked for or not.
        names.retain(|name| ![NONE, CLAIRVOYANT].contains(&name.as_str()));
        Ok(rankers(&names, &ladder)?)
    }

    fn show(
        &self,
        trace: &Trace,
        report: &impl Serialize,
        table: impl FnOnce() -> String,
        draw: impl FnOnce(&mut Page),
    ) -> anyhow::Result<u8> {
        let summary = TraceSummary::of(trace);
        if let Some(path) = &self.html {
            let mut page = Page::new(&format!("Replay: {}", self.scenario.name()), &summary.to_string());
            draw(&mut page);
            page.write(path)?;
        }
        if self.json {
            output::print_json(&Document { scenario: self.scenario, trace: summary, report })?;
        } else {
            output::note(&summary);
            output::print(&table())?;
        }
        Ok(DONE)
    }
}

impl Scenario {
    fn name(self) -> &'static str {
        match self {
            Scenario::Steady => "steady",
            Scenario::Restart => "restart",
            Scenario::ScaleOut => "scale-out",
        }
    }
}

/// What `--policy` takes.
fn policy_names() -> Vec<String> {
    let policies = Ladder::new(&REPLAY_HALF_LIVES_MS).map(|ladder| policies::names(&ladder)).unwrap_or_default();
    std::iter::once(ALL.to_owned()).chain(policies).chain([NONE, CLAIRVOYANT].map(str::to_owned)).collect()
}

fn formulas() -> Vec<String> {
    Ladder::new(&REPLAY_HALF_LIVES_MS).map(|ladder| policies::formula_names(&ladder)).unwrap_or_default()
}

fn policy(name: &str) -> Result<String, String> {
    let known = policy_names();
    if known.iter().any(|known| known == name) {
        Ok(name.to_owned())
    } else {
        Err(format!("expected some of {}", known.join(", ")))
    }
}
