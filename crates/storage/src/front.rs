//! The front of several ranked lists: a heap of cursors that gives their rows in one order.

use crate::{
    StorageError,
    segment::{Cursor, List, Segment},
};
use std::borrow::Borrow;

/// Merges lists of one order lazily.
#[derive(Debug)]
pub(crate) struct Front {
    order: usize,
    /// A binary heap, best first.
    cursors: Vec<Cursor>,
}

impl Front {
    pub(crate) fn new(order: usize, capacity: usize) -> Front {
        Front { order, cursors: Vec::with_capacity(capacity) }
    }

    /// Adds a list of a segment.
    pub(crate) fn add_list(&mut self, segment: &Segment, number: u32, list: List) -> Result<(), StorageError> {
        let cursor = segment.cursor(number, list, self.order)?;
        cursor.into_iter().for_each(|cursor| self.push(cursor));
        Ok(())
    }

    /// Takes the best row. `segments` are those that cursors number.
    #[inline]
    pub(crate) fn next(&mut self, segments: &[impl Borrow<Segment>]) -> Result<Option<Cursor>, StorageError> {
        let Some(&best) = self.cursors.first() else { return Ok(None) };
        let Some(segment) = segments.get(best.segment as usize).map(Borrow::borrow) else { return Ok(None) };
        match segment.cursor(best.segment, best.rest, self.order)? {
            Some(next) => self.replace_first(next),
            None => {
                let last = self.cursors.pop();
                if let Some(last) = last.filter(|_| !self.cursors.is_empty()) {
                    self.replace_first(last);
                }
            }
        }
        Ok(Some(best))
    }

    fn push(&mut self, cursor: Cursor) {
        let mut place = self.cursors.len();
        self.cursors.push(cursor);
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.cursors[parent].before(&cursor) {
                break;
            }
            self.cursors[place] = self.cursors[parent];
            place = parent;
        }
        self.cursors[place] = cursor;
    }

    #[inline]
    fn replace_first(&mut self, cursor: Cursor) {
        let mut place = 0;
        loop {
            let (left, right) = (2 * place + 1, 2 * place + 2);
            let child = match self.cursors.get(right) {
                Some(other) if other.before(&self.cursors[left]) => right,
                _ => left,
            };
            match self.cursors.get(child) {
                Some(better) if better.before(&cursor) => self.cursors[place] = *better,
                _ => break,
            }
            place = child;
        }
        self.cursors[place] = cursor;
    }
}
