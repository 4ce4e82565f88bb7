//! Reading everything, for `inspect`: what queries take on trust once a page matches its checksum.

use super::{Partitions, RawRow, Segment};
use crate::{
    StorageError,
    format::segment::{ListKind, NONE, TextRef},
};
use prefix_indexer_models::{PrefixKey, Rank};
use std::ops::Range;

impl Segment {
    /// Reads everything and checks every page and every invariant: rows, lists, tables and names say the same.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] for the first thing that is wrong.
    pub fn verify(&self) -> Result<(), StorageError> {
        self.touch(0, self.layout.end)?;
        let mut next = 0;
        let mut previous = ("", "");
        for number in 0..self.layout.counts.partitions as u32 {
            let partition = self.partition(number)?;
            let at = self.layout.partition(number);
            self.check(partition.first.get() == next, at, "partitions do not follow each other")?;
            next += partition.count.get();
            let name = (self.utf8(partition.tenant.get())?, self.utf8(partition.model_id.get())?);
            self.check(previous < name, at, "partitions are not in order")?;
            previous = name;
            self.verify_partition(number, partition.first.get()..next, name)?;
        }
        self.check(u64::from(next) == self.len(), self.layout.rows, "rows that are in no partition")?;
        self.verify_keys()?;
        self.verify_totals()?;
        self.verify_names()?;
        (0..=self.spec.ladder.len()).try_for_each(|order| self.verify_best(order))
    }

    fn check(&self, holds: bool, offset: usize, what: &str) -> Result<(), StorageError> {
        if holds { Ok(()) } else { Err(self.corrupt(offset, what)) }
    }

    /// A text that is there and is UTF-8.
    fn utf8(&self, text: u64) -> Result<&str, StorageError> {
        let text = TextRef(text);
        let known = self.text(text)?;
        let at = self.layout.text + text.offset() as usize;
        self.check(!known.is_empty(), at, "text that is empty or not UTF-8")?;
        Ok(known)
    }

    fn verify_partition(&self, number: u32, rows: Range<u32>, name: (&str, &str)) -> Result<(), StorageError> {
        for row in rows.clone() {
            let raw = self.raw(row)?;
            let at = self.layout.row(row);
            self.check(raw.record.partition.get() == number, at, "a row of another partition")?;
            self.verify_row(&raw, name)?;
        }
        for order in 0..=self.spec.ladder.len() {
            let mut list = self.list_of(number, order)?;
            let mut previous: Option<(Rank, PrefixKey)> = None;
            let mut count = 0;
            while let Some(row) = self.next(&mut list)? {
                let raw = self.raw(row)?;
                let place = (raw.rank(&self.spec, order), raw.key());
                let follows = previous.is_none_or(|previous| Rank::order(previous, place).is_lt());
                let at = self.layout.row(row);
                self.check(follows && rows.contains(&row), at, "a row in the wrong place of a ranked list")?;
                previous = Some(place);
                count += 1;
            }
            self.check(count == rows.len(), self.layout.rows, "a ranked list that lacks rows")?;
        }
        Ok(())
    }

    fn verify_row(&self, raw: &RawRow<'_>, (tenant, model_id): (&str, &str)) -> Result<(), StorageError> {
        let (record, at) = (raw.record, self.layout.row(raw.number));
        let prefix_id = self.utf8(record.prefix_id.get())?;
        let (layer, page) = (record.layer_min.get(), record.page_start.get());
        let key = PrefixKey::new(self.spec.key_policy, tenant, model_id, prefix_id, layer, page);
        self.check(key == raw.key(), at, "a key that is not that of its names")?;
        let tally = record.tally();
        let possible = tally.hit_count > 0
            && tally.first_seen_ms <= tally.last_seen_ms
            && tally.layer_min <= tally.layer_max
            && tally.page_start <= tally.page_end
            && tally.latency_sum_ms >= 0.0
            && raw.sums().all(|sum| sum >= 0.0);
        self.check(possible, at, "numbers that no events add up to")?;
        if record.parent_id.get() != 0 {
            let parent_id = self.utf8(record.parent_id.get())?;
            let parent = record.parent_row.get();
            let same = parent == NONE || self.utf8(self.raw(parent)?.record.prefix_id.get())? == parent_id;
            self.check(same, at, "a parent whose row has another name")?;
        } else {
            self.check(record.parent_row.get() == NONE, at, "a parent without a name")?;
        }
        Ok(())
    }

