//! Rows and their texts, a range at a time.

use super::Input;
use crate::{
    StorageError,
    codec::encode,
    format::segment::{Links as RowLinks, MAX_TEXT, NONE, RECORD, Record, TextRef},
    segment::{Offsets, Plan, in_order},
};
use std::{io, ops::Range, path::PathBuf};

/// Rows that are loaded together.
const WARM: usize = 32;

/// Where parents and texts are, row by row.
pub(super) struct Links {
    /// Row of the parent, [`NONE`] for a parent that is not in the segment and for none.
    parents: Vec<u32>,
    /// Offset of the prefix id; the id of a parent that is no row follows it.
    offsets: Offsets,
    /// Bytes of text in all.
    pub(super) text: u64,
}

/// Rows as they are written, and what they tell about the whole.
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) newest_ms: u64,
    pub(super) faint: u32,
}

/// Finds the rows of parents, and places the texts.
pub(super) fn links(
    input: &Input<'_>,
    plan: &Plan,
    order: &[u32],
    ranges: &[Range<usize>],
    both: bool,
) -> Result<Links, StorageError> {
    let lookup = input.row_lookup(order);
    let text = plan.text.len() as u64;
    let mut links =
        Links { parents: Vec::with_capacity(order.len()), offsets: Offsets::with_capacity(order.len()), text };
    let make = |range: &Range<usize>| {
        let entries = order.get(range.clone()).unwrap_or_default().iter();
        Ok(entries
            .map(|&entry| {
                let totals = input.totals(entry);
                let (own, parent) = (totals.prefix_id_bytes, totals.parent_id_bytes);
                let parent_row = if parent > 0 { input.parent_row(entry, &lookup) } else { None };
                let foreign = if parent_row.is_none() { parent } else { 0 };
                (parent_row.unwrap_or(NONE), own.max(foreign), own + foreign)
            })
            .collect::<Vec<(u32, usize, usize)>>())
    };
    in_order(ranges, both, make, |chunk| {
        for (parent, longest, length) in chunk {
            if longest > MAX_TEXT {
                let (count, max) = (longest as u64, MAX_TEXT as u64);
                return Err(StorageError::TooLarge { what: "bytes of an id", count, max });
            }
            links.parents.push(parent);
            links.offsets.push(links.text);
            links.text += length as u64;
        }
        Ok(())
    })?;
    if links.text >= 1 << 40 {
        return Err(StorageError::TooLarge { what: "bytes of text", count: links.text, max: 1 << 40 });
    }
    Ok(links)
}

/// The rows of a range.
pub(super) fn rows(
    input: &Input<'_>,
    links: &Links,
    order: &[u32],
    plan: &Plan,
    range: Range<usize>,
) -> Result<Chunk, StorageError> {
    let stride = input.spec.ladder.len() * 8 + RECORD;
    let mut chunk = Chunk { bytes: Vec::with_capacity(range.len() * stride), newest_ms: 0, faint: 0 };
    let mut partition = plan.partition_of(range.start as u32);
    for number in range.clone() {
        if (number - range.start).is_multiple_of(WARM) {
            let end = range.end.min(number + WARM);
            input.warm(order.get(number..end).unwrap_or_default());
        }
        while plan.partitions.get(partition as usize).is_some_and(|p| p.first + p.count <= number as u32) {
            partition += 1;
        }
        let (Some(&entry), Some(&parent_row)) = (order.get(number), links.parents.get(number)) else { break };
        let row = input.totals(entry);
        let offset = links.offsets.get(number);
        let parent_offset = match parent_row {
            NONE => offset + row.prefix_id_bytes as u64,
            parent => links.offsets.get(parent as usize),
        };
        let parent_id = if row.parent_id_bytes == 0 { None } else { TextRef::new(parent_offset, row.parent_id_bytes) };
        let row_links = RowLinks {
            prefix_id: TextRef::new(offset, row.prefix_id_bytes).unwrap_or_default(),
            parent_id: parent_id.unwrap_or_default(),
            partition,
            parent_row,
        };
        for (rung, sum) in row.sums.iter().enumerate() {
            chunk.faint |= u32::from(*sum < f64::MIN_POSITIVE) << rung;
            chunk.bytes.extend_from_slice(&sum.to_le_bytes());
        }
        chunk.newest_ms = chunk.newest_ms.max(row.tally.last_seen_ms);
        encode(&Record::new(row.key.0, row.tally, row_links), &mut chunk.bytes).map_err(|error| StorageError::Io {
            action: "cannot encode",
            path: PathBuf::new(),
            source: io::Error::other(error.to_string()),
        })?;
    }
    Ok(chunk)
}

/// The texts of a range.
pub(super) fn text(input: &Input<'_>, links: &Links, order: &[u32], range: Range<usize>) -> Vec<u8> {
    let mut text = Vec::new();
    let entries = order.get(range.clone()).unwrap_or_default();
    let parents = links.parents.get(range).unwrap_or_default();
    for (&entry, &parent) in entries.iter().zip(parents) {
        let Some((prefix_id, parent_id)) = input.ids(entry) else { continue };
        text.extend_from_slice(prefix_id.as_bytes());
        if let Some(foreign) = parent_id.filter(|_| parent == NONE) {
            text.extend_from_slice(foreign.as_bytes());
        }
    }
    text
}
