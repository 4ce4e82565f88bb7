//! What a tier of which size would have hit: the whole LRU curve from one pass, and the size past which more brings little.
//!
//! The whole trace goes through tiers with LRU eviction that begin empty, of all sizes at once
//! (stack distances). Where traffic is split among replicas, each has a tier of its own and sees its own requests: whole
//! sessions where the trace names them, otherwise single requests, drawn by a hash with the seed.
//!
//! Intervals come from a block bootstrap over time: the trace is cut into slices of equal duration, slices are drawn with
//! replacement (Kuensch: The jackknife and the bootstrap for general stationary observations, 1989; here without overlap).

mod curves;

use crate::{Capacity, Costs, Trace};
use curves::{Curves, Draws};
use serde::Serialize;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Options {
    /// The sizes that are reported, for each replica.
    pub capacities: Vec<Capacity>,
    /// What a block spares.
    pub costs: Costs,
    /// Among how many replicas the traffic is split, at least 1.
    pub replicas: u32,
    /// The gain that a further GiB of each replica has to bring: prefix hits over references.
    pub min_gain_per_gib: f64,
    /// Of the draws, and of the split.
    pub seed: u64,
}

impl Default for Options {
    /// Sizes from 1/2 % to 100 %, one replica, a tenth of a percent of the references for each GiB.
    fn default() -> Options {
        let percents =
            ["0.5%", "1%", "2%", "3%", "5%", "7%", "10%", "15%", "20%", "25%", "30%", "40%", "50%", "75%", "100%"];
        Options {
            capacities: percents.iter().filter_map(|percent| percent.parse().ok()).collect(),
            costs: Costs::default(),
            replicas: 1,
            min_gain_per_gib: 0.001,
            seed: 0,
        }
    }
}

/// A number and the middle 95 % of its draws.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Estimate {
    /// As it came out.
    pub value: f64,
    /// 95 % of the draws lie from here
    pub low: f64,
    /// to here.
    pub high: f64,
}

/// What tiers of one size hit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// Size of each replica's tier as it was given.
    pub capacity: Capacity,
    /// The same in blocks,
    pub capacity_blocks: u64,
    /// and in bytes, at the mean size of the trace's blocks.
    pub capacity_bytes: u64,
    /// References found resident.
    pub block_hits: u64,
    /// Those whose ancestors in the request were, too.
    pub prefix_hits: u64,
    /// Block hits over references.
    pub block_hit_ratio: Estimate,
    /// Prefix hits over references.
    pub prefix_hit_ratio: Estimate,
    /// Milliseconds of prefill spared by prefix hits; none if costs are not known.
    pub saved_ms: Option<Estimate>,
}

/// The size past which no growth brings the gain that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Size {
    /// Blocks of each replica,
    pub blocks: u64,
    /// and bytes.
    pub bytes: u64,
    /// The same in 95 % of the draws: from here
    pub bytes_low: u64,
    /// to here.
    pub bytes_high: u64,
    /// Prefix hits over references at that size,
    pub prefix_hit_ratio: f64,
    /// and in a tier that holds everything.
    pub most: f64,
}

/// The curve, and what follows from it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// One for each size.
    pub curve: Vec<Point>,
    /// What to give each replica; none when blocks have no size.
    pub recommended: Option<Size>,
}

const GIB: f64 = (1_u64 << 30) as f64;

/// Runs the scenario. O(references x log blocks), and for the intervals a few million additions.
pub fn run(trace: &Trace, options: &Options) -> Report {
    let unique = trace.unique_blocks() as u64;
    let block_bytes = trace.total_bytes() as f64 / unique.max(1) as f64;
    let bytes = |blocks: u64| (blocks as f64 * block_bytes) as u64;
    let block_ms = options.costs.block_ms(trace);
    let asked: Vec<u64> = options.capacities.iter().map(|capacity| capacity.blocks(unique).min(unique)).collect();
    let curves = Curves::new(trace, options, &asked, block_ms.as_deref());
    let draws = Draws::new(options.seed);
    let point = |(&capacity, &blocks): (&Capacity, &u64)| {
        let size = curves.place(blocks);
        let ratio = |hits: &[f64]| draws.estimate(|slices| curves.ratio(hits, size, slices));
        let sum = |hits: &[f64]| curves.sum(hits, size, &Draws::each_once()) as u64;
        Point {
            capacity,
            capacity_blocks: blocks,
            capacity_bytes: bytes(blocks),
            block_hits: sum(&curves.blocks),
            prefix_hits: sum(&curves.prefixes),
            block_hit_ratio: ratio(&curves.blocks),
            prefix_hit_ratio: ratio(&curves.prefixes),
            saved_ms: block_ms.is_some().then(|| draws.estimate(|slices| curves.sum(&curves.saved_ms, size, slices))),
        }
    };
    let curve = options.capacities.iter().zip(&asked).map(point).collect();
    let size = |slices: &[u8]| curves.worth(block_bytes / GIB * options.min_gain_per_gib, slices);
    let place = size(&Draws::each_once());
    let spread = draws.estimate(|slices| curves.sizes[size(slices)] as f64);
    let at = |place: usize| curves.ratio(&curves.prefixes, place, &Draws::each_once());
    let recommended = (block_bytes > 0.0).then(|| Size {
        blocks: curves.sizes[place],
        bytes: bytes(curves.sizes[place]),
        bytes_low: bytes(spread.low as u64),
        bytes_high: bytes(spread.high as u64),
        prefix_hit_ratio: at(place),
        most: at(curves.sizes.len() - 1),
    });
    Report { curve, recommended }
}
