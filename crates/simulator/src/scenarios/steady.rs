//! The whole trace through tiers, from empty: what eviction and capacity are worth, and what a prefetcher adds.
//!
//! Blocks are touched root to leaf. Each eviction policy and capacity runs without a prefetcher, and once with each
//! scoring policy. A prefetcher looks up every so often which blocks rank highest, as many as the tier can hold, and moves
//! the best of those that are not in the first tier there, at most so many a round, each behind the ancestors it lacks. What
//! to move is decided by [`next_blocks`], the function that the prefetcher of a running index decides by.

use crate::{
    Capacity, Costs, EvictionPolicy, History, Question, Ranker, Scope, SimulatorError, Trace,
    ranking::Sorter,
    tiers::{Access, Counts, Tier, TierSpec, Tiers},
};
use prefix_indexer_analytics::{NextLimits, Presence, RankedBlock, next_blocks, policies::REPLAY_HALF_LIVES_MS};
use prefix_indexer_models::{Ladder, PrefixKey, Rank};
use serde::Serialize;

/// What to compare.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which eviction policies; all tiers of a row have the same.
    pub evictions: Vec<&'static EvictionPolicy>,
    /// Capacities of the first tier.
    pub capacities: Vec<Capacity>,
    /// How fast the first tier is.
    pub access: Access,
    /// The tiers below, in the order they are asked.
    pub lower: Vec<TierSpec>,
    /// What a block spares.
    pub costs: Costs,
    /// Milliseconds between two rounds of a prefetcher, at least 1.
    pub interval_ms: u64,
    /// Blocks it moves a round.
    pub blocks_per_round: u64,
}

impl Default for Options {
    /// LRU at 1, 5, 10, 25 and 50 %, nothing below; prefetchers move 64 blocks every 10 seconds.
    fn default() -> Options {
        Options {
            evictions: EvictionPolicy::by_name("lru").into_iter().collect(),
            capacities: [1, 5, 10, 25, 50].map(|percent| Capacity::Share(crate::Share::percent(percent))).to_vec(),
            access: Access::default(),
            lower: Vec::new(),
            costs: Costs::default(),
            interval_ms: 10_000,
            blocks_per_round: 64,
        }
    }
}

/// One eviction policy, capacity and prefetcher.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Which eviction policy.
    pub eviction: &'static str,
    /// Which scoring policy the prefetcher follows; none without a prefetcher.
    pub prefetch: Option<String>,
    /// Capacity of the first tier as it was given.
    pub capacity: Capacity,
    /// The same in blocks.
    pub capacity_blocks: u64,
    /// All references.
    pub references: u64,
    /// Those whose block was in the first tier.
    pub block_hits: u64,
    /// Those whose ancestors in the request were all there, too.
    pub prefix_hits: u64,
    /// Block hits over references; none without references.
    pub block_hit_ratio: Option<f64>,
    /// Prefix hits over references; none without references.
    pub prefix_hit_ratio: Option<f64>,
    /// Tokens that need no prefill, as their block and its ancestors were in some tier; none if the size of a block is not
    /// known.
    pub tokens_saved: Option<u64>,
    /// Milliseconds of prefill that they spare, less the time of reading them; none if costs are not known.
    pub saved_ms: Option<f64>,
    /// Blocks that the prefetcher moved.
    pub prefetched_blocks: u64,
    /// Those used afterwards while they were in the first tier.
    pub prefetch_used: u64,
    /// Those wanted before they had arrived.
    pub prefetch_late: u64,
    /// Used over moved; none when nothing was moved.
    pub prefetch_precision: Option<f64>,
    /// Used, over used and the misses of blocks used before that were left; none without either.
    pub prefetch_coverage: Option<f64>,
    /// Bytes that the prefetcher moved.
    pub bytes_moved: u64,
    /// What the tiers below served.
    pub lower: Vec<LowerTier>,
}

/// What a tier below the first served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LowerTier {
    /// Which one.
    pub name: String,
    /// References it served.
    pub block_hits: u64,
    /// Bytes read from it, by requests and prefetches.
    pub bytes_read: u64,
}

