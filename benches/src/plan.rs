//! What a plan of an index costs: 10,000 prefixes from a million, by learned and fixed policies, and what learning costs beside ingestion.

use crate::{
    harness::{Measurement, Times},
    index::{open, view, write},
    synthetic::{DAY_MS, Random, START_MS, prefix_id, tenant},
};
use anyhow::{Result, ensure};
use prefix_indexer_analytics::Learner;
use prefix_indexer_models::{EventBatch, EventRef, IndexSpec, PrefixTable, Shard};
use prefix_indexer_service::PlanQuery;
use std::{
    fs,
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

const PREFIXES: u64 = 1_000_000;
const PLANNED: usize = 10_000;
const BLOCK_BYTES: u64 = 1 << 20;
/// Blocks of a conversation.
const CHAIN: u64 = 10;

pub(crate) fn run(scratch: &Path) -> Result<Vec<Measurement>> {
    let path = scratch.join("segment-plan");
    let mut learner = Learner::new(&IndexSpec::default().ladder);
    let (mut events, mut learning) = (0, Duration::ZERO);
    let table = conversations(|batch| {
        let started = Instant::now();
        learner.observe(batch);
        learning += started.elapsed();
        events += batch.len();
    });
    write(&path, &table, None, PREFIXES)?;
    let view = view(vec![open(&path)?])?;
    let of = format!("{PREFIXES} prefixes of 10,000 tenants in chains of {CHAIN}");
    let note = format!("{events} events, {of}; {} are followed", learner.followed());
    let each = learning.as_nanos() as f64 / events as f64;
    let mut found = vec![Measurement::new("learning beside ingestion", each, "ns").note(note).at_most(300.0)];
    let policies = [("auto", true), ("reuse", true), ("decay-5m", true), ("most-recent", true), ("auto", false)];
    for (policy, is_learned) in policies {
        let query = PlanQuery { policy, ..PlanQuery::new(PLANNED as u64 * BLOCK_BYTES, 300_000) };
        let model = Some(learner.model()).filter(|_| is_learned);
        let plan = query.run(&view, model)?;
        ensure!(plan.entries.len() == PLANNED, "{policy} plans {} prefixes", plan.entries.len());
        let times = Times::of_batches(40, 1, |_| {
            black_box(query.run(&view, model).is_ok());
        });
        let name = format!("plan of 10,000 prefixes, {policy}{}", if is_learned { "" } else { ", nothing learned" });
        found
            .push(Measurement::new(&name, times.median() / 1e6, "ms").note(format!("{of}, one segment")).at_most(20.0));
    }
    fs::remove_file(path)?;
    Ok(found)
}

/// 200,000 requests within a day, each for all blocks of a conversation: every conversation once, in between popular ones.
fn conversations(mut observe: impl FnMut(&EventBatch)) -> PrefixTable {
    let (mut table, mut random) = (PrefixTable::new(IndexSpec::default()), Random(3));
    let (count, mut hashes) = (PREFIXES / CHAIN, Vec::new());
    for first in (0..count).step_by(5_000) {
        let mut batch = EventBatch::new();
        for conversation in first..first + 5_000 {
            let timestamp_ms = START_MS + conversation * DAY_MS / count;
            for conversation in [conversation, random.popular(count)] {
                (0..CHAIN).for_each(|depth| push(&mut batch, conversation, depth, timestamp_ms));
            }
        }
        observe(&batch);
        PrefixTable::hashes(table.spec(), &batch, &mut hashes);
        table.fold(&batch, &hashes, Shard::WHOLE, |_| ());
    }
    table
}

fn push(batch: &mut EventBatch, conversation: u64, depth: u64, timestamp_ms: u64) {
    let number = conversation * CHAIN + depth;
    let parent = prefix_id(number.saturating_sub(1));
    batch.push(&EventRef {
        prefix_id: &prefix_id(number),
        tenant: &tenant(conversation),
        model_id: "llama-3-70b",
        layer: 0,
        page_start: 0,
        page_end: 31,
        bytes: BLOCK_BYTES,
        latency_ms: 12.5,
        timestamp_ms,
        parent_id: (depth > 0).then_some(&parent),
        depth: Some(depth as u32),
        session_id: None,
        event_id: None,
    });
}
