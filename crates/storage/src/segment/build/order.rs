//! Rows by partition, and within it by recency.

use super::Input;
use crate::{StorageError, rank::Sorter, segment::Plan};
use prefix_indexer_models::Rank;
use std::collections::BTreeMap;

impl<'a> Input<'a> {
    /// The partitions, and the entry of each row.
    pub(super) fn arrange(&self) -> Result<(Plan, Vec<u32>), StorageError> {
        let scopes = self.scopes();
        let mut pairs: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for &(name, count) in scopes.iter().flatten().filter(|(_, count)| *count > 0) {
            *pairs.entry(name).or_default() += count;
        }
        let plan = Plan::new(pairs.iter().map(|(&(tenant, model_id), &count)| (tenant, model_id, count)));
        for (number, partition) in pairs.values_mut().enumerate() {
            *partition = number as u32;
        }
        let partition_of: Vec<Vec<u32>> = scopes
            .iter()
            .map(|scopes| scopes.iter().map(|(name, _)| pairs.get(name).copied().unwrap_or(0)).collect())
            .collect();
        let mut next: Vec<u32> = plan.partitions.iter().map(|partition| partition.first).collect();
        let mut grouped = vec![0; plan.partitions.iter().map(|partition| partition.count as usize).sum()];
        for ((part, start), partitions) in self.parts.iter().zip(&self.starts).zip(&partition_of) {
            for index in 0..part.len() as u32 {
                let Some(row) = part.row(index) else { continue };
                let next = &mut next[partitions[row.scope as usize] as usize];
                grouped[*next as usize] = start + index;
                *next += 1;
            }
        }
        let mut order = Vec::with_capacity(grouped.len());
        let mut sorter = Sorter::default();
        for partition in &plan.partitions {
            let tally = |position: u32| self.entry(grouped[position as usize]);
            sorter.sort(
                partition.first..partition.first + partition.count,
                |position| tally(position).tally.last_seen_ms,
                |position| {
                    let row = tally(position);
                    (Rank::of_time(row.tally.last_seen_ms), row.key)
                },
                &mut |position| order.push(grouped[position as usize]),
            );
        }
        Ok((plan, order))
    }

    /// Per part, its scopes and how many of its rows each has.
    fn scopes(&self) -> Vec<Vec<((&'a str, &'a str), u32)>> {
        let counted = self.parts.iter().map(|part| {
            let mut scopes: Vec<_> = part.table.scopes().map(|names| (names, 0)).collect();
            for index in 0..part.len() as u32 {
                if let Some(scope) = part.row(index).and_then(|row| scopes.get_mut(row.scope as usize)) {
                    scope.1 += 1;
                }
            }
            scopes
        });
        counted.collect()
    }
}
