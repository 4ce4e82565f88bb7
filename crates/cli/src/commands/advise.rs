//! `advise`: how large a tier should be, and what warming it up is worth.

mod page;

use super::{
    replay::capacity::{CapacityArg, resolve_all},
    trace::{CostArgs, TraceArgs, TraceSummary},
};
use crate::{
    DONE, output, progress,
    report::Page,
    units::{milliseconds, show_count, show_duration, show_size},
};
use comfy_table::CellAlignment::Right;
use prefix_indexer::{
    Ladder,
    analytics::policies::{AUTO, REPLAY_HALF_LIVES_MS},
    simulator::{
        Costs, Share, Trace, rankers,
        scenarios::{
            restart,
            sizing::{self, Estimate, Point, Size},
        },
    },
};
use serde::Serialize;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    trace: TraceArgs,

    /// Sizes of each replica's tier: shares of the trace's blocks, numbers of blocks, or sizes [default: 0.5% to 100%]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    capacity: Vec<CapacityArg>,

    /// Replicas among which the traffic is split, each with a tier of its own: whole sessions where the trace names them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    replicas: u32,

    /// The least that a further GiB of each replica has to bring: a share of all references that become prefix hits
    #[arg(long, value_name = "SHARE", default_value = "0.1%")]
    min_gain: Share,

    /// What a warm-up may load: shares of the trace's blocks, numbers of blocks, or sizes [default: 1%,2%,5%,10%,25%]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    budget: Vec<CapacityArg>,

    /// For how long after a restart the warm-up counts [default: 60s,300s]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = milliseconds)]
    horizon: Vec<u64>,

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

#[derive(Serialize)]
struct Document {
    trace: TraceSummary,
    block_bytes: f64,
    replicas: u32,
    min_gain_per_gib: f64,
    curve: Vec<Point>,
    recommended: Option<Size>,
    warmup: Vec<Warmup>,
}

/// What a warm-up brings after one restart, on average over the moments.
#[derive(Serialize)]
struct Warmup {
    policy: String,
    budget: String,
    budget_blocks: u64,
    budget_bytes: u64,
    horizon_ms: u64,
    /// References found resident, beyond those of a tier that begins empty.
    hits_gained: f64,
    /// Those of all references to known blocks.
    hit_ratio_gained: Option<f64>,
    saved_ms: Option<f64>,
    recovered: Option<f64>,
    recovered_low: Option<f64>,
    recovered_high: Option<f64>,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let trace = self.trace.load()?;
        let document = self.look_at(&trace)?;
        if let Some(path) = &self.html {
            let mut page = Page::new("Advice", &document.trace.to_string());
            page::draw(&mut page, &document);
            page.write(path)?;
        }
        if self.json {
            output::print_json(&document)?;
        } else {
            output::note(&document.trace);
            output::print(&tables(&document))?;
        }
        Ok(DONE)
    }

    fn look_at(&self, trace: &Trace) -> anyhow::Result<Document> {
        let costs = self.costs.costs();
        let defaults = sizing::Options::default();
        let capacities = resolve_all(&self.capacity, trace)?;
        let sizing = sizing::Options {
            capacities: if capacities.is_empty() { defaults.capacities } else { capacities },
            costs,
            replicas: self.replicas,
            min_gain_per_gib: self.min_gain.as_f64(),
            seed: self.seed,
        };
        let sizing::Report { curve, recommended } = sizing::run(trace, &sizing);
        Ok(Document {
            trace: TraceSummary::of(trace),
            block_bytes: block_bytes(trace),
            replicas: self.replicas,
            min_gain_per_gib: sizing.min_gain_per_gib,
            curve,
            recommended,
            warmup: self.warmup(trace, costs)?,
        })
    }

    fn warmup(&self, trace: &Trace, costs: Costs) -> anyhow::Result<Vec<Warmup>> {
        let defaults = restart::Options::default();
        let budgets = resolve_all(&self.budget, trace)?;
        let options = restart::Options {
            budgets: if budgets.is_empty() { defaults.budgets } else { budgets },
            horizons_ms: if self.horizon.is_empty() { defaults.horizons_ms } else { self.horizon.clone() },
            costs,
            seed: self.seed,
            at: defaults.at,
        };
        let moments = options.at.len() as f64;
        let bar = progress::steps("moments");
        let mut learner = rankers(&[AUTO], &Ladder::new(&REPLAY_HALF_LIVES_MS)?)?;
        let report = restart::run(trace, &options, &mut learner, |done, of| progress::step(&bar, done, of))?;
        bar.finish_and_clear();
        let rows = |policy: &'static str| report.rows.iter().filter(move |row| row.policy == policy);
        let warmup = rows(AUTO).zip(rows(restart::NONE)).map(|(row, none)| {
            let gained = row.hits as f64 - none.hits as f64;
            Warmup {
                policy: row.policy.clone(),
                budget: row.budget.to_string(),
                budget_blocks: row.budget_blocks,
                budget_bytes: (row.budget_blocks as f64 * block_bytes(trace)) as u64,
                horizon_ms: row.horizon_ms,
                hits_gained: gained / moments,
                hit_ratio_gained: (row.references > 0).then(|| gained / row.references as f64),
                saved_ms: row.saved_ms.map(|saved_ms| saved_ms / moments),
                recovered: row.recovered,
                recovered_low: row.recovered_low,
                recovered_high: row.recovered_high,
            }
        });
        Ok(warmup.collect())
    }
}

