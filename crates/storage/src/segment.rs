//! Immutable ranked segments, read in place.
//!
//! Whatever is read has its page verified first and its bounds checked, so that bytes which are not what was written are an
//! error wherever they are met. Rows come by number; lists of numbers and the tables that lead to them are in
//! [`scopes`].

mod build;
mod offsets;
mod open;
mod output;
mod pages;
mod parallel;
mod partitions;
mod plan;
mod row;
mod scopes;
pub(crate) mod slots;
mod verify;

pub use build::{TablePart, write_tables};
pub use row::Row;

pub(crate) use offsets::Offsets;
pub(crate) use output::{Facts, Output};
pub(crate) use parallel::in_order;
pub(crate) use partitions::Partitions;
pub(crate) use plan::Plan;
pub(crate) use scopes::{Cursor, Heads, List, Lists, Placed};

use crate::{
    Source, StorageError,
    format::segment::{Layout, PartitionView, RECORD, RecordView, TextRef},
};
use pages::{Marks, Pages};
use prefix_indexer_models::{IndexSpec, MAX_INTEGER, PrefixKey, Rank};
use std::path::{Path, PathBuf};
use zerocopy::FromBytes;

/// Bytes that memory is loaded by, on most machines.
const CACHE_LINE: usize = 64;

/// A write-once set of prefixes, ranked for every rung and by recency.
#[derive(Debug)]
pub struct Segment {
    source: Source,
    path: PathBuf,
    spec: IndexSpec,
    layout: Layout,
    pages: Pages,
    /// Partitions whose record and names have been verified.
    named: Marks,
    fresh: u64,
    newest_ms: u64,
    faint: u32,
}

/// A row as it lies in the segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawRow<'a> {
    pub(crate) number: u32,
    /// The sums, one f64 a rung.
    pub(crate) sums: &'a [u8],
    pub(crate) record: &'a RecordView,
}

impl<'a> RawRow<'a> {
    #[inline]
    pub(crate) fn key(&self) -> PrefixKey {
        PrefixKey(self.record.key)
    }

    #[inline]
    pub(crate) fn sum(&self, rung: usize) -> f64 {
        self.sums.as_chunks().0.get(rung).map_or(0.0, |bytes| f64::from_le_bytes(*bytes))
    }

    pub(crate) fn sums(&self) -> impl ExactSizeIterator<Item = f64> + use<'a> {
        self.sums.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes))
    }

    /// The place by a rung, or, for the order after the rungs, by recency.
    #[inline]
    pub(crate) fn rank(&self, spec: &IndexSpec, order: usize) -> Rank {
        rank(spec, order, self.record.last_seen_ms.get(), self.sum(order))
    }
}

#[inline]
fn rank(spec: &IndexSpec, order: usize, last_seen_ms: u64, sum: f64) -> Rank {
    if order < spec.ladder.len() { spec.ladder.rank(order, last_seen_ms, sum) } else { Rank::of_time(last_seen_ms) }
}

impl Segment {
    /// What the numbers mean.
    pub fn spec(&self) -> &IndexSpec {
        &self.spec
    }

    /// Number of prefixes.
    pub fn len(&self) -> u64 {
        self.layout.counts.rows as u64
    }

    /// Whether there is no prefix.
    pub fn is_empty(&self) -> bool {
        self.layout.counts.rows == 0
    }

    /// The same segment among others than those it was written among.
    pub(crate) fn with_fresh(self, fresh: u64) -> Segment {
        Segment { fresh, ..self }
    }

    /// Prefixes that no older segment holds, as whoever wrote the segment knew.
    pub fn fresh(&self) -> u64 {
        self.fresh
    }

    /// Time of the newest use; 0 without prefixes.
    pub fn newest_ms(&self) -> u64 {
        self.newest_ms
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        self.source.bytes().len() as u64
    }

    /// Distinct tenants and models, pair by pair.
    pub fn partitions(&self) -> usize {
        self.layout.counts.partitions
    }