/// Runs the scenario; `rankers` are the prefetchers. `watch` hears now and then how many requests have been seen, and of how many,
/// where there are prefetchers or lower tiers.
///
/// Time: without prefetchers and lower tiers O(references) a row; a prefetcher orders all blocks known at every round.
///
/// # Errors
/// [`SimulatorError::Clairvoyant`] for MIN with lower tiers, and [`SimulatorError::Ladder`]: none in practice. MIN has no rows
/// with a prefetcher.
pub fn run(
    trace: &Trace,
    options: &Options,
    rankers: &mut [Box<dyn Ranker>],
    watch: impl FnMut(usize, usize),
) -> Result<Vec<Row>, SimulatorError> {
    if let Some(policy) = options.evictions.iter().find(|policy| policy.clairvoyant)
        && !options.lower.is_empty()
    {
        return Err(SimulatorError::Clairvoyant { name: policy.name });
    }
    let block_ms = options.costs.block_ms(trace);
    let mut lanes = Vec::new();
    for &policy in &options.evictions {
        for &capacity in &options.capacities {
            let prefetchers = if policy.clairvoyant { 0 } else { rankers.len() };
            lanes.extend((0..=prefetchers).map(|number| Lane {
                policy,
                capacity,
                // More than there is changes nothing.
                blocks: capacity.blocks(trace.unique_blocks() as u64).min(trace.unique_blocks() as u64),
                ranker: number.checked_sub(1),
            }));
        }
    }
    let simple = |lane: &Lane| lane.ranker.is_none() && options.lower.is_empty() && options.access == Access::default();
    let mut live: Vec<Tiers<'_>> =
        lanes.iter().filter(|lane| !simple(lane)).map(|lane| lane.tiers(trace, options)).collect();
    let complex: Vec<&Lane> = lanes.iter().filter(|lane| !simple(lane)).collect();
    if !live.is_empty() {
        Run::new(trace, options)?.run(&complex, &mut live, rankers, block_ms.as_deref(), watch);
    }
    let mut live = live.iter();
    let row = |lane: &Lane| {
        let prefetch = lane.ranker.map(|ranker| rankers[ranker].name().to_owned());
        let (counts, lower) = if simple(lane) {
            (lane.replay(trace, block_ms.as_deref()), Vec::new())
        } else {
            live.next().map(|tiers| (tiers.counts, lower(tiers, &options.lower))).unwrap_or_default()
        };
        lane.row(trace, options, prefetch, &counts, block_ms.is_some(), lower)
    };
    Ok(lanes.iter().map(row).collect())
}

/// How many requests are between two reports of progress.
const WATCHED: usize = 64;

/// One row to be.
struct Lane {
    policy: &'static EvictionPolicy,
    capacity: Capacity,
    blocks: u64,
    ranker: Option<usize>,
}

impl Lane {
    fn tiers<'a>(&self, trace: &'a Trace, options: &Options) -> Tiers<'a> {
        let unique = trace.unique_blocks() as u64;
        let first = Tier::new(self.policy, trace, Some(self.blocks as u32), options.access);
        let lower = options.lower.iter().map(|spec| {
            let capacity = spec.capacity.map(|capacity| capacity.blocks(unique).min(unique) as u32);
            Tier::new(self.policy, trace, capacity, spec.access)
        });
        Tiers::new(trace, std::iter::once(first).chain(lower).collect())
    }

    fn replay(&self, trace: &Trace, block_ms: Option<&[f64]>) -> Counts {
        let hits = self.policy.replay(trace, self.blocks as u32, block_ms);
        Counts {
            block_hits: hits.blocks,
            prefix_hits: hits.prefixes,
            spared_blocks: hits.prefixes,
            saved_ms: hits.saved_ms,
            ..Counts::default()
        }
    }

    fn row(
        &self,
        trace: &Trace,
        options: &Options,
        prefetch: Option<String>,
        counts: &Counts,
        costs_known: bool,
        lower: Vec<LowerTier>,
    ) -> Row {
        let references = trace.references().len() as u64;
        let ratio = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        Row {
            eviction: self.policy.name,
            prefetch,
            capacity: self.capacity,
            capacity_blocks: self.blocks,
            references,
            block_hits: counts.block_hits,
            prefix_hits: counts.prefix_hits,
            block_hit_ratio: ratio(counts.block_hits, references),
            prefix_hit_ratio: ratio(counts.prefix_hits, references),
            tokens_saved: options.costs.tokens(counts.spared_blocks),
            saved_ms: costs_known.then_some(counts.saved_ms),
            prefetched_blocks: counts.prefetched,
            prefetch_used: counts.used,
            prefetch_late: counts.late,
            prefetch_precision: ratio(counts.used, counts.prefetched),
            prefetch_coverage: ratio(counts.used, counts.used + counts.avoidable_misses),
            bytes_moved: counts.prefetched_bytes,
            lower,
        }
    }
}

fn lower(tiers: &Tiers<'_>, specs: &[TierSpec]) -> Vec<LowerTier> {
    let row = |(tier, spec): (&Tier, &TierSpec)| LowerTier {
        name: spec.name.clone(),
        block_hits: tier.hits,
        bytes_read: tier.bytes,
    };
    tiers.tiers.iter().skip(1).zip(specs).map(row).collect()
}

