//! Ranked lists: partition by partition, and in each rung by rung.

use super::Input;
use crate::{
    StorageError,
    format::segment::{Counts, Partition},
    rank::{Best, Ranking, Sorter},
    segment::{Output, Plan, in_order},
};
use prefix_indexer_models::{Ladder, PrefixKey, Rank};
use std::ops::Range;

/// Partitions are ranked together up to this many rows.
const GROUP: usize = 1 << 13;

/// Of partitions up to this size, what ranking needs is copied once for all rungs; larger ones are ranked rung by rung
/// from the table, to save memory.
const COPIED: u32 = 1 << 16;

/// Partitions to rank in some orders (the one after the rungs is recency).
struct Job {
    partitions: Range<usize>,
    orders: Range<usize>,
}

/// Writes the ranked lists, and finds the best rows of every order.
pub(super) fn write(
    input: &Input<'_>,
    plan: &Plan,
    order: &[u32],
    counts: &Counts,
    both: bool,
    out: &mut Output<'_>,
) -> Result<Vec<Ranking>, StorageError> {
    let jobs = jobs(&plan.partitions, counts.orders());
    let mut best: Vec<Best> = (0..counts.orders()).map(|_| Best::new(counts.top())).collect();
    let make = |job: &Job| Ok::<_, StorageError>(rank(input, plan, order, counts, job));
    in_order(&jobs, both, make, |(lists, found)| {
        for (order, found) in found {
            if let Some(best) = best.get_mut(order) {
                best.absorb(found);
            }
        }
        out.append(&lists)
    })?;
    out.end_section()?;
    Ok(best.into_iter().map(|best| best.finish(plan)).collect())
}

fn jobs(partitions: &[Partition], orders: usize) -> Vec<Job> {
    let mut jobs = Vec::new();
    let (mut start, mut rows) = (0, 0);
    for (number, partition) in partitions.iter().enumerate() {
        let large = partition.count > COPIED;
        if start < number && (large || rows + partition.count as usize > GROUP) {
            jobs.push(Job { partitions: start..number, orders: 0..orders });
            (start, rows) = (number, 0);
        }
        if large {
            jobs.extend((0..orders).map(|order| Job { partitions: number..number + 1, orders: order..order + 1 }));
            start = number + 1;
        } else {
            rows += partition.count as usize;
        }
    }
    if start < partitions.len() {
        jobs.push(Job { partitions: start..partitions.len(), orders: 0..orders });
    }
    jobs
}

fn rank(input: &Input<'_>, plan: &Plan, order: &[u32], counts: &Counts, job: &Job) -> (Vec<u8>, Vec<(usize, Best)>) {
    let ladder = &input.spec.ladder;
    let mut lists = Vec::new();
    let mut best: Vec<(usize, Best)> = job.orders.clone().map(|order| (order, Best::new(counts.top()))).collect();
    let mut sorter = Sorter::default();
    let mut copies = Copies::default();
    for number in job.partitions.clone() {
        let Some(partition) = plan.partitions.get(number) else { continue };
        let rows = partition.first..partition.first + partition.count;
        let entries = order.get(rows.start as usize..rows.end as usize).unwrap_or_default();
        let copied = partition.count <= COPIED;
        if copied {
            copies.fill(input, entries);
        }
        for (rung, best) in &mut best {
            let rung = *rung;
            let mut watch = Watch { best, partition: number as u32, first: true };
            let place = |row: u32| {
                let index = (row - rows.start) as usize;
                if copied {
                    return copies.place(ladder, rung, index);
                }
                let totals = input.totals(entries.get(index).copied().unwrap_or(0));
                place(ladder, rung, totals.tally.last_seen_ms, totals.sums, totals.key)
            };
            if rung >= ladder.len() {
                rows.clone().for_each(|row| watch.see(row, place)); // that is the order of the rows
            } else {
                sorter.sort(rows.clone(), |row| place(row).0.coarse(), place, &mut |row| {
                    watch.see(row, place);
                    lists.extend_from_slice(&row.to_le_bytes());
                });
            }
        }
    }
    (lists, best)
}

#[inline]
fn place(ladder: &Ladder, order: usize, last_seen_ms: u64, sums: &[f64], key: PrefixKey) -> (Rank, PrefixKey) {
    match sums.get(order) {
        Some(&sum) => (ladder.rank(order, last_seen_ms, sum), key),
        None => (Rank::of_time(last_seen_ms), key),
    }
}

/// Shows the rows of a partition to [`Best`].
struct Watch<'b> {
    best: &'b mut Best,
    partition: u32,
    first: bool,
}

impl Watch<'_> {
    #[inline]
    fn see(&mut self, row: u32, place: impl Fn(u32) -> (Rank, PrefixKey)) {
        if self.first {
            let (rank, key) = place(row);
            self.best.partition(self.partition, rank, key);
            self.first = false;
        }
        if self.best.is_open() {
            let (rank, key) = place(row);
            self.best.offer(row, rank, key);
        }
    }
}

/// What ranking needs of the rows of a partition, gathered from all over the table.
#[derive(Default)]
struct Copies {
    rungs: usize,
    last_seen_ms: Vec<u64>,
    keys: Vec<PrefixKey>,
    sums: Vec<f64>,
}

impl Copies {
    fn fill(&mut self, input: &Input<'_>, entries: &[u32]) {
        self.rungs = input.spec.ladder.len();
        self.last_seen_ms.clear();
        self.keys.clear();
        self.sums.clear();
        for &entry in entries {
            let totals = input.totals(entry);
            self.last_seen_ms.push(totals.tally.last_seen_ms);
            self.keys.push(totals.key);
            self.sums.extend_from_slice(totals.sums);
        }
    }

    #[inline]
    fn place(&self, ladder: &Ladder, order: usize, index: usize) -> (Rank, PrefixKey) {
        let sums = self.sums.get(index * self.rungs..(index + 1) * self.rungs).unwrap_or_default();
        let last_seen_ms = self.last_seen_ms.get(index).copied().unwrap_or(0);
        place(ladder, order, last_seen_ms, sums, self.keys.get(index).copied().unwrap_or_default())
    }
}
