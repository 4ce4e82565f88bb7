//! From tables to a segment.
//!
//! Everything is a job on a range of rows or partitions, so that a second thread can share it, and what comes out is
//! written in order. Scratch memory stays below 30 bytes a row: row to table entry, parents and text offsets while
//! rows are written; later a word a row and thread to sort.

mod input;
mod order;
mod ranked;
mod rows;

use super::{Facts, Output, Segment, in_order, slots};
use crate::{
    StorageError,
    format::segment::{Counts, MAX_ROWS, buckets},
};
use input::Input;
use prefix_indexer_models::{IndexSpec, PrefixTable, Totals};
use rows::Chunk;
use std::{io::Write, ops::Range, path::Path};

/// Rows that one job writes.
const CHUNK: usize = 1 << 12;

/// With fewer rows a second thread costs more than it brings.
const BOTH_THREADS: usize = 1 << 14;

/// All prefixes of a table, or some of them.
#[derive(Debug, Clone, Copy)]
pub struct TablePart<'a> {
    /// The table.
    pub table: &'a PrefixTable,
    /// Numbers of the prefixes meant, each once, in any order; `None` for all. Numbers that the table does not have are
    /// left out.
    pub numbers: Option<&'a [u32]>,
}

impl<'a> From<&'a PrefixTable> for TablePart<'a> {
    fn from(table: &'a PrefixTable) -> TablePart<'a> {
        TablePart { table, numbers: None }
    }
}

impl<'a> TablePart<'a> {
    fn len(&self) -> usize {
        self.numbers.map_or(self.table.len(), <[u32]>::len)
    }

    #[inline]
    fn number(&self, index: u32) -> Option<usize> {
        self.numbers.map_or(Some(index), |numbers| numbers.get(index as usize).copied()).map(|number| number as usize)
    }

    #[inline]
    fn totals(&self, index: u32) -> Option<Totals<'a>> {
        self.table.totals(self.number(index)?)
    }

    #[inline]
    fn ids(&self, index: u32) -> Option<(&'a str, Option<&'a str>)> {
        self.table.ids(self.number(index)?)
    }
}

impl Segment {
    /// A segment on the heap of the prefixes of some tables, which have none in common. `fresh`: how many of them no
    /// older segment holds.
    ///
    /// # Errors
    /// [`StorageError::TooLarge`] for 2^32 prefixes or 2^40 bytes of text.
    pub fn build(spec: &IndexSpec, tables: &[TablePart<'_>], fresh: u64) -> Result<Segment, StorageError> {
        let mut bytes = Vec::new();
        write(spec, tables, fresh, Output::new(&mut bytes, Path::new("(memory)"), false)?)?;
        Segment::trusted(bytes)
    }
}

/// Writes the segment that [`Segment::build`] would make, as a stream, with checksums. Does not sync. Returns the bytes
/// written. Uses a second thread where that pays; the bytes are the same.
///
/// # Errors
/// Those of `out`, with `path`; [`StorageError::TooLarge`]; [`StorageError::Spec`] for a table with other settings.
pub fn write_tables(
    spec: &IndexSpec,
    tables: &[TablePart<'_>],
    fresh: u64,
    out: &mut (dyn Write + Send),
    path: &Path,
) -> Result<u64, StorageError> {
    write(spec, tables, fresh, Output::new(out, path, true)?)
}

fn write(spec: &IndexSpec, tables: &[TablePart<'_>], fresh: u64, mut out: Output<'_>) -> Result<u64, StorageError> {
    tables.iter().try_for_each(|part| spec.check_same(part.table.spec()))?;
    let rows: u64 = tables.iter().map(|part| part.len() as u64).sum();
    if rows > MAX_ROWS {
        return Err(StorageError::TooLarge { what: "prefixes", count: rows, max: MAX_ROWS });
    }
    let input = Input::new(spec, tables);
    let (plan, order) = input.arrange();
    let both = order.len() >= BOTH_THREADS;
    let ranges: Vec<Range<usize>> =
        (0..order.len()).step_by(CHUNK).map(|start| start..(start + CHUNK).min(order.len())).collect();
    let mut counts = Counts { rungs: spec.ladder.len(), rows: order.len(), ..Counts::default() };
    plan.count(&mut counts);
    let mut facts = Facts { fresh, ..Facts::default() };
    {
        let links = rows::links(&input, &plan, &order, &ranges, both)?;
        counts.text = links.text as usize;
        let rows = |range: &Range<usize>| rows::rows(&input, &links, &order, &plan, range.clone());
        in_order(&ranges, both, rows, |chunk: Chunk| {
            facts.newest_ms = facts.newest_ms.max(chunk.newest_ms);
            facts.faint |= chunk.faint;
            out.append(&chunk.bytes)
        })?;
        out.end_section()?;
        out.append(&plan.text)?;
        let text = |range: &Range<usize>| Ok(rows::text(&input, &links, &order, range.clone()));
        in_order(&ranges, both, text, |bytes: Vec<u8>| out.append(&bytes))?;
        out.end_section()?;
    }
    let rankings = ranked::write(&input, &plan, &order, &counts, both, &mut out)?;
    out.rankings(&rankings)?;
    counts.name_slots = plan.write(&mut out)? as usize;
    counts.key_slots = write_keys(&input, &order, &mut out)? as usize;
    out.finish(spec, counts, facts)
}

/// Writes the table of keys; returns the number of its slots.
fn write_keys(input: &Input<'_>, order: &[u32], out: &mut Output<'_>) -> Result<u64, StorageError> {
    let mut sorted: Vec<u64> =
        (0..).zip(order).map(|(row, &entry)| slots::slot(input.totals(entry).key.hash64(), row)).collect();
    sorted.sort_unstable();
    let count = sorted.len() as u64;
    let mut writer = slots::SlotWriter::new(count);
    let mut table = Vec::with_capacity(buckets(CHUNK as u64) as usize * 8);
    for slots in sorted.chunks(CHUNK) {
        slots.iter().for_each(|&slot| writer.push(slot, &mut table));
        out.append(&table)?;
        table.clear();
    }
    let written = writer.finish(&mut table);
    out.section(&table)?;
    Ok(written)
}
