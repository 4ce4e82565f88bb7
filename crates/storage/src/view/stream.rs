//! The rows of a scope of one segment, best first: the list of the best, and when it ends, the merge of partitions without what the list
//! held.

use crate::{
    Segment, StorageError,
    segment::{List, Lists, Partitions, Placed},
};

#[derive(Debug)]
pub(super) struct Stream {
    order: usize,
    list: Option<List>,
    /// Rows that the list had.
    listed: usize,
    partitions: Option<Partitions>,
}

impl Stream {
    pub(super) fn new(lists: Lists, order: usize) -> Stream {
        Stream {
            order,
            listed: lists.list.as_ref().map_or(0, List::len),
            list: lists.list,
            partitions: lists.heads.map(|heads| Partitions::new(heads, order)),
        }
    }

    /// The best row that has not been given. `segment` is the one that the lists are of.
    #[inline]
    pub(super) fn next(&mut self, segment: &Segment) -> Result<Option<Placed>, StorageError> {
        if let Some(list) = &mut self.list {
            if let Some(placed) = segment.next_placed(list, self.order)? {
                return Ok(Some(placed));
            }
            self.end_list(segment)?;
        }
        match &mut self.partitions {
            Some(partitions) => partitions.next(segment),
            None => Ok(None),
        }
    }

    #[cold]
    fn end_list(&mut self, segment: &Segment) -> Result<(), StorageError> {
        self.list = None;
        match &mut self.partitions {
            Some(partitions) => partitions.skip(segment, self.listed),
            None => Ok(()),
        }
    }
}
