//! Candidates as blocks: rows that are one object in the cold tier are one block.
//!
//! Where a block's key is made of tenant, model and prefix id alone, an index with layer or page bands has several rows for it; they
//! are planned once: their uses add up, its bytes are those of the largest. Where keys name layers or pages, each row is a block.

use super::{
    PlanQuery,
    candidates::{Candidate, Candidates, Link},
    estimates::Facts,
};
use prefix_indexer_analytics::{
    Estimate,
    planner::{self, Parent},
};
use prefix_indexer_models::{IndexSpec, KeyPolicy, PrefixKey, Tally};
use std::collections::HashMap;

/// One block that may be loaded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidacy {
    /// The first of its rows, which has its names, and the facts of all of them.
    pub(super) row: u32,
    pub(super) key: PrefixKey,
    pub(super) bytes: u64,
    pub(super) is_active: bool,
    pub(super) parent: Link,
    /// Milliseconds that a use without it costs.
    pub(super) cost_ms: Option<f64>,
    pub(super) quota: Option<u32>,
    pub(super) estimate: Estimate,
}

/// What a use saves of which nobody knows what it costs.
const UNKNOWN_COST_MS: f64 = 1.0;

impl Candidacy {
    pub(super) fn saving_ms(&self) -> f64 {
        self.estimate.probability * self.cost_ms.unwrap_or(UNKNOWN_COST_MS)
    }

    /// `places` are those of the blocks by number.
    pub(super) fn for_planner(&self, places: &[u32]) -> planner::Block {
        planner::Block {
            parent: match self.parent {
                Link::None => Parent::None,
                Link::Unknown => Parent::Unknown,
                Link::To(block) => places.get(block as usize).map_or(Parent::Unknown, |&place| Parent::Block(place)),
            },
            bytes: self.bytes,
            saving_ms: self.saving_ms(),
            recompute_ms: self.cost_ms,
            resident: self.is_active,
            quota: self.quota,
        }
    }
}

/// All blocks.
#[derive(Debug)]
pub(super) struct Pool {
    /// In the order of the policy once it has judged. Parents are numbers of blocks in the order of their first rows.
    pub(super) blocks: Vec<Candidacy>,
}

impl Pool {
    /// Facts of further rows of a block are added to those of its first.
    pub(super) fn new(query: &PlanQuery<'_>, candidates: &mut Candidates<'_>, spec: &IndexSpec) -> Pool {
        let Candidates { rows, facts, .. } = candidates;
        let quotas: HashMap<&str, u32> =
            (0..).zip(query.quotas).map(|(number, (tenant, _))| (tenant.as_str(), number)).collect();
        let is_one = query.bands || spec.key_policy == KeyPolicy::default();
        let mut numbers: HashMap<PrefixKey, u32> = HashMap::new();
        let mut number_of = Vec::new();
        let mut blocks: Vec<Candidacy> = Vec::with_capacity(rows.len());
        for (number, candidate) in (0..).zip(rows.iter()) {
            let row = candidate.row;
            if !is_one {
                let [tenant, model_id, prefix_id] = [row.tenant(), row.model_id(), row.prefix_id()];
                let name = PrefixKey::new(KeyPolicy::default(), tenant, model_id, prefix_id, 0, 0);
                let block = *numbers.entry(name).or_insert(blocks.len() as u32);
                number_of.push(block);
                if let Some(block) = blocks.get_mut(block as usize) {
                    block.add(candidate);
                    let (before, behind) = facts.split_at_mut(number as usize);
                    if let (Some(own), Some(others)) = (before.get_mut(block.row as usize), behind.first()) {
                        own.add(others, spec);
                    }
                    continue;
                }
            }
            blocks.push(Candidacy {
                row: number,
                key: row.key(),
                bytes: 0,
                is_active: candidate.is_active,
                parent: candidate.parent,
                cost_ms: None,
                quota: if quotas.is_empty() { None } else { quotas.get(row.tenant()).copied() },
                estimate: Estimate { probability: 0.0, expected_uses: 0.0 },
            });
        }
        for (number, block) in (0..).zip(&mut blocks) {
            if let Some(Facts { tally, .. }) = facts.get(block.row as usize) {
                (block.cost_ms, block.bytes) = (cost_ms(query, tally), tally.footprint_bytes);
            }
            if let (Link::To(row), false) = (block.parent, is_one) {
                let parent = number_of.get(row as usize).copied().unwrap_or(number);
                block.parent = if parent == number { Link::None } else { Link::To(parent) };
            }
        }
        Pool { blocks }
    }

    /// Where each block is, by its number.
    pub(super) fn places(&self) -> Vec<u32> {
        let mut rows: Vec<(u32, u32)> = (0..).zip(&self.blocks).map(|(place, block)| (block.row, place)).collect();
        rows.sort_unstable();
        rows.into_iter().map(|(_, place)| place).collect()
    }
}

impl Candidacy {
    /// Adds another row of the block.
    fn add(&mut self, other: &Candidate<'_>) {
        self.key = self.key.min(other.row.key());
        self.parent = match (self.parent, other.parent) {
            (Link::To(own), Link::To(others)) => Link::To(own.min(others)),
            (Link::To(known), _) | (_, Link::To(known)) => Link::To(known),
            (Link::Unknown, _) | (_, Link::Unknown) => Link::Unknown,
            (Link::None, Link::None) => Link::None,
        };
    }
}

/// What a use without the block costs: its measured latency, else the tokens of its pages at the cost of prefill.
fn cost_ms(query: &PlanQuery<'_>, tally: &Tally) -> Option<f64> {
    let measured = Some(tally.avg_latency_ms()).filter(|latency_ms| *latency_ms > 0.0);
    measured.or_else(|| {
        let pages = u64::from(tally.page_end.saturating_sub(tally.page_start)) + 1;
        let tokens = pages.saturating_mul(query.page_tokens) as f64;
        query.prefill_us_per_token.map(|cost_us| tokens * cost_us / 1e3)
    })
}