/// All lanes that need the clock, side by side, so that a round orders the blocks once for all of them.
struct Run<'a> {
    trace: &'a Trace,
    options: &'a Options,
    history: History<'a>,
    sorter: Sorter,
    ranks: Vec<Rank>,
    sorted: Vec<u32>,
}

impl<'a> Run<'a> {
    fn new(trace: &'a Trace, options: &'a Options) -> Result<Run<'a>, SimulatorError> {
        Ok(Run {
            trace,
            options,
            history: History::new(trace, Ladder::new(&REPLAY_HALF_LIVES_MS)?),
            sorter: Sorter::default(),
            ranks: Vec::new(),
            sorted: Vec::new(),
        })
    }

    fn run(
        &mut self,
        lanes: &[&Lane],
        live: &mut [Tiers<'_>],
        rankers: &mut [Box<dyn Ranker>],
        block_ms: Option<&[f64]>,
        mut watch: impl FnMut(usize, usize),
    ) {
        let interval_ms = self.options.interval_ms.max(1);
        let first_ms = self.trace.span_ms().map_or(0, |(first_ms, _)| first_ms);
        let mut round_ms = first_ms.saturating_add(interval_ms);
        for request in self.trace.requests() {
            while round_ms <= request.time_ms {
                let moved = self.round(round_ms, lanes, live, rankers);
                round_ms = round_ms.saturating_add(interval_ms);
                if !moved {
                    // Nothing to move until something happens.
                    let behind = request.time_ms.saturating_sub(round_ms) / interval_ms;
                    round_ms = round_ms.saturating_add(behind * interval_ms);
                }
                if round_ms == u64::MAX {
                    break;
                }
            }
            let now_us = request.time_ms.saturating_mul(1_000);
            for tiers in live.iter_mut() {
                tiers.advance(now_us);
                tiers.serve(now_us, request.blocks, block_ms);
            }
            rankers.iter_mut().for_each(|ranker| ranker.observe(&request, &self.history));
            self.history.advance();
            if self.history.requests().is_multiple_of(WATCHED) {
                watch(self.history.requests(), self.trace.len());
            }
        }
    }

    /// A round of all prefetchers; whether any moved something.
    fn round(&mut self, now_ms: u64, lanes: &[&Lane], live: &mut [Tiers<'_>], rankers: &mut [Box<dyn Ranker>]) -> bool {
        let now_us = now_ms.saturating_mul(1_000);
        self.history.settle();
        let mut moved = false;
        for (number, ranker) in rankers.iter_mut().enumerate() {
            let mut ordered = false;
            for (lane, tiers) in lanes.iter().zip(live.iter_mut()).filter(|(lane, _)| lane.ranker == Some(number)) {
                if !ordered || ranker.scope() == Scope::Cell {
                    let horizon_ms = self.options.interval_ms;
                    let question = Question { now_ms, horizon_ms, budget_blocks: lane.blocks };
                    self.ranks.clear();
                    ranker.rank(&question, &self.history, &mut self.ranks);
                    self.sorter.sort(&self.ranks, &mut self.sorted);
                    ordered = true;
                }
                tiers.advance(now_us);
                let (order, trace) = (self.history.order(), self.trace);
                let ranking = self.sorted.iter().map(|&place| (Block { number: order[place as usize], trace }, 0.0));
                let limits = NextLimits {
                    wanted: usize::try_from(self.options.blocks_per_round).unwrap_or(usize::MAX),
                    scan_limit: lane.blocks as usize,
                };
                let presence = |key: &PrefixKey| match tiers.has(number_of(key)) {
                    true => Presence::Resident,
                    false => Presence::Loadable,
                };
                for (block, _) in next_blocks(ranking, limits, presence).chosen {
                    moved |= tiers.prefetch(now_us, block.number);
                }
            }
        }
        moved
    }
}

/// A block of the trace in a ranking.
#[derive(Clone, Copy)]
struct Block<'a> {
    number: u32,
    trace: &'a Trace,
}

/// Blocks of a trace have numbers for names.
fn key_of(number: u32) -> PrefixKey {
    PrefixKey(u128::from(number).to_le_bytes())
}

fn number_of(key: &PrefixKey) -> u32 {
    u128::from_le_bytes(key.0) as u32
}

impl RankedBlock for Block<'_> {
    fn key(&self) -> PrefixKey {
        key_of(self.number)
    }

    fn parent_key(&self) -> Option<PrefixKey> {
        self.trace.parent(self.number).map(key_of)
    }

    fn parent(&self) -> Option<Self> {
        Some(Block { number: self.trace.parent(self.number)?, ..*self })
    }
}