    /// The row of a key. One or two cache misses when it is there.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`].
    pub fn get(&self, key: &PrefixKey) -> Result<Option<Row<'_>>, StorageError> {
        match self.find(key)? {
            Some(raw) => self.row_of(raw).map(Some),
            None => Ok(None),
        }
    }

    /// All rows: by tenant, then model, then newest use first, then key.
    pub fn rows(&self) -> impl Iterator<Item = Result<Row<'_>, StorageError>> {
        (0..self.layout.counts.rows as u32).map(|number| self.row(number))
    }

    /// Whether a row may rank behind an older row of the same key: totals only grow, but a sum below the normal numbers
    /// has lost digits.
    pub(crate) fn is_faint(&self, order: usize) -> bool {
        order < self.spec.ladder.len() && self.faint >> order & 1 == 1
    }

    /// [`get`](Self::get) without looking at names.
    pub(crate) fn find(&self, key: &PrefixKey) -> Result<Option<RawRow<'_>>, StorageError> {
        let wanted = (key.hash64() >> 32) as u32;
        let mut position = slots::home(wanted, self.len()) as usize;
        while position < self.layout.counts.key_slots {
            let slot = self.key_slot(position)?;
            let Some(number) = slots::number(slot).filter(|_| slots::tag(slot) <= wanted) else { return Ok(None) };
            if slots::tag(slot) == wanted {
                let raw = self.raw(number)?;
                if raw.record.key == key.0 {
                    return Ok(Some(raw));
                }
            }
            position += 1;
        }
        Ok(None)
    }

    /// Loads the slots and rows that [`find`](Self::find) is about to read. No load waits for another but a row's for its slot's, so as
    /// many are under way as the machine can have. Pages that are not verified yet are left alone.
    pub(crate) fn warm(&self, keys: &[PrefixKey]) {
        let bytes = self.source.bytes();
        let word = |at: usize| match bytes.get(at..at + 8) {
            Some(word) if self.pages.known(at, 8) => word.try_into().map_or(0, u64::from_le_bytes),
            _ => 0,
        };
        let tag = |key: &PrefixKey| (key.hash64() >> 32) as u32;
        let slot = |key| word(self.layout.key_slots + slots::home(tag(key), self.len()) as usize * 8);
        let mut seen = keys.iter().fold(0, |seen, key| seen ^ slot(key));
        for key in keys {
            let number = slots::number(slot(key)).filter(|_| slots::tag(slot(key)) == tag(key));
            let row = number.map(|number| self.layout.row(number));
            seen ^= row.map_or(0, |row| word(row) ^ word(row + CACHE_LINE));
        }
        std::hint::black_box(seen);
    }

    #[inline]
    pub(crate) fn key_slot(&self, position: usize) -> Result<u64, StorageError> {
        self.u64_at(self.layout.key_slots + position * 8)
    }

    pub(crate) fn key_slots(&self) -> usize {
        self.layout.counts.key_slots
    }

    /// A row with all that its accessors read verified.
    #[inline(always)]
    pub(crate) fn row(&self, number: u32) -> Result<Row<'_>, StorageError> {
        self.row_of(self.raw(number)?)
    }

    #[inline(always)]
    fn row_of<'a>(&'a self, raw: RawRow<'a>) -> Result<Row<'a>, StorageError> {
        let partition = raw.record.partition.get();
        let (prefix_id, parent_id) = (TextRef(raw.record.prefix_id.get()), TextRef(raw.record.parent_id.get()));
        if !(self.named.has(partition as usize) && self.knows_text(prefix_id) && self.knows_text(parent_id)) {
            self.verify_texts(partition, prefix_id, parent_id)?;
        }
        Ok(Row::new(self, raw))
    }

    /// A row without its names.
    #[inline(always)]
    pub(crate) fn raw(&self, number: u32) -> Result<RawRow<'_>, StorageError> {
        match self.known_raw(number) {
            Some(raw) => Ok(raw),
            None => self.verify_raw(number),
        }
    }

    /// A row whose pages are verified.
    #[inline(always)]
    fn known_raw(&self, number: u32) -> Option<RawRow<'_>> {
        let (start, stride) = (self.layout.row(number), self.layout.counts.stride());
        if number as usize >= self.layout.counts.rows || !self.pages.known(start, stride) {
            return None;
        }
        let (sums, record) = self.source.bytes().get(start..start + stride)?.split_at_checked(stride - RECORD)?;
        let record = RecordView::ref_from_bytes(record).ok()?;
        (record.last_seen_ms.get() <= MAX_INTEGER).then_some(RawRow { number, sums, record })
    }

    #[cold]
    #[inline(never)]
    fn verify_raw(&self, number: u32) -> Result<RawRow<'_>, StorageError> {
        if number as usize >= self.layout.counts.rows {
            return Err(self.corrupt(self.layout.rows, "the number of a row that there is not"));
        }
        let start = self.layout.row(number);
        self.touch(start, self.layout.counts.stride())?;
        self.known_raw(number).ok_or_else(|| self.corrupt(start, "a row of a time that cannot be"))
    }

    #[cold]
    #[inline(never)]
    fn verify_texts(&self, partition: u32, prefix_id: TextRef, parent_id: TextRef) -> Result<(), StorageError> {
        if !self.named.has(partition as usize) {
            self.name(partition)?;
        }
        self.check_text(prefix_id)?;
        self.check_text(parent_id)
    }

    /// Whether a text is inside the section, on pages that are verified.
    #[inline(always)]
    fn knows_text(&self, text: TextRef) -> bool {
        let (offset, length) = (text.offset() as usize, text.length());
        length == 0
            || (offset + length <= self.layout.counts.text && self.pages.known(self.layout.text + offset, length))
    }

    /// Verifies the record and the names of a partition.
    fn name(&self, number: u32) -> Result<(), StorageError> {
        let partition = self.partition(number)?;
        self.check_text(TextRef(partition.tenant.get()))?;
        self.check_text(TextRef(partition.model_id.get()))?;
        self.named.set(number as usize);
        Ok(())
    }

    pub(crate) fn partition(&self, number: u32) -> Result<&PartitionView, StorageError> {
        let start = self.layout.partition(number);
        if number as usize >= self.layout.counts.partitions {
            return Err(self.corrupt(start, "the number of a partition that there is not"));
        }
        let bytes = self.read(start, size_of::<PartitionView>())?;
        PartitionView::ref_from_bytes(bytes)
            .ok()
            .filter(|partition| {
                let end = u64::from(partition.first.get()) + u64::from(partition.count.get());
                partition.count.get() > 0 && end <= self.len()
            })
            .ok_or_else(|| self.corrupt(start, "a partition of rows that there are not"))
    }

    /// A partition that does not follow the one before it.
    pub(crate) fn corrupt_partition(&self, number: u32) -> StorageError {
        self.corrupt(self.layout.partition(number), "partitions do not follow each other")
    }

    /// Verifies the pages of a text.
    #[inline]
    fn check_text(&self, text: TextRef) -> Result<(), StorageError> {
        if self.knows_text(text) {
            return Ok(());
        }
        let offset = text.offset() as usize;
        if offset + text.length() > self.layout.counts.text {
            return Err(self.corrupt(self.layout.text, "text outside the text section"));
        }
        self.verify_pages(self.layout.text + offset, text.length())
    }

    /// A text whose pages are verified. Only a segment that somebody forged, checksums and all, has text that is not UTF-8;
    /// it reads as empty, and [`verify`](Self::verify) names it.
    #[inline]
    pub(crate) fn known_text(&self, text: TextRef) -> &str {
        let start = self.layout.text + text.offset() as usize;
        let bytes = self.source.bytes().get(start..start + text.length()).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    pub(crate) fn text(&self, text: TextRef) -> Result<&str, StorageError> {
        self.check_text(text)?;
        Ok(self.known_text(text))
    }

    /// Partition record and names that [`row`](Self::row) has verified.
    fn known_partition(&self, number: u32) -> Option<&PartitionView> {
        let start = self.layout.partition(number);
        let bytes = self.source.bytes().get(start..start + size_of::<PartitionView>())?;
        PartitionView::ref_from_bytes(bytes).ok()
    }

    #[inline]
    fn u64_at(&self, start: usize) -> Result<u64, StorageError> {
        let bytes = self.read(start, 8)?;
        Ok(bytes.try_into().map_or(0, u64::from_le_bytes))
    }

    #[inline(always)]
    fn u32_at(&self, start: usize) -> Result<u32, StorageError> {
        let bytes = self.read(start, 4)?;
        Ok(bytes.try_into().map_or(0, u32::from_le_bytes))
    }

    /// Bytes of the data, verified.
    #[inline(always)]
    fn read(&self, start: usize, length: usize) -> Result<&[u8], StorageError> {
        self.touch(start, length)?;
        match self.source.bytes().get(start..start + length) {
            Some(bytes) => Ok(bytes),
            None => Err(self.corrupt(start, "the file ends here")),
        }
    }

    #[inline(always)]
    fn touch(&self, start: usize, length: usize) -> Result<(), StorageError> {
        if self.pages.known(start, length) {
            return Ok(());
        }
        self.verify_pages(start, length)
    }

    #[cold]
    #[inline(never)]
    fn verify_pages(&self, start: usize, length: usize) -> Result<(), StorageError> {
        self.pages
            .verify(self.source.bytes(), start, length)
            .map_err(|offset| self.corrupt(offset, "the page that starts here does not match its checksum"))
    }

    #[cold]
    #[inline(never)]
    fn corrupt(&self, offset: usize, what: &str) -> StorageError {
        corrupt(&self.path, offset, what.to_owned())
    }
}

fn corrupt(path: &Path, offset: usize, what: String) -> StorageError {
    StorageError::Corrupt { path: path.to_owned(), offset: offset as u64, what }
}
