//! What is made for a range of rows, or for an order.

use super::{Input, Links};
use crate::{
    StorageError,
    codec::encode,
    format::segment::{Links as RowLinks, NONE, Record, TextRef, buckets},
    rank::{Best, Ranking, Sorter},
    segment::{Plan, slots},
};
use prefix_indexer_models::{PrefixKey, Rank};
use std::{io, ops::Range, path::PathBuf};

/// Rows as they are written, and what they tell about the whole.
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) newest_ms: u64,
    pub(super) faint: u32,
}

/// What stands after the text.
pub(super) enum Made {
    /// Ranked row numbers, as written, and the best.
    Order((Vec<u8>, Ranking)),
    /// The table of keys, as written, and its slots.
    Keys((Vec<u8>, u64)),
}

pub(super) fn rows(
    input: &Input<'_>,
    links: &Links,
    order: &[u32],
    plan: &Plan,
    range: Range<usize>,
) -> Result<Chunk, StorageError> {
    let stride = input.spec.ladder.len() * 8 + size_of::<crate::format::segment::RecordView>();
    let mut chunk = Chunk { bytes: Vec::with_capacity(range.len() * stride), newest_ms: 0, faint: 0 };
    let id_of = |row: usize| -> (u64, usize) {
        let length = order.get(row).map_or(0, |&entry| input.entry(entry).prefix_id.len());
        (links.offsets.get(row), length)
    };
    let mut partition = plan.partition_of(range.start as u32);
    for number in range {
        while plan.partitions.get(partition as usize).is_some_and(|p| p.first + p.count <= number as u32) {
            partition += 1;
        }
        let (Some(&entry), Some(&parent_row)) = (order.get(number), links.parents.get(number)) else { break };
        let row = input.entry(entry);
        let (offset, length) = id_of(number);
        let parent = match row.parent_id {
            None => Some(TextRef::NONE),
            Some(foreign) if parent_row == NONE => TextRef::new(offset + length as u64, foreign.len()),
            Some(_) => {
                let (offset, length) = id_of(parent_row as usize);
                TextRef::new(offset, length)
            }
        };
        let links = RowLinks {
            prefix_id: TextRef::new(offset, length).unwrap_or_default(),
            parent_id: parent.unwrap_or_default(),
            partition,
            parent_row,
        };
        for (rung, sum) in row.sums.iter().enumerate() {
            chunk.faint |= u32::from(*sum < f64::MIN_POSITIVE) << rung;
            chunk.bytes.extend_from_slice(&sum.to_le_bytes());
        }
        chunk.newest_ms = chunk.newest_ms.max(row.tally.last_seen_ms);
        encode(&Record::new(row.key.0, row.tally, links), &mut chunk.bytes).map_err(|error| StorageError::Io {
            action: "cannot encode",
            path: PathBuf::new(),
            source: io::Error::other(error.to_string()),
        })?;
    }
    Ok(chunk)
}

pub(super) fn text(input: &Input<'_>, links: &Links, order: &[u32], range: Range<usize>) -> Vec<u8> {
    let mut text = Vec::new();
    let entries = order.get(range.clone()).unwrap_or_default();
    let parents = links.parents.get(range).unwrap_or_default();
    for (&entry, &parent) in entries.iter().zip(parents) {
        let row = input.entry(entry);
        text.extend_from_slice(row.prefix_id.as_bytes());
        if let Some(foreign) = row.parent_id.filter(|_| parent == NONE) {
            text.extend_from_slice(foreign.as_bytes());
        }
    }
    text
}

/// Ranks the rows of every partition by a rung, or, for the order after the rungs, finds the best by recency: the rows
/// are in that order already.
pub(super) fn order(input: &Input<'_>, order: &[u32], plan: &Plan, rung: usize, top: usize) -> (Vec<u8>, Ranking) {
    let ladder = &input.spec.ladder;
    let place = |number: u32| -> (Rank, PrefixKey) {
        let row = input.entry(order.get(number as usize).copied().unwrap_or(0));
        let last_seen_ms = row.tally.last_seen_ms;
        match row.sums.get(rung) {
            Some(&sum) => (ladder.rank(rung, last_seen_ms, sum), row.key),
            None => (Rank::of_time(last_seen_ms), row.key),
        }
    };
    let by_recency = rung >= ladder.len();
    let mut ranked = Vec::with_capacity(if by_recency { 0 } else { order.len() * 4 });
    let mut best = Best::new(top);
    let mut sorter = Sorter::default();
    for (number, partition) in plan.partitions.iter().enumerate() {
        let rows = partition.first..partition.first + partition.count;
        let mut first = true;
        let mut emit = |row: u32| {
            if first || best.is_open() {
                let (rank, key) = place(row);
                if first {
                    best.partition(number as u32, rank, key);
                    first = false;
                }
                if best.is_open() {
                    best.offer(row, rank, key);
                }
            }
            if !by_recency {
                ranked.extend_from_slice(&row.to_le_bytes());
            }
        };
        if by_recency {
            rows.for_each(emit);
        } else {
            sorter.sort(rows, |row| place(row).0.coarse(), place, &mut emit);
        }
    }
    (ranked, best.finish(plan))
}

/// The table of keys and the number of its slots.
pub(super) fn keys(input: &Input<'_>, order: &[u32]) -> (Vec<u8>, u64) {
    let slot = |(number, &entry): (usize, &u32)| slots::slot(input.entry(entry).key.hash64(), number as u32);
    let mut sorted: Vec<u64> = order.iter().enumerate().map(slot).collect();
    sorted.sort_unstable();
    let count = sorted.len() as u64;
    let mut table = Vec::with_capacity(buckets(count) as usize * 8 + 256);
    let mut writer = slots::SlotWriter::new(count);
    sorted.iter().for_each(|&slot| writer.push(slot, &mut table));
    let written = writer.finish(&mut table);
    (table, written)
}
