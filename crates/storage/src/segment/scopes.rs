//! From a tenant and a model to ranked lists of rows.

use super::{RawRow, Segment, slots};
use crate::{
    Scope, StorageError,
    format::segment::{ListKind, NamedView, TextRef},
};
use prefix_indexer_models::{PrefixKey, Rank};
use std::cmp::Ordering;
use xxhash_rust::xxh3::xxh3_64_with_seed;
use zerocopy::FromBytes;

/// Rows, best first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List {
    /// Offset of the first row number; `None` where positions are row numbers.
    base: Option<usize>,
    position: u32,
    end: u32,
}

impl List {
    pub(crate) fn len(&self) -> usize {
        self.end.saturating_sub(self.position) as usize
    }
}

/// Partitions, best row first, whose own lists have not been opened yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads {
    base: usize,
    next: u32,
    end: u32,
}

/// All rows of a scope, best first: a list, and when it ends, the merge of these partitions' lists without the rows that
/// the list held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lists {
    pub(crate) list: Option<List>,
    pub(crate) heads: Option<Heads>,
}

/// A row and its place in an order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed {
    pub(crate) rank: Rank,
    pub(crate) key: PrefixKey,
    pub(crate) row: u32,
}

impl Placed {
    /// Best first.
    #[inline]
    pub(crate) fn order(&self, other: &Placed) -> Ordering {
        Rank::order((self.rank, self.key), (other.rank, other.key))
    }

    #[inline]
    pub(crate) fn before(&self, other: &Placed) -> bool {
        self.order(other) == Ordering::Less
    }
}

/// The best row of a list that has not been taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor {
    pub(crate) rank: Rank,
    pub(crate) key: PrefixKey,
    pub(crate) segment: u32,
    pub(crate) row: u32,
    pub(crate) rest: List,
}

impl Cursor {
    /// Whether this one comes first: by rank, then key, then the newer segment.
    #[inline]
    pub(crate) fn before(&self, other: &Cursor) -> bool {
        Rank::order((self.rank, (self.key, self.segment)), (other.rank, (other.key, other.segment))) == Ordering::Less
    }
}

/// Hash of a name in the table of names. `kind`: 0 for tenants, 1 for models.
pub(crate) fn name_hash(name: &str, kind: u64) -> u64 {
    xxh3_64_with_seed(name.as_bytes(), kind)
}

impl Segment {
    /// The lists of a scope in an order (a rung, or the one after them: recency).
    pub(crate) fn lists(&self, scope: Scope<'_>, order: usize) -> Result<Option<Lists>, StorageError> {
        let whole = |kind, first, end| {
            let heads = Heads { base: self.layout.list(order, kind), next: first, end };
            Lists { list: None, heads: Some(heads) }
        };
        let partitions = self.layout.counts.partitions as u32;
        let is_all = |first, end| (first, end) == (0, partitions);
        match (scope.tenant, scope.model_id) {
            (None, None) => self.all_lists(order),
            (Some(tenant), None) => match self.named(tenant, 0)? {
                None => Ok(None),
                Some((first, end)) if is_all(first, end) => self.all_lists(order),
                Some((first, end)) if end - first == 1 => self.partition_list(first, order).map(Some),
                Some((first, end)) => Ok(Some(whole(ListKind::Tenant, first, end))),
            },
            (None, Some(model_id)) => match self.named(model_id, 1)? {
                None => Ok(None),
                Some((first, end)) if is_all(first, end) => self.all_lists(order),
                Some((first, end)) => Ok(Some(whole(ListKind::Model, first, end))),
            },
            (Some(tenant), Some(model_id)) => {
                let Some((first, end)) = self.named(tenant, 0)? else { return Ok(None) };
                match self.model_among(first, end, model_id)? {
                    Some(partition) => self.partition_list(partition, order).map(Some),
                    None => Ok(None),
                }
            }
        }
    }

    /// The lists of all rows.
    fn all_lists(&self, order: usize) -> Result<Option<Lists>, StorageError> {
        let counts = &self.layout.counts;
        match counts.partitions {
            0 => Ok(None),
            1 => self.partition_list(0, order).map(Some),
            _ => {
                let list = List { base: Some(self.layout.top(order)), position: 0, end: counts.top() as u32 };
                let heads = self.all_heads(order).filter(|_| counts.top() < counts.rows);
                Ok(Some(Lists { list: Some(list), heads }))
            }
        }
    }

    /// All partitions, best row first.
    pub(super) fn all_heads(&self, order: usize) -> Option<Heads> {
        let end = self.layout.counts.partitions as u32;
        (end > 0).then(|| Heads { base: self.layout.list(order, ListKind::All), next: 0, end })
    }

