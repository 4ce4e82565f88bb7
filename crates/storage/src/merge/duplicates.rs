//! Which rows a newer segment supersedes: a merge of the tables of keys, which are sorted.

use crate::{Segment, StorageError, segment::slots};

/// The slots of a segment's table of keys, in ascending order.
struct Slots<'a> {
    segment: &'a Segment,
    position: usize,
    /// 0 at the end.
    slot: u64,
}

impl<'a> Slots<'a> {
    fn new(segment: &'a Segment) -> Result<Slots<'a>, StorageError> {
        let mut slots = Slots { segment, position: 0, slot: 0 };
        slots.advance()?;
        Ok(slots)
    }

    fn advance(&mut self) -> Result<(), StorageError> {
        self.slot = 0;
        while self.slot == 0 && self.position < self.segment.key_slots() {
            self.slot = self.segment.key_slot(self.position)?;
            self.position += 1;
        }
        Ok(())
    }
}

/// Calls `group` for every tag that occurs, in ascending order, with the segments (as numbers) and rows that have it, newest
/// segment first.
pub(super) fn by_tag(
    segments: &[&Segment],
    mut group: impl FnMut(u32, &[(usize, u32)]) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    let mut tables = segments.iter().map(|segment| Slots::new(segment)).collect::<Result<Vec<_>, _>>()?;
    let mut same = Vec::new();
    while let Some(tag) = tables.iter().filter(|table| table.slot != 0).map(|table| slots::tag(table.slot)).min() {
        same.clear();
        for (number, table) in tables.iter_mut().enumerate() {
            while table.slot != 0 && slots::tag(table.slot) == tag {
                same.extend(slots::number(table.slot).map(|row| (number, row)));
                table.advance()?;
            }
        }
        group(tag, &same)?;
    }
    Ok(())
}

/// Calls `superseded` for every row that a newer segment supersedes, with the newest row of its key.
pub(super) fn find(
    segments: &[&Segment],
    mut superseded: impl FnMut((usize, u32), (usize, u32)),
) -> Result<(), StorageError> {
    if segments.len() < 2 {
        return Ok(());
    }
    let mut newest: Vec<([u8; 16], (usize, u32))> = Vec::new();
    by_tag(segments, |_, same| {
        if let ([_], _) | ([], _) = (same, ()) {
            return Ok(());
        }
        newest.clear();
        for &(number, row) in same {
            let Some(segment) = segments.get(number) else { continue };
            let key = segment.raw(row)?.record.key;
            match newest.iter().find(|(known, _)| *known == key) {
                Some(&(_, winner)) => superseded((number, row), winner),
                None => newest.push((key, (number, row))),
            }
        }
        Ok(())
    })
}

/// A set of the rows of several segments.
#[derive(Debug)]
pub(super) struct RowSet(Vec<Vec<u64>>);

impl RowSet {
    pub(super) fn new(segments: &[&Segment]) -> RowSet {
        RowSet(segments.iter().map(|segment| vec![0; (segment.len() as usize).div_ceil(64)]).collect())
    }

    #[inline]
    pub(super) fn has(&self, segment: usize, row: u32) -> bool {
        let word = self.0.get(segment).and_then(|rows| rows.get(row as usize / 64));
        word.is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    pub(super) fn insert(&mut self, segment: usize, row: u32) {
        if let Some(word) = self.0.get_mut(segment).and_then(|rows| rows.get_mut(row as usize / 64)) {
            *word |= 1 << (row % 64);
        }
    }
}
