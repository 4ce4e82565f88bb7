//! The partitions of a segment as one ranking, merged as far as it is asked for.
//!
//! The next row of a partition lies anywhere, so what a merge costs is waiting for memory. Rows that were read one by one would be waited for
//! one by one. Therefore the best of what is open is taken out a batch at a time, the rows behind all of it are read together, and
//! those that belong into the batch are put in order with it. Batches begin with one row and double: whoever wants ten rows reads a few more
//! than ten.

use super::{Heads, List, Placed, Segment, rank};
use crate::StorageError;
use prefix_indexer_models::PrefixKey;

/// Rows of a batch: waits of more at once do not overlap any better.
const BATCH: usize = 64;

/// Children of a node of the heap: as many entries as a cache line holds.
const CHILDREN: usize = 4;

/// A lazy merge of partitions; those whose best row has not come up yet are not opened.
#[derive(Debug)]
pub(crate) struct Partitions {
    order: usize,
    /// Those that are not opened, best row first.
    heads: Heads,
    open: Vec<Open>,
    /// Open partitions from here on have their first row to give; they are in order.
    first: usize,
    /// A heap of those that have given it, best next row first.
    heap: Vec<Entry>,
    /// The rows that come next, best last.
    ready: Vec<Placed>,
    batch: usize,
    /// Open partitions whose next rows are being read, and those rows.
    moving: Vec<usize>,
    rows: Vec<u32>,
    seen: Vec<Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    best: Placed,
    rest: List,
}

/// An open partition by its best row.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Descends as ranks ascend, and tells most of them apart.
    word: u64,
    open: usize,
}

/// What a row's place is made of.
#[derive(Debug, Clone, Copy)]
struct Seen {
    last_seen_ms: u64,
    sum: f64,
    key: PrefixKey,
}

