//! From tables to a segment.
//!
//! Everything is a job on a range of rows or on a rung, so that a second thread can share it, and what comes out is
//! written in order. Scratch memory is about 25 bytes a row: row to table entry, parents and text offsets while rows are
//! written; later one word a row and thread to sort.

mod jobs;
mod order;

use super::{Facts, Offsets, Output, Plan, Segment, in_order};
use crate::{
    StorageError,
    format::segment::{Counts, MAX_ROWS, MAX_TEXT, NONE},
};
use jobs::{Chunk, Made};
use prefix_indexer_models::{IndexSpec, PrefixKey, PrefixTable, TableRow, Tally};
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

    fn row(&self, index: u32) -> Option<TableRow<'a>> {
        let number = match self.numbers {
            None => index,
            Some(numbers) => *numbers.get(index as usize)?,
        };
        self.table.row(number as usize)
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
    let (plan, order) = input.arrange()?;
    let both = order.len() >= BOTH_THREADS;
    let ranges: Vec<Range<usize>> =
        (0..order.len()).step_by(CHUNK).map(|start| start..(start + CHUNK).min(order.len())).collect();
    let mut counts = Counts { rungs: spec.ladder.len(), rows: order.len(), ..Counts::default() };
    plan.count(&mut counts);
    let mut facts = Facts { fresh, ..Facts::default() };
    {
        let links = input.links(&plan, &order, &ranges, both)?;
        counts.text = links.text as usize;
        let rows = |range: &Range<usize>| jobs::rows(&input, &links, &order, &plan, range.clone());
        in_order(&ranges, both, rows, |chunk: Chunk| {
            facts.newest_ms = facts.newest_ms.max(chunk.newest_ms);
            facts.faint |= chunk.faint;
            out.append(&chunk.bytes)
        })?;
        out.end_section()?;
        out.append(&plan.text)?;
        let text = |range: &Range<usize>| Ok(jobs::text(&input, &links, &order, range.clone()));
        in_order(&ranges, both, text, |bytes: Vec<u8>| out.append(&bytes))?;
        out.end_section()?;
    }
    let mut rankings = Vec::new();
    let mut keys = None;
    // The table of keys takes longest to make and is written last.
    let jobs: Vec<Option<usize>> = (0..counts.orders()).map(Some).chain([None]).collect();
    let make = |job: &Option<usize>| {
        Ok::<_, StorageError>(match job {
            Some(rung) => Made::Order(jobs::order(&input, &order, &plan, *rung, counts.top())),
            None => Made::Keys(jobs::keys(&input, &order)),
        })
    };
    in_order(&jobs, both, make, |made| {
        match made {
            Made::Order((ranked, ranking)) => {
                out.append(&ranked)?;
                rankings.push(ranking);
            }
            Made::Keys(made) => keys = Some(made),
        }
        Ok(())
    })?;
    out.end_section()?;
    out.rankings(&rankings)?;
    counts.name_slots = plan.write(&mut out)? as usize;
    if let Some((table, slots)) = keys {
        counts.key_slots = slots as usize;
        out.section(&table)?;
    }
    out.finish(spec, counts, facts)
}

/// Entries of tables, numbered through.
struct Input<'a> {
    spec: &'a IndexSpec,
    parts: &'a [TablePart<'a>],
    /// The number of each part's first entry.
    starts: Vec<u32>,
}

/// Where parents and texts are, row by row.
struct Links {
    /// Row of the parent, [`NONE`] for a parent that is not in the segment and for none.
    parents: Vec<u32>,
    /// Offset of the prefix id; the id of a parent that is no row follows it.
    offsets: Offsets,
    /// Bytes of text in all.
    text: u64,
}

static NOTHING: Tally = Tally::EMPTY;