    fn verify_keys(&self) -> Result<(), StorageError> {
        for number in 0..self.layout.counts.rows as u32 {
            let found = self.find(&self.raw(number)?.key())?;
            let found = found.is_some_and(|found| found.number == number);
            self.check(found, self.layout.row(number), "a row that the table of keys does not lead to")?;
        }
        let mut entries = 0;
        for position in 0..self.key_slots() {
            entries += u64::from(self.key_slot(position)? != 0);
        }
        self.check(entries == self.len(), self.layout.key_slots, "a table of keys with another number of rows")
    }

    fn verify_totals(&self) -> Result<(), StorageError> {
        let (mut newest_ms, mut faint) = (0, 0);
        for number in 0..self.layout.counts.rows as u32 {
            let raw = self.raw(number)?;
            newest_ms = raw.record.last_seen_ms.get().max(newest_ms);
            faint |=
                (0..).zip(raw.sums()).fold(0, |bits, (rung, sum)| bits | u32::from(sum < f64::MIN_POSITIVE) << rung);
        }
        let same = newest_ms == self.newest_ms && faint == self.faint;
        self.check(same, self.layout.directory, "a summary that is not that of the rows")
    }

    /// Tenants and models are found by name, and lead to their partitions.
    fn verify_names(&self) -> Result<(), StorageError> {
        let counts = &self.layout.counts;
        let (mut tenant_next, mut model_next) = (0, 0);
        for number in 0..(counts.tenants + counts.models) as u32 {
            let kind = u64::from(number as usize >= counts.tenants);
            let next = if kind == 0 { &mut tenant_next } else { &mut model_next };
            let (named, at) = (self.named_at(number)?, self.layout.named(number));
            let name = self.utf8(named.name.get())?;
            let range = named.first.get()..named.first.get() + named.count.get();
            self.check(range.start == *next, at, "names do not follow each other")?;
            *next = range.end;
            let found = self.named(name, kind)?;
            self.check(found == Some((range.start, range.end)), at, "a name that is not found")?;
            for order in 0..=self.spec.ladder.len() {
                let list = if kind == 0 { ListKind::Tenant } else { ListKind::Model };
                for place in self.verify_heads(order, list, range.clone())? {
                    let partition = self.partition(place)?;
                    let own = if kind == 0 { partition.tenant.get() } else { partition.model_id.get() };
                    self.check(own == named.name.get(), at, "a partition in the wrong group")?;
                    let inside = kind == 1 || range.contains(&place);
                    self.check(inside, at, "a partition of another tenant")?;
                }
            }
        }
        let all = (tenant_next as usize, model_next as usize) == (counts.partitions, counts.partitions);
        self.check(all, self.layout.named(0), "partitions that have no name")
    }

    /// Partitions that are listed at these places: best first, so each once.
    fn verify_heads(&self, order: usize, kind: ListKind, places: Range<u32>) -> Result<Vec<u32>, StorageError> {
        let mut partitions = Vec::new();
        let mut previous: Option<(Rank, PrefixKey)> = None;
        for place in places {
            let partition = self.listed_partition(order, kind, place)?;
            let mut list = self.list_of(partition, order)?;
            let head = self.next(&mut list)?.map(|row| self.raw(row)).transpose()?;
            let head = head.map(|raw| (raw.rank(&self.spec, order), raw.key()));
            let follows = match (previous, head) {
                (Some(previous), Some(head)) => Rank::order(previous, head).is_lt(),
                (None, head) => head.is_some(),
                (Some(_), None) => false,
            };
            self.check(follows, self.layout.list(order, kind), "partitions that are not listed best first")?;
            previous = head;
            partitions.push(partition);
        }
        Ok(partitions)
    }

    /// The list of all partitions is in order, and the list of the best is what merging gives.
    fn verify_best(&self, order: usize) -> Result<(), StorageError> {
        self.verify_heads(order, ListKind::All, 0..self.layout.counts.partitions as u32)?;
        let Some(heads) = self.all_heads(order) else { return Ok(()) };
        let mut partitions = Partitions::new(heads, order);
        let at = self.layout.top(order);
        for place in 0..self.layout.counts.top() {
            let expected = partitions.next(self)?.map(|placed| placed.row);
            let listed = self.u32_at(at + place * 4)?;
            self.check(expected == Some(listed), at + place * 4, "a row in the wrong place of the list of the best")?;
        }
        Ok(())
    }
}
