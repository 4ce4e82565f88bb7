//! The entries of several tables, numbered through.

use super::TablePart;
use crate::format::segment::NONE;
use prefix_indexer_models::{IndexSpec, PrefixKey, Tally, Totals};

/// What a segment is built from.
pub(super) struct Input<'a> {
    pub(super) spec: &'a IndexSpec,
    pub(super) parts: &'a [TablePart<'a>],
    /// The number of each part's first entry.
    pub(super) starts: Vec<u32>,
}

static NO_USE: Tally = Tally::EMPTY;

impl<'a> Input<'a> {
    pub(super) fn new(spec: &'a IndexSpec, parts: &'a [TablePart<'a>]) -> Input<'a> {
        let starts = parts.iter().scan(0, |next, part| {
            let start = *next;
            *next += part.len() as u32;
            Some(start)
        });
        Input { spec, parts, starts: starts.collect() }
    }

    /// The part that an entry is of, and its place there.
    #[inline]
    fn place(&self, entry: u32) -> (usize, u32) {
        let part = self.starts.iter().rposition(|&start| start <= entry).unwrap_or(0);
        (part, entry - self.starts.get(part).copied().unwrap_or(0))
    }

    /// An entry without its texts.
    #[inline]
    pub(super) fn totals(&self, entry: u32) -> Totals<'a> {
        let (part, index) = self.place(entry);
        self.parts.get(part).and_then(|part| part.totals(index)).unwrap_or(Totals {
            key: PrefixKey::default(),
            scope: 0,
            tally: &NO_USE,
            sums: &[],
            prefix_id_bytes: 0,
            parent_id_bytes: 0,
        })
    }

    /// The ids of an entry and of its parent; every one that [`arrange`](Self::arrange) lists is there.
    #[inline]
    pub(super) fn ids(&self, entry: u32) -> Option<(&'a str, Option<&'a str>)> {
        let (part, index) = self.place(entry);
        self.parts.get(part)?.ids(index)
    }

    /// Loads what [`totals`](Self::totals) refers to, so that what is all over the tables is on its way at once.
    pub(super) fn warm(&self, entries: &[u32]) {
        let seen = entries.iter().fold(0, |seen, &entry| {
            let Totals { key, tally, sums, .. } = self.totals(entry);
            let sums = sums.first().zip(sums.last()).map_or(0, |(first, last)| first.to_bits() ^ last.to_bits());
            seen ^ key.hash64() ^ tally.hit_count ^ u64::from(tally.page_end) ^ sums
        });
        std::hint::black_box(seen);
    }

    /// Entry to row.
    pub(super) fn row_lookup(&self, order: &[u32]) -> Lookup {
        let mut rows = vec![NONE; self.parts.iter().map(TablePart::len).sum()];
        for (row, &entry) in (0..).zip(order) {
            if let Some(slot) = rows.get_mut(entry as usize) {
                *slot = row;
            }
        }
        let chosen = self.parts.iter().map(|part| {
            let mut chosen: Vec<(u32, u32)> = part.numbers?.iter().copied().zip(0..).collect();
            chosen.sort_unstable();
            Some(chosen)
        });
        Lookup { rows, chosen: chosen.collect() }
    }

    /// The row of an entry's parent, if it is in the segment.
    pub(super) fn parent_row(&self, entry: u32, lookup: &Lookup) -> Option<u32> {
        let parent_id = self.ids(entry)?.1?;
        let row = self.totals(entry);
        let (own, _) = self.place(entry);
        let (tenant, model_id) = self.parts.get(own)?.table.names(row.scope)?;
        let find = |number: usize| {
            let part = self.parts.get(number)?;
            let scope = if number == own { row.scope } else { part.table.scope(tenant, model_id)? };
            let found = part.table.find(scope, parent_id, row.tally.layer_min, row.tally.page_start)? as u32;
            let index = match lookup.chosen.get(number)? {
                None => found,
                Some(chosen) => chosen.get(chosen.binary_search_by_key(&found, |&(number, _)| number).ok()?)?.1,
            };
            lookup.rows.get((self.starts.get(number)? + index) as usize).copied().filter(|&row| row != NONE)
        };
        find(own).or_else(|| (0..self.parts.len()).filter(|&number| number != own).find_map(find))
    }
}

/// Where entries went.
pub(super) struct Lookup {
    /// Row of each entry.
    rows: Vec<u32>,
    /// Per part of chosen prefixes: table number and place, in ascending order.
    chosen: Vec<Option<Vec<(u32, u32)>>>,
}