    /// The partitions of a tenant, or the places of a model in lists grouped by model.
    pub(super) fn named(&self, name: &str, kind: u64) -> Result<Option<(u32, u32)>, StorageError> {
        let counts = &self.layout.counts;
        let wanted = slots::tag(name_hash(name, kind));
        let mut position = slots::home(wanted, (counts.tenants + counts.models) as u64) as usize;
        while position < counts.name_slots {
            let slot = self.u64_at(self.layout.name_slots + position * 8)?;
            let Some(number) = slots::number(slot).filter(|_| slots::tag(slot) <= wanted) else { return Ok(None) };
            if slots::tag(slot) == wanted && (number as usize >= counts.tenants) == (kind == 1) {
                let named = self.named_at(number)?;
                if self.text(TextRef(named.name.get()))? == name {
                    return Ok(Some((named.first.get(), named.first.get() + named.count.get())));
                }
            }
            position += 1;
        }
        Ok(None)
    }

    /// Tenants by number, then models.
    pub(super) fn named_at(&self, number: u32) -> Result<&NamedView, StorageError> {
        let start = self.layout.named(number);
        if number as usize >= self.layout.counts.tenants + self.layout.counts.models {
            return Err(self.corrupt(start, "the number of a name that there is not"));
        }
        let named = NamedView::ref_from_bytes(self.read(start, size_of::<NamedView>())?).ok();
        let partitions = self.layout.counts.partitions as u64;
        named
            .filter(|named| named.count.get() > 0)
            .filter(|named| u64::from(named.first.get()) + u64::from(named.count.get()) <= partitions)
            .ok_or_else(|| self.corrupt(start, "a name of partitions that there are not"))
    }

    /// The partition of a model among those of a tenant, which are sorted by model.
    fn model_among(&self, mut first: u32, mut end: u32, model_id: &str) -> Result<Option<u32>, StorageError> {
        while first < end {
            let middle = first + (end - first) / 2;
            match self.text(TextRef(self.partition(middle)?.model_id.get()))?.cmp(model_id) {
                Ordering::Equal => return Ok(Some(middle)),
                Ordering::Less => first = middle + 1,
                Ordering::Greater => end = middle,
            }
        }
        Ok(None)
    }

    fn partition_list(&self, number: u32, order: usize) -> Result<Lists, StorageError> {
        Ok(Lists { list: Some(self.list_of(number, order)?), heads: None })
    }

    /// The rows of a partition, best first.
    pub(crate) fn list_of(&self, partition: u32, order: usize) -> Result<List, StorageError> {
        let partition = self.partition(partition)?;
        let (first, count) = (partition.first.get(), partition.count.get());
        Ok(if order < self.layout.counts.rungs {
            List { base: Some(self.layout.ranked(first, count, order)), position: 0, end: count }
        } else {
            List { base: None, position: first, end: first + count }
        })
    }

    /// Takes the next row number of a list.
    #[inline(always)]
    pub(crate) fn next(&self, list: &mut List) -> Result<Option<u32>, StorageError> {
        if list.position >= list.end {
            return Ok(None);
        }
        let number = match list.base {
            None => list.position,
            Some(base) => self.u32_at(base + list.position as usize * 4)?,
        };
        list.position += 1;
        Ok(Some(number))
    }

    /// A cursor at the next row of a list.
    #[inline(always)]
    pub(crate) fn cursor(&self, segment: u32, mut list: List, order: usize) -> Result<Option<Cursor>, StorageError> {
        let Some(Placed { rank, key, row }) = self.next_placed(&mut list, order)? else { return Ok(None) };
        Ok(Some(Cursor { rank, key, segment, row, rest: list }))
    }

    /// Takes the next row of a list.
    #[inline(always)]
    pub(crate) fn next_placed(&self, list: &mut List, order: usize) -> Result<Option<Placed>, StorageError> {
        let Some(row) = self.next(list)? else { return Ok(None) };
        let raw: RawRow<'_> = self.raw(row)?;
        Ok(Some(Placed { rank: raw.rank(&self.spec, order), key: raw.key(), row }))
    }

    /// Takes the next partition.
    pub(super) fn next_head(&self, heads: &mut Heads) -> Result<Option<u32>, StorageError> {
        if heads.next >= heads.end {
            return Ok(None);
        }
        let partition = self.u32_at(heads.base + heads.next as usize * 4)?;
        heads.next += 1;
        Ok(Some(partition))
    }

    /// The partitions of a list, in its order.
    pub(super) fn listed_partition(&self, order: usize, kind: ListKind, place: u32) -> Result<u32, StorageError> {
        self.u32_at(self.layout.list(order, kind) + place as usize * 4)
    }
}