impl Partitions {
    pub(crate) fn new(heads: Heads, order: usize) -> Partitions {
        Partitions {
            order,
            heads,
            open: Vec::new(),
            first: 0,
            heap: Vec::new(),
            ready: Vec::new(),
            batch: 0,
            moving: Vec::new(),
            rows: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// Without the first `count` rows.
    pub(crate) fn skip(&mut self, segment: &Segment, count: usize) -> Result<(), StorageError> {
        self.batch = BATCH;
        for _ in 0..count {
            self.next(segment)?;
        }
        Ok(())
    }

    /// The best row that has not been given. `segment` is the one whose partitions these are.
    #[inline]
    pub(crate) fn next(&mut self, segment: &Segment) -> Result<Option<Placed>, StorageError> {
        if self.ready.is_empty() {
            self.refill(segment)?;
        }
        Ok(self.ready.pop())
    }

    #[inline(never)]
    fn refill(&mut self, segment: &Segment) -> Result<(), StorageError> {
        self.batch = (self.batch * 2).clamp(1, BATCH);
        self.moving.clear();
        while self.moving.len() < self.batch {
            if self.first == self.open.len() {
                self.open_some(segment)?;
            }
            let Some(number) = self.take_best() else { break };
            self.ready.push(self.open[number].best);
            self.moving.push(number);
        }
        let Some(&end) = self.ready.last() else { return Ok(()) };
        // What no partition is open for, and what is left in the heap, comes behind the end.
        while !self.moving.is_empty() {
            self.advance(segment)?;
            let mut kept = 0;
            for place in 0..self.moving.len() {
                let number = self.moving[place];
                let best = self.open[number].best;
                if best.before(&end) {
                    self.ready.push(best);
                    self.moving[kept] = number;
                    kept += 1;
                } else {
                    self.push(number);
                }
            }
            self.moving.truncate(kept);
        }
        // Most of them are in order as they were taken out.
        self.ready.sort_by(Placed::order);
        self.ready.reverse();
        Ok(())
    }

    /// Takes the open partition with the best row.
    fn take_best(&mut self) -> Option<usize> {
        match (self.open.get(self.first), self.heap.first()) {
            (Some(first), Some(root)) if self.open[root.open].best.before(&first.best) => self.pop(),
            (Some(_), _) => {
                self.first += 1;
                Some(self.first - 1)
            }
            (None, _) => self.pop(),
        }
    }

    /// Opens the next partitions, as many as a batch.
    fn open_some(&mut self, segment: &Segment) -> Result<(), StorageError> {
        let mut lists = Vec::with_capacity(self.batch);
        while lists.len() < self.batch
            && let Some(partition) = segment.next_head(&mut self.heads)?
        {
            lists.push(segment.list_of(partition, self.order)?);
        }
        self.rows.clear();
        for list in &mut lists {
            self.rows.extend(segment.next(list)?);
        }
        self.look(segment)?;
        for ((rest, &row), seen) in lists.into_iter().zip(&self.rows).zip(&self.seen) {
            self.open.push(Open { best: seen.place(row, segment, self.order), rest });
        }
        Ok(())
    }

    /// Goes on to the next row in each of the moving partitions; those without one are not moving any more.
    fn advance(&mut self, segment: &Segment) -> Result<(), StorageError> {
        self.rows.clear();
        let mut kept = 0;
        for place in 0..self.moving.len() {
            let number = self.moving[place];
            if let Some(row) = segment.next(&mut self.open[number].rest)? {
                self.rows.push(row);
                self.moving[kept] = number;
                kept += 1;
            }
        }
        self.moving.truncate(kept);
        self.look(segment)?;
        for ((&number, &row), seen) in self.moving.iter().zip(&self.rows).zip(&self.seen) {
            self.open[number].best = seen.place(row, segment, self.order);
        }
        Ok(())
    }

    /// Reads rows. Nothing is made of them here, so that the waits for them overlap.
    fn look(&mut self, segment: &Segment) -> Result<(), StorageError> {
        self.seen.clear();
        for &row in &self.rows {
            let raw = segment.raw(row)?;
            let last_seen_ms = raw.record.last_seen_ms.get();
            self.seen.push(Seen { last_seen_ms, sum: raw.sum(self.order), key: raw.key() });
        }
        Ok(())
    }

    fn before(&self, a: Entry, b: Entry) -> bool {
        a.word < b.word || (a.word == b.word && self.open[a.open].best.before(&self.open[b.open].best))
    }

    fn push(&mut self, number: usize) {
        let entry = Entry { word: !self.open[number].best.rank.coarse(), open: number };
        let mut place = self.heap.len();
        self.heap.push(entry);
        while place > 0 {
            let parent = (place - 1) / CHILDREN;
            if self.before(self.heap[parent], entry) {
                break;
            }
            self.heap[place] = self.heap[parent];
            place = parent;
        }
        self.heap[place] = entry;
    }

    fn pop(&mut self) -> Option<usize> {
        let last = self.heap.pop()?;
        let Some(best) = self.heap.first().copied() else { return Some(last.open) };
        let mut place = 0;
        while let Some((child, entry)) = self.best_child(place) {
            if self.before(last, entry) {
                break;
            }
            self.heap[place] = entry;
            place = child;
        }
        self.heap[place] = last;
        Some(best.open)
    }

    fn best_child(&self, place: usize) -> Option<(usize, Entry)> {
        let first = place * CHILDREN + 1;
        let children = self.heap.get(first..)?;
        if let Some(&[a, b, c, d]) = children.first_chunk::<CHILDREN>() {
            // Without branches, which nobody could predict, as long as the words tell the children apart.
            let (x, at_x) = if b.word < a.word { (b, 1) } else { (a, 0) };
            let (y, at_y) = if d.word < c.word { (d, 3) } else { (c, 2) };
            let (best, at) = if y.word < x.word { (y, at_y) } else { (x, at_x) };
            let same = [a, b, c, d].iter().filter(|child| child.word == best.word).count();
            if same == 1 {
                return Some((first + at, best));
            }
        }
        let children = children.iter().copied().take(CHILDREN).enumerate();
        let best = children.reduce(|best, child| if self.before(child.1, best.1) { child } else { best })?;
        Some((first + best.0, best.1))
    }
}

impl Seen {
    fn place(self, row: u32, segment: &Segment, order: usize) -> Placed {
        Placed { rank: rank(&segment.spec, order, self.last_seen_ms, self.sum), key: self.key, row }
    }
}