/// Mean size of the trace's blocks.
fn block_bytes(trace: &Trace) -> f64 {
    trace.total_bytes() as f64 / trace.unique_blocks().max(1) as f64
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn between(low: f64, high: f64) -> String {
    format!("{:.1} .. {:.1}", low * 100.0, high * 100.0)
}

/// The answers for people.
fn tables(document: &Document) -> String {
    let saved = document.curve.iter().any(|point| point.saved_ms.is_some());
    let mut headings = vec![
        ("tier", Right),
        ("size", Right),
        ("blocks", Right),
        ("block hits", Right),
        ("prefix hits", Right),
        ("95 %", Right),
    ];
    headings.extend(saved.then_some(("prefill saved", Right)));
    let rows = document.curve.iter().map(|point| {
        let Estimate { value, low, high } = point.prefix_hit_ratio;
        let mut cells = vec![
            point.capacity.to_string(),
            show_size(point.capacity_bytes),
            show_count(point.capacity_blocks),
            percent(point.block_hit_ratio.value),
            percent(value),
            between(low, high),
        ];
        cells.extend(point.saved_ms.map(|saved_ms| {
            let Estimate { value, low, high } = saved_ms;
            format!("{:.0} s ({:.0} .. {:.0})", value / 1e3, low / 1e3, high / 1e3)
        }));
        cells
    });
    let curve = output::table(&headings, rows);
    let mut text = format!("Hits of an LRU tier that begins empty, by its size{}:\n\n{curve}\n", of_each(document));
    text += &match &document.recommended {
        Some(size) => format!(
            "Past {} ({} .. {}){} a further GiB turns less than {} of the references into prefix hits: {} are, \
             of {} in a tier that holds everything.\n\n",
            show_size(size.bytes),
            show_size(size.bytes_low),
            show_size(size.bytes_high),
            of_each(document),
            percent_of(document.min_gain_per_gib),
            percent(size.prefix_hit_ratio),
            percent(size.most),
        ),
        None => "The blocks of this trace have no size, so no tier can be recommended in bytes.\n\n".to_owned(),
    };
    let mut headings = vec![
        ("budget", Right),
        ("size", Right),
        ("horizon", Right),
        ("hits gained", Right),
        ("of all", Right),
        ("recovered", Right),
        ("95 %", Right),
    ];
    headings.extend(saved.then_some(("prefill saved", Right)));
    let rows = document.warmup.iter().map(|row| {
        let mut cells = vec![
            row.budget.clone(),
            show_size(row.budget_bytes),
            show_duration(row.horizon_ms),
            format!("{:.0}", row.hits_gained),
            row.hit_ratio_gained.map_or("-".to_owned(), percent),
            row.recovered.map_or("-".to_owned(), percent),
            row.recovered_low.zip(row.recovered_high).map_or("-".to_owned(), |(low, high)| between(low, high)),
        ];
        cells.extend(row.saved_ms.map(|saved_ms| format!("{:.1} s", saved_ms / 1e3)));
        cells
    });
    let policy = document.warmup.first().map_or("", |row| row.policy.as_str());
    text + &format!(
        "What loading the plan of `{policy}` is worth after a restart, on average over 41 moments, beside a tier that begins\n\
         empty; recovered: of what knowing the future would gain:\n\n{}",
        output::table(&headings, rows)
    )
}

fn of_each(document: &Document) -> String {
    if document.replicas == 1 { String::new() } else { format!(" on each of {} replicas", document.replicas) }
}

/// A share with the digits it has.
fn percent_of(share: f64) -> String {
    format!("{} %", (share * 1e11).round() / 1e9)
}