impl<'a> Input<'a> {
    fn new(spec: &'a IndexSpec, parts: &'a [TablePart<'a>]) -> Input<'a> {
        let starts = parts
            .iter()
            .scan(0, |next, part| {
                let start = *next;
                *next += part.len() as u32;
                Some(start)
            })
            .collect();
        Input { spec, parts, starts }
    }

    /// The part that an entry is of, and its place there.
    #[inline]
    fn place(&self, entry: u32) -> (usize, u32) {
        let part = self.starts.iter().rposition(|&start| start <= entry).unwrap_or(0);
        (part, entry - self.starts.get(part).copied().unwrap_or(0))
    }

    #[inline]
    fn entry(&self, entry: u32) -> TableRow<'a> {
        let (part, index) = self.place(entry);
        self.parts.get(part).and_then(|part| part.row(index)).unwrap_or(TableRow {
            key: PrefixKey::default(),
            scope: 0,
            prefix_id: "",
            tenant: "",
            model_id: "",
            parent_id: None,
            tally: &NOTHING,
            sums: &[],
        })
    }

    /// Finds the rows of parents, and places the texts.
    fn links(&self, plan: &Plan, order: &[u32], ranges: &[Range<usize>], both: bool) -> Result<Links, StorageError> {
        let lookup = self.row_lookup(order);
        let mut links = Links { parents: Vec::with_capacity(order.len()), offsets: Offsets::default(), text: 0 };
        let make = |range: &Range<usize>| {
            let entries = order.get(range.clone()).unwrap_or_default();
            Ok::<_, StorageError>(entries.iter().map(|&entry| self.parent_row(entry, &lookup)).collect::<Vec<u32>>())
        };
        in_order(ranges, both, make, |parents| {
            links.parents.extend_from_slice(&parents);
            Ok::<_, StorageError>(())
        })?;
        drop(lookup);
        links.offsets = Offsets::with_capacity(order.len());
        links.text = plan.text.len() as u64;
        for (&entry, &parent) in order.iter().zip(&links.parents) {
            let row = self.entry(entry);
            let foreign = row.parent_id.filter(|_| parent == NONE).unwrap_or_default();
            if row.prefix_id.len().max(foreign.len()) > MAX_TEXT {
                let count = row.prefix_id.len().max(foreign.len()) as u64;
                return Err(StorageError::TooLarge { what: "bytes of an id", count, max: MAX_TEXT as u64 });
            }
            links.offsets.push(links.text);
            links.text += (row.prefix_id.len() + foreign.len()) as u64;
        }
        if links.text >= 1 << 40 {
            return Err(StorageError::TooLarge { what: "bytes of text", count: links.text, max: 1 << 40 });
        }
        Ok(links)
    }

    /// Entry to row: dense for whole tables, by binary search where few of a table's prefixes are meant.
    fn row_lookup(&self, order: &[u32]) -> Lookup {
        let mut rows = vec![NONE; self.parts.iter().map(TablePart::len).sum()];
        for (row, &entry) in order.iter().enumerate() {
            if let Some(slot) = rows.get_mut(entry as usize) {
                *slot = row as u32;
            }
        }
        let chosen = self
            .parts
            .iter()
            .map(|part| {
                part.numbers.map(|numbers| {
                    let mut chosen: Vec<(u32, u32)> =
                        numbers.iter().zip(0..).map(|(&number, at)| (number, at)).collect();
                    chosen.sort_unstable();
                    chosen
                })
            })
            .collect();
        Lookup { rows, chosen }
    }

    fn parent_row(&self, entry: u32, lookup: &Lookup) -> u32 {
        let row = self.entry(entry);
        let Some(parent_id) = row.parent_id else { return NONE };
        let (own, _) = self.place(entry);
        let find = |number: usize| {
            let part = self.parts.get(number)?;
            let scope = if number == own { row.scope } else { part.table.scope(row.tenant, row.model_id)? };
            let found = part.table.find(scope, parent_id, row.tally.layer_min, row.tally.page_start)? as u32;
            let index = match lookup.chosen.get(number)? {
                None => found,
                Some(chosen) => chosen.get(chosen.binary_search_by_key(&found, |&(number, _)| number).ok()?)?.1,
            };
            lookup.rows.get((self.starts.get(number)? + index) as usize).copied().filter(|&row| row != NONE)
        };
        find(own).or_else(|| (0..self.parts.len()).filter(|&number| number != own).find_map(find)).unwrap_or(NONE)
    }
}

struct Lookup {
    /// Row of each entry.
    rows: Vec<u32>,
    /// Per part of chosen prefixes: table number and place, in ascending order.
    chosen: Vec<Option<Vec<(u32, u32)>>>,
}
