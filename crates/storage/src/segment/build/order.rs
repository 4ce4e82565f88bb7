//! Rows by partition, and within it by recency.

use super::Input;
use crate::{rank::Sorter, segment::Plan};
use prefix_indexer_models::Rank;
use std::collections::BTreeMap;

impl Input<'_> {
    /// The partitions, and the entry of each row.
    pub(super) fn arrange(&self) -> (Plan, Vec<u32>) {
        let (plan, partition_of) = self.partitions();
        let mut next: Vec<u32> = plan.partitions.iter().map(|partition| partition.first).collect();
        let rows = plan.partitions.iter().map(|partition| partition.count as usize).sum();
        let (mut entries, mut last_seen) = (vec![0u32; rows], vec![0u64; rows]);
        for ((part, start), partitions) in self.parts.iter().zip(&self.starts).zip(&partition_of) {
            for index in 0..part.len() as u32 {
                let Some(totals) = part.totals(index) else { continue };
                let next = &mut next[partitions[totals.scope as usize] as usize];
                entries[*next as usize] = start + index;
                last_seen[*next as usize] = totals.tally.last_seen_ms;
                *next += 1;
            }
        }
        let mut order = Vec::with_capacity(rows);
        let mut sorter = Sorter::default();
        for partition in &plan.partitions {
            let last_seen = |position: u32| last_seen[position as usize];
            sorter.sort(
                partition.first..partition.first + partition.count,
                last_seen,
                |position| (Rank::of_time(last_seen(position)), self.totals(entries[position as usize]).key),
                &mut |position| order.push(entries[position as usize]),
            );
        }
        (plan, order)
    }

    /// The partitions, and for each part that of each scope.
    fn partitions(&self) -> (Plan, Vec<Vec<u32>>) {
        let mut pairs: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        let mut partition_of = Vec::with_capacity(self.parts.len());
        for part in self.parts {
            let mut counts = vec![0u32; part.table.scopes() as usize];
            for index in 0..part.len() as u32 {
                if let Some(totals) = part.totals(index) {
                    counts[totals.scope as usize] += 1;
                }
            }
            for (scope, &count) in (0..).zip(&counts).filter(|(_, count)| **count > 0) {
                if let Some(names) = part.table.names(scope) {
                    *pairs.entry(names).or_default() += count;
                }
            }
            partition_of.push(counts);
        }
        let plan = Plan::new(pairs.iter().map(|(&(tenant, model_id), &count)| (tenant, model_id, count)));
        (0..).zip(pairs.values_mut()).for_each(|(number, partition)| *partition = number);
        for (part, scopes) in self.parts.iter().zip(&mut partition_of) {
            for (scope, slot) in (0..).zip(scopes).filter(|(_, count)| **count > 0) {
                *slot = part.table.names(scope).and_then(|names| pairs.get(&names).copied()).unwrap_or(0);
            }
        }
        (plan, partition_of)
    }
}
