//! The plan as a document: entries, sums, and why.

use super::{
    PlanQuery,
    blocks::{Candidacy, Pool},
    candidates::{Candidate, Candidates, Link},
    likelihood::Policy,
};
use prefix_indexer_analytics::planner::Selection;
use prefix_indexer_models::{Plan, PlanEntry, Tally};
use std::fmt::Write as _;

pub(super) fn write(
    query: &PlanQuery<'_>,
    now_ms: u64,
    candidates: &Candidates<'_>,
    pool: &Pool,
    selection: &Selection,
    policy: &Policy<'_>,
    other_uses: f64,
) -> Plan {
    let chosen: Vec<&Candidacy> =
        selection.blocks.iter().filter_map(|&place| pool.blocks.get(place as usize)).collect();
    let carried = carried(pool, selection);
    let entry = |(&block, &carried): (&&Candidacy, &u32)| {
        let number = block.row as usize;
        let (candidate, facts) = (candidates.rows.get(number)?, candidates.facts.get(number)?);
        Some(entry(block, candidate, &facts.tally, now_ms, carried))
    };
    let entries: Vec<PlanEntry> = chosen.iter().zip(&carried).filter_map(entry).collect();
    // An empty sum of floats is -0.
    let sum = |numbers: &mut dyn Iterator<Item = f64>| numbers.fold(0.0, |sum, number| sum + number);
    let expected_hits = sum(&mut entries.iter().map(|entry| entry.expected_uses));
    let references = other_uses + sum(&mut pool.blocks.iter().map(|block| block.estimate.expected_uses));
    let plan = Plan {
        plan_id: String::new(),
        now_ms,
        horizon_ms: query.horizon_ms,
        budget_bytes: query.budget_bytes,
        total_bytes: entries.iter().map(|entry| entry.bytes).fold(0, u64::saturating_add),
        why: self::why(query, policy.why.clone(), pool, selection),
        policy: query.policy.to_owned(),
        chosen_by: policy.name.clone(),
        expected_hits,
        estimated_hit_improvement: if references > 0.0 { f64::min(1.0, expected_hits / references) } else { 0.0 },
        expected_saved_ms: sum(&mut chosen.iter().map(|block| block.saving_ms())),
        entries,
    };
    plan.sealed()
}

/// For each chosen block, how many chosen ones extend it, directly or not.
fn carried(pool: &Pool, selection: &Selection) -> Vec<u32> {
    let places = pool.places();
    let mut counts = vec![0_u32; pool.blocks.len()];
    // Children come behind their parents, so from the end every count is whole when it is passed on.
    for &place in selection.blocks.iter().rev() {
        let parent = match pool.blocks.get(place as usize).map(|block| block.parent) {
            Some(Link::To(parent)) => places.get(parent as usize).copied(),
            _ => None,
        };
        let own = counts.get(place as usize).copied().unwrap_or(0);
        if let Some(count) = parent.and_then(|parent| counts.get_mut(parent as usize)) {
            *count += own + 1;
        }
    }
    selection.blocks.iter().map(|&place| counts.get(place as usize).copied().unwrap_or(0)).collect()
}

fn entry(block: &Candidacy, candidate: &Candidate<'_>, tally: &Tally, now_ms: u64, carried: u32) -> PlanEntry {
    let row = candidate.row;
    PlanEntry {
        prefix_id: row.prefix_id().into(),
        parent_id: row.parent_id().map(Into::into),
        tenant: row.tenant().into(),
        model_id: row.model_id().into(),
        depth: tally.depth,
        bytes: block.bytes,
        layer_min: Some(tally.layer_min),
        layer_max: Some(tally.layer_max),
        page_start: Some(tally.page_start),
        page_end: Some(tally.page_end),
        probability: block.estimate.probability,
        expected_uses: block.estimate.expected_uses,
        saves_ms: block.cost_ms,
        hint: hint(tally, block.cost_ms, now_ms, carried),
    }
}

/// `hits=12 age_ms=3400 gap_ms=60000 saves_ms=340 carries=3`: uses so far, time since the last, the gap to expect, what a use
/// of it saves, and how many entries extend it; the last three where there are any.
fn hint(tally: &Tally, cost_ms: Option<f64>, now_ms: u64, carried: u32) -> String {
    let mut hint = String::with_capacity(64);
    // Writing to a string does not fail.
    let _ = write!(hint, "hits={} age_ms={}", tally.hit_count, now_ms.saturating_sub(tally.last_seen_ms));
    if let Some(gap_ms) = tally.gaps.expected_ms() {
        let _ = write!(hint, " gap_ms={}", gap_ms as u64);
    }
    if let Some(cost_ms) = cost_ms {
        let _ = write!(hint, " saves_ms={}", cost_ms as u64);
    }
    if carried > 0 {
        let _ = write!(hint, " carries={carried}");
    }
    hint
}

fn why(query: &PlanQuery<'_>, mut why: String, pool: &Pool, selection: &Selection) -> String {
    if pool.blocks.is_empty() {
        why += " The index holds no prefix of this tenant and model.";
    } else if pool.blocks.iter().all(|block| block.cost_ms.is_none()) {
        why += " What a use costs is not known, so each saves 1 ms.";
    }
    if query.bytes() < query.budget_bytes {
        let _ = write!(why, " Bandwidth and deadline allow {} bytes, less than the budget.", query.bytes());
    }
    if selection.recomputed > 0 {
        let _ = write!(why, " Left out: {} that are computed faster than loaded.", selection.recomputed);
    }
    if selection.unreachable > 0 {
        let _ = write!(why, " Left out: {} whose ancestors the index does not know.", selection.unreachable);
    }
    why
}
