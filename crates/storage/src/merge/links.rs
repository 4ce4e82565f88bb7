//! Where the rows, parents and texts of a merged segment are.

use super::{
    duplicates::{self, RowSet},
    rows::Walk,
};
use crate::{
    Row, Segment, StorageError,
    format::segment::{MAX_ROWS, NONE},
    segment::{Facts, Offsets, Plan},
};
use prefix_indexer_models::PrefixKey;

/// What becomes of the rows of several segments.
pub(super) struct Merged<'a> {
    pub(super) segments: &'a [&'a Segment],
    superseded: RowSet,
    /// The number of each segment's first row among the rows of all.
    starts: Vec<u32>,
    /// Per row of all segments: its new row, or, if it is superseded, the row (of all) that supersedes it. [`NONE`] when it
    /// is left out.
    to: Vec<u32>,
    /// Per new row, the segment that it comes from. The rows of a segment keep their order.
    pub(super) from: Vec<u16>,
    /// Segments and partitions that each new partition is made of.
    sources: Vec<(u32, u32)>,
    /// Where each new partition's sources start.
    source_starts: Vec<usize>,
    pub(super) facts: Facts,
}

impl<'a> Merged<'a> {
    /// Finds the newest row of every key and numbers those that are kept.
    pub(super) fn new(
        segments: &'a [&'a Segment],
        keep: &mut dyn FnMut(&Row<'_>) -> bool,
    ) -> Result<(Merged<'a>, Plan), StorageError> {
        let rows: u64 = segments.iter().map(|segment| segment.len()).sum();
        for (what, count, max) in
            [("rows to merge", rows, MAX_ROWS), ("segments to merge", segments.len() as u64, u64::from(u16::MAX))]
        {
            if count > max {
                return Err(StorageError::TooLarge { what, count, max });
            }
        }
        let starts = segments.iter().scan(0, |next, segment| {
            let start = *next;
            *next += segment.len() as u32;
            Some(start)
        });
        let mut merged = Merged {
            segments,
            superseded: RowSet::new(segments),
            starts: starts.collect(),
            to: vec![NONE; rows as usize],
            from: Vec::with_capacity(rows as usize),
            sources: Vec::new(),
            source_starts: Vec::new(),
            facts: Facts::default(),
        };
        duplicates::find(segments, |(segment, row), winner| {
            merged.superseded.insert(segment, row);
            let (loser, winner) = (merged.starts[segment] + row, merged.starts[winner.0] + winner.1);
            if let Some(to) = merged.to.get_mut(loser as usize) {
                *to = winner;
            }
        })?;
        let partitions = merged.number(keep)?;
        let plan = Plan::new(partitions.into_iter());
        Ok((merged, plan))
    }

