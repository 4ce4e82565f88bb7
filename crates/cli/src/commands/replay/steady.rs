//! `replay --scenario steady`: its options, and its table.

use super::{
    capacity::{CapacityArg, resolve_all},
    tier::{TierArg, latency_ms},
};
use crate::{
    output,
    units::{bandwidth, milliseconds, show_count, show_size},
};
use clap::builder::PossibleValuesParser;
use comfy_table::CellAlignment::{Left, Right};
use prefix_indexer::simulator::{
    Access, Costs, EVICTIONS, EvictionPolicy, Trace,
    scenarios::steady::{Options, Row},
};
use serde::Serialize;
use std::collections::BTreeSet;

#[derive(clap::Args)]
#[command(next_help_heading = "Options of steady")]
pub(super) struct SteadyArgs {
    /// Eviction policies [default: lru]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = PossibleValuesParser::new(eviction_names()))]
    eviction: Vec<String>,

    /// Capacities of the tier: shares of the trace's blocks, numbers of blocks, or sizes [default: 1%,5%,10%,25%,50%]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    capacity: Vec<CapacityArg>,

    /// How long the tier takes to answer [default: 0ms]
    #[arg(long, value_name = "DUR", value_parser = latency_ms)]
    latency: Option<f64>,

    /// How much can be read from it [default: no limit]
    #[arg(long, value_name = "SIZE/s", value_parser = bandwidth)]
    bandwidth: Option<f64>,

    /// A tier below, as in cold,capacity=50%,latency=2ms,bandwidth=1GiB/s; repeated, in the order they are asked
    #[arg(long = "tier", value_name = "NAME[,capacity=N][,latency=DUR][,bandwidth=SIZE/s]")]
    tiers: Vec<TierArg>,

    /// Time between two rounds of a prefetcher [default: 10s]
    #[arg(long, value_name = "DUR", value_parser = interval)]
    prefetch_interval: Option<u64>,

    /// Blocks that a prefetcher moves a round, at most [default: 64]
    #[arg(long, value_name = "N")]
    prefetch_blocks: Option<u64>,
}

impl SteadyArgs {
    /// The first option that is given.
    pub(super) fn given(&self) -> Option<&'static str> {
        let options = [
            (!self.eviction.is_empty(), "--eviction"),
            (!self.capacity.is_empty(), "--capacity"),
            (self.latency.is_some(), "--latency"),
            (self.bandwidth.is_some(), "--bandwidth"),
            (!self.tiers.is_empty(), "--tier"),
            (self.prefetch_interval.is_some(), "--prefetch-interval"),
            (self.prefetch_blocks.is_some(), "--prefetch-blocks"),
        ];
        options.into_iter().find_map(|(given, name)| given.then_some(name))
    }

    pub(super) fn options(&self, trace: &Trace, costs: Costs) -> anyhow::Result<Options> {
        let defaults = Options::default();
        let evictions: Result<Vec<_>, _> = self.eviction.iter().map(|name| EvictionPolicy::by_name(name)).collect();
        let capacities = resolve_all(&self.capacity, trace)?;
        Ok(Options {
            evictions: Some(evictions?).filter(|given| !given.is_empty()).unwrap_or(defaults.evictions),
            capacities: if capacities.is_empty() { defaults.capacities } else { capacities },
            access: Access { latency_ms: self.latency.unwrap_or(0.0), bytes_per_second: self.bandwidth },
            lower: self.tiers.iter().map(|tier| tier.spec(trace)).collect::<anyhow::Result<_>>()?,
            costs,
            interval_ms: self.prefetch_interval.unwrap_or(defaults.interval_ms),
            blocks_per_round: self.prefetch_blocks.unwrap_or(defaults.blocks_per_round),
        })
    }
}

fn eviction_names() -> impl Iterator<Item = &'static str> {
    EVICTIONS.iter().map(|policy| policy.name)
}

fn interval(text: &str) -> Result<u64, String> {
    milliseconds(text).and_then(|ms| if ms == 0 { Err("expected more than 0".to_owned()) } else { Ok(ms) })
}

/// The document.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    pub(super) rows: &'a [Row],
}

/// The rows for people; columns that say nothing are left out.
pub(super) fn table(rows: &[Row]) -> String {
    let any = |says: &dyn Fn(&Row) -> bool| rows.iter().any(says);
    let prefetch = any(&|row| row.prefetch.is_some());
    let tokens = any(&|row| row.tokens_saved.is_some());
    let saved = any(&|row| row.saved_ms.is_some());
    let percent = |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{:.2} %", share * 100.0));
    let mut headings =
        vec![("eviction", Left), ("capacity", Right), ("blocks", Right), ("block hits", Right), ("prefix hits", Right)];
    headings.extend(tokens.then_some(("tokens saved", Right)));
    headings.extend(saved.then_some(("prefill saved", Right)));
    if prefetch {
        headings.extend([
            ("prefetch", Left),
            ("precision", Right),
            ("coverage", Right),
            ("late", Right),
            ("moved", Right),
        ]);
    }
    let lower: BTreeSet<&str> = rows.iter().flat_map(|row| &row.lower).map(|tier| tier.name.as_str()).collect();
    headings.extend(lower.iter().map(|name| (*name, Right)));
    let cells = rows.iter().map(|row| {
        let mut cells = vec![
            row.eviction.to_owned(),
            row.capacity.to_string(),
            show_count(row.capacity_blocks),
            percent(row.block_hit_ratio),
            percent(row.prefix_hit_ratio),
        ];
        cells.extend(tokens.then(|| row.tokens_saved.map_or("-".to_owned(), show_count)));
        cells.extend(saved.then(|| row.saved_ms.map_or("-".to_owned(), |ms| format!("{:.1} s", ms / 1e3))));
        if prefetch {
            cells.extend([
                row.prefetch.clone().unwrap_or_else(|| "-".to_owned()),
                percent(row.prefetch_precision),
                percent(row.prefetch_coverage),
                show_count(row.prefetch_late),
                show_size(row.bytes_moved),
            ]);
        }
        cells.extend(row.lower.iter().map(|tier| show_count(tier.block_hits)));
        cells
    });
    output::table(&headings, cells)
}
