//! All rows of several segments, each key once, in the order in which segments hold them.

use super::duplicates::{self, RowSet};
use crate::{Row, Segment, StorageError, format::segment::TextRef, front::Front};

/// The partitions that several segments have in common, in order, and their rows merged by recency.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    segments: Vec<&'a Segment>,
    /// The next partition of each segment, and its first row.
    next: Vec<(u32, u32)>,
    /// Segments and their partitions that the current one is made of.
    pub(super) sources: Vec<(u32, u32)>,
    front: Front,
}

impl<'a> Walk<'a> {
    pub(super) fn new(segments: Vec<&'a Segment>) -> Walk<'a> {
        let recency = segments.first().map_or(0, |segment| segment.spec().ladder.len());
        Walk {
            next: vec![(0, 0); segments.len()],
            sources: Vec::new(),
            front: Front::new(recency, segments.len()),
            segments,
        }
    }

    /// Goes on to the next partition; its tenant and model.
    pub(super) fn partition(&mut self) -> Result<Option<(&'a str, &'a str)>, StorageError> {
        self.sources.clear();
        let mut least: Option<(&str, &str)> = None;
        for (number, (segment, &(next, row))) in (0..).zip(self.segments.iter().zip(&self.next)) {
            if next as usize >= segment.partitions() {
                continue;
            }
            let partition = segment.partition(next)?;
            if partition.first.get() != row {
                return Err(segment.corrupt_partition(next));
            }
            let name =
                (segment.text(TextRef(partition.tenant.get()))?, segment.text(TextRef(partition.model_id.get()))?);
            if least.is_none_or(|least| name < least) {
                least = Some(name);
                self.sources.clear();
            }
            if least == Some(name) {
                self.sources.push((number, next));
            }
        }
        let recency = self.segments.first().map_or(0, |segment| segment.spec().ladder.len());
        for &(number, partition) in &self.sources {
            let (number, segment) = (number as usize, self.segments[number as usize]);
            self.front.add_list(segment, number as u32, segment.list_of(partition, recency)?)?;
            let (next, row) = &mut self.next[number];
            *next += 1;
            *row += segment.partition(partition)?.count.get();
        }
        Ok(least)
    }

    /// The next row of the partition: segment and number.
    #[inline]
    pub(super) fn row(&mut self) -> Result<Option<(u32, u32)>, StorageError> {
        Ok(self.front.next(&self.segments)?.map(|cursor| (cursor.segment, cursor.row)))
    }
}

/// Rows by tenant, model and recency, each key once.
pub(crate) struct AllRows<'a> {
    walk: Walk<'a>,
    superseded: Option<RowSet>,
    ended: bool,
}

impl<'a> AllRows<'a> {
    /// Of segments, newest first.
    pub(crate) fn new(segments: Vec<&'a Segment>) -> AllRows<'a> {
        AllRows { walk: Walk::new(segments), superseded: None, ended: false }
    }

    fn step(&mut self) -> Result<Option<Row<'a>>, StorageError> {
        let superseded = match &self.superseded {
            Some(superseded) => superseded,
            None => {
                let segments = &self.walk.segments;
                let mut superseded = RowSet::new(segments);
                duplicates::find(segments, |(segment, row), _| superseded.insert(segment, row))?;
                self.superseded.insert(superseded)
            }
        };
        loop {
            while let Some((number, row)) = self.walk.row()? {
                if !superseded.has(number as usize, row) {
                    let segment = self.walk.segments.get(number as usize);
                    return segment.map(|segment| segment.row(row)).transpose();
                }
            }
            if self.walk.partition()?.is_none() {
                return Ok(None);
            }
        }
    }
}

impl<'a> Iterator for AllRows<'a> {
    type Item = Result<Row<'a>, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let step = self.step().transpose();
        self.ended = !matches!(step, Some(Ok(_)));
        step
    }
}
