//! Where the sections of a segment start.

use super::{CHECKSUM, Directory, HEAD, NamedView, PartitionView, RecordView, TAIL_PAGES};
use std::ops::Range;

/// Bytes that one checksum covers.
pub(crate) const PAGE: usize = 4096;

/// Rows of the list of the best over all partitions. Queries for more merge the partitions' lists.
pub(crate) const TOP: usize = 1024;

/// Sections start at multiples of this: a cache line.
const ALIGN: usize = 64;

/// Places of a table of `count` slots before the overflow at its end: four fifths are full.
pub(crate) fn buckets(count: u64) -> u64 {
    count + count / 4 + 1
}

/// Partitions are listed by their best row three times: all of them, and grouped by tenant and by model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListKind {
    All,
    Tenant,
    Model,
}

/// How much there is of everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) rungs: usize,
    pub(crate) rows: usize,
    pub(crate) text: usize,
    pub(crate) partitions: usize,
    pub(crate) tenants: usize,
    pub(crate) models: usize,
    pub(crate) name_slots: usize,
    pub(crate) key_slots: usize,
}

impl Counts {
    /// `None` when they are more than a machine can address.
    pub(crate) fn of(directory: &Directory) -> Option<Counts> {
        Some(Counts {
            rungs: directory.half_lives_ms.len(),
            rows: usize::try_from(directory.rows).ok()?,
            text: usize::try_from(directory.text).ok()?,
            partitions: directory.partitions as usize,
            tenants: directory.tenants as usize,
            models: directory.models as usize,
            name_slots: usize::try_from(directory.name_slots).ok()?,
            key_slots: usize::try_from(directory.key_slots).ok()?,
        })
    }

    /// Bytes of a row: its sums and its record.
    pub(crate) fn stride(&self) -> usize {
        self.rungs * size_of::<f64>() + size_of::<RecordView>()
    }

    /// Ranked lists: one a rung, and recency.
    pub(crate) fn orders(&self) -> usize {
        self.rungs + 1
    }

    /// Length of the list of the best over all; a single partition's own list is as good.
    pub(crate) fn top(&self) -> usize {
        if self.partitions > 1 { self.rows.min(TOP) } else { 0 }
    }
}

/// Offsets of the sections in the order in which they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) counts: Counts,
    /// Rows by partition, and within it newest use first, then key.
    pub(crate) rows: usize,
    pub(crate) text: usize,
    /// Partition by partition and rung by rung: row numbers, best first.
    ranked: usize,
    /// An order after the other: the best rows over all partitions.
    tops: usize,
    /// An order after the other: for each [`ListKind`] the partitions, best row first.
    lists: usize,
    partitions: usize,
    tenants: usize,
    models: usize,
    /// Slots of tenants, then models, by name.
    pub(crate) name_slots: usize,
    /// Slots of rows by key.
    pub(crate) key_slots: usize,
    /// Everything before has a checksum a page.
    pub(crate) end: usize,
    /// The checksums of the data's pages, of those pages, and so on.
    pub(crate) levels: Vec<Range<usize>>,
    /// The directory starts here.
    pub(crate) directory: usize,
}

impl Layout {
    /// `None` when it is more than a machine can address.
    pub(crate) fn new(counts: Counts, checked: bool) -> Option<Layout> {
        let mut end = Some(HEAD);
        let mut section = |count: usize, each: usize| -> Option<usize> {
            let start = end?.checked_next_multiple_of(ALIGN)?;
            end = start.checked_add(count.checked_mul(each)?);
            end.map(|_| start)
        };
        let orders = counts.orders();
        let rows = section(counts.rows, counts.stride())?;
        let text = section(counts.text, 1)?;
        let ranked = section(counts.rows, counts.rungs * 4)?;
        let tops = section(counts.top(), orders * 4)?;
        let lists = section(counts.partitions, orders * 3 * 4)?;
        let partitions = section(counts.partitions, size_of::<PartitionView>())?;
        let tenants = section(counts.tenants, size_of::<NamedView>())?;
        let models = section(counts.models, size_of::<NamedView>())?;
        let name_slots = section(counts.name_slots, 8)?;
        let key_slots = section(counts.key_slots, 8)?;
        let end = end?.checked_next_multiple_of(ALIGN)?;
        let mut levels = Vec::new();
        let mut directory = end;
        let mut checksums = if checked { end.div_ceil(PAGE) } else { 0 };
        while checksums > TAIL_PAGES {
            let start = directory;
            directory = start.checked_add(checksums * CHECKSUM)?;
            levels.push(start..directory);
            checksums = (directory - start).div_ceil(PAGE);
        }
        Some(Layout {
            counts,
            rows,
            text,
            ranked,
            tops,
            lists,
            partitions,
            tenants,
            models,
            name_slots,
            key_slots,
            end,
            levels,
            directory,
        })
    }

    /// The number of padding bytes after `position`, where one section ends and the next starts.
    pub(crate) fn padding(position: usize) -> usize {
        position.next_multiple_of(ALIGN) - position
    }

    /// A row: its sums, then its record.
    #[inline]
    pub(crate) fn row(&self, number: u32) -> usize {
        self.rows + number as usize * self.counts.stride()
    }

    /// The row numbers of a partition ranked by a rung. `first` and `count` are those of its rows.
    #[inline]
    pub(crate) fn ranked(&self, first: u32, count: u32, rung: usize) -> usize {
        self.ranked + (first as usize * self.counts.rungs + rung * count as usize) * 4
    }

    /// The best rows over all partitions; recency is the order after the rungs.
    #[inline]
    pub(crate) fn top(&self, order: usize) -> usize {
        self.tops + order * self.counts.top() * 4
    }

    /// Numbers of partitions, best row first.
    #[inline]
    pub(crate) fn list(&self, order: usize, kind: ListKind) -> usize {
        self.lists + (order * 3 + kind as usize) * self.counts.partitions * 4
    }

    /// A [`Partition`](super::Partition).
    #[inline]
    pub(crate) fn partition(&self, number: u32) -> usize {
        self.partitions + number as usize * size_of::<PartitionView>()
    }

    /// A [`Named`](super::Named): tenants by number, then models.
    #[inline]
    pub(crate) fn named(&self, number: u32) -> usize {
        match (number as usize).checked_sub(self.counts.tenants) {
            None => self.tenants + number as usize * size_of::<NamedView>(),
            Some(model) => self.models + model * size_of::<NamedView>(),
        }
    }
}