    /// Gives the rows that are kept their numbers; returns the partitions with the rows they have.
    fn number(&mut self, keep: &mut dyn FnMut(&Row<'_>) -> bool) -> Result<Vec<(&'a str, &'a str, u32)>, StorageError> {
        let mut partitions = Vec::new();
        let mut left_out = 0;
        let mut walk = Walk::new(self.segments.to_vec());
        while let Some((tenant, model_id)) = walk.partition()? {
            let before = self.from.len();
            while let Some((number, row)) = walk.row()? {
                let segment = number as usize;
                if self.superseded.has(segment, row) {
                    continue;
                }
                let Some(full) = self.segments.get(segment).map(|segment| segment.row(row)).transpose()? else {
                    continue;
                };
                if !keep(&full) {
                    left_out += 1;
                    continue;
                }
                self.facts.newest_ms = self.facts.newest_ms.max(full.last_seen_ms());
                for (rung, sum) in full.sums().enumerate() {
                    self.facts.faint |= u32::from(sum < f64::MIN_POSITIVE) << rung;
                }
                if let Some(to) = self.to.get_mut((self.starts[segment] + row) as usize) {
                    *to = self.from.len() as u32;
                }
                self.from.push(number as u16);
            }
            let count = (self.from.len() - before) as u32;
            if count > 0 {
                partitions.push((tenant, model_id, count));
                self.source_starts.push(self.sources.len());
                self.sources.extend_from_slice(&walk.sources);
            }
        }
        self.source_starts.push(self.sources.len());
        let fresh: u64 = self.segments.iter().map(|segment| segment.fresh()).sum();
        self.facts.fresh = fresh.saturating_sub(left_out);
        Ok(partitions)
    }

    /// The segments and partitions that a new partition is made of.
    pub(super) fn sources(&self, partition: usize) -> &[(u32, u32)] {
        match self.source_starts.get(partition..partition + 2) {
            Some(&[start, end]) => self.sources.get(start..end).unwrap_or_default(),
            _ => &[],
        }
    }

    /// The new number of a row that is the newest of its key and kept.
    #[inline]
    pub(super) fn kept(&self, segment: usize, row: u32) -> Option<u32> {
        if self.superseded.has(segment, row) {
            return None;
        }
        self.resolved(segment, row)
    }

    /// The new number of a row's key, if it is kept.
    fn resolved(&self, segment: usize, row: u32) -> Option<u32> {
        let mut to = *self.to.get((self.starts.get(segment)? + row) as usize)?;
        if self.superseded.has(segment, row) {
            to = *self.to.get(to as usize)?;
        }
        Some(to).filter(|&row| row != NONE)
    }

    /// The rows in their new order: segment and old number.
    pub(super) fn replay(&self) -> impl Iterator<Item = (&'a Segment, u32)> {
        let mut next = vec![0; self.segments.len()];
        self.from.iter().filter_map(move |&number| {
            let (number, segment) = (usize::from(number), *self.segments.get(usize::from(number))?);
            while u64::from(next[number]) < segment.len() && self.kept(number, next[number]).is_none() {
                next[number] += 1;
            }
            next[number] += 1;
            Some((segment, next[number] - 1))
        })
    }

    /// Finds the rows of parents, and places the texts after `start` bytes of names.
    pub(super) fn links(&self, start: u64) -> Result<Links, StorageError> {
        let count = self.from.len();
        let mut links =
            Links { parents: Vec::with_capacity(count), offsets: Offsets::with_capacity(count), text: start };
        for ((segment, row), &number) in self.replay().zip(&self.from) {
            let row = segment.row(row)?;
            let parent_row = row.raw().record.parent_row.get();
            let parent = match row.parent_id() {
                None => None,
                Some(_) if u64::from(parent_row) < segment.len() => self.resolved(usize::from(number), parent_row),
                Some(parent_id) => self.adopt(&row, parent_id)?,
            };
            let foreign = row.parent_id().filter(|_| parent.is_none()).unwrap_or_default();
            links.parents.push(parent.unwrap_or(NONE));
            links.offsets.push(links.text);
            links.text += (row.prefix_id().len() + foreign.len()) as u64;
        }
        if links.text >= 1 << 40 {
            return Err(StorageError::TooLarge { what: "bytes of text", count: links.text, max: 1 << 40 });
        }
        Ok(links)
    }

    /// The new row of a parent that was no row of its child's segment.
    fn adopt(&self, row: &Row<'_>, parent_id: &str) -> Result<Option<u32>, StorageError> {
        let record = row.raw().record;
        let (layer, page) = (record.layer_min.get(), record.page_start.get());
        let policy = row.spec().key_policy;
        let key = PrefixKey::new(policy, row.tenant(), row.model_id(), parent_id, layer, page);
        for (number, segment) in self.segments.iter().enumerate() {
            if let Some(found) = segment.get(&key)? {
                let same = found.prefix_id() == parent_id;
                return Ok(self.resolved(number, found.raw().number).filter(|_| same));
            }
        }
        Ok(None)
    }
}

/// Where parents and texts are, by new row.
pub(super) struct Links {
    /// Row of the parent, [`NONE`] for a parent that is no row and for none.
    pub(super) parents: Vec<u32>,
    /// Offset of the prefix id; the id of a parent that is no row follows it.
    pub(super) offsets: Offsets,
    /// Bytes of text in all.
    pub(super) text: u64,
}
