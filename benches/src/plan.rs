//! What a plan of an index costs: 10,000 prefixes from a million, by every policy that an index offers.

use crate::{
    harness::{Measurement, Times},
    index::{open, table, view, write},
};
use anyhow::{Result, ensure};
use prefix_indexer_models::Plan;
use prefix_indexer_service::{PlanQuery, plan_policies};
use prefix_indexer_storage::View;
use std::{fs, hint::black_box, path::Path};

const PREFIXES: u64 = 1_000_000;
const PLANNED: usize = 10_000;
const BLOCK_BYTES: u64 = 1 << 20;

pub(crate) fn run(scratch: &Path) -> Result<Vec<Measurement>> {
    let path = scratch.join("segment-plan");
    let (table, _) = table(PREFIXES);
    write(&path, &table, None, PREFIXES)?;
    let view = view(vec![open(&path)?])?;
    let mut found = Vec::new();
    for policy in plan_policies(&table.spec().ladder) {
        let query = PlanQuery { policy: &policy, ..PlanQuery::new(PLANNED as u64 * BLOCK_BYTES, 300_000) };
        let plan = query.run(&view)?;
        ensure!(plan.entries.len() == PLANNED, "{policy} plans {} prefixes", plan.entries.len());
        let times = Times::of_batches(40, 1, |_| {
            black_box(plans(&query, &view));
        });
        let note = format!("{PREFIXES} prefixes of 10,000 tenants, chains of up to 100, one segment");
        let name = format!("plan of 10,000 prefixes, {policy}");
        found.push(Measurement::new(&name, times.median() / 1e6, "ms").note(note).at_most(20.0));
    }
    fs::remove_file(path)?;
    Ok(found)
}

fn plans(query: &PlanQuery<'_>, view: &View) -> Option<Plan> {
    query.run(view).ok()
}
