//! Events in the columns of a Parquet file: one column a field, with the names of the native format.
//!
//! A file is cut into row ranges. Where pages can be found by row (an offset index, or a group no larger than a piece) each
//! range is read and decoded in parallel; a larger group without an index is read in sequence, so that no more than a
//! batch of it is ever in memory, and only turned into events in parallel.

mod columns;
mod file;
mod row;

use crate::{
    Opening, TraceError, TraceOptions,
    error::Fault,
    format::{Format, Reader},
    lines::Shared,
    piece::{Body, Piece},
    rows::{Bad, Rows},
};
use arrow_array::RecordBatch;
use columns::{Columns, Dictionaries};
use file::{RowFile, guarded};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use prefix_indexer_models::{EventBatch, SourceId, SourcePosition};
use std::{fs::File, sync::Arc};

pub(super) const FORMAT: Format = Format {
    name: "parquet",
    help: "Parquet: one event a row, in columns named as the fields of the native format",
    sniff: |head| head.starts_with(MAGIC),
    reader: Reader::Rows,
};

/// What a Parquet file begins and ends with.
pub(crate) const MAGIC: &[u8] = b"PAR1";

/// Rows of a piece, where they can be chosen. The groups of most writers are no larger: each piece of a group decodes its
/// dictionaries anew.
const PIECE: usize = 128 << 10;

/// Rows of a group that is taken whole although it has no index.
const WHOLE_GROUP: usize = PIECE;

/// Rows read at a time from a large group without index.
const BATCH: usize = 16 << 10;

/// Rows decoded at a time: what lies between the file and the events stays in the nearest caches.
const DECODED: usize = 4 << 10;

/// Cuts a Parquet file into row ranges.
pub(crate) struct RowCutter {
    shared: Shared,
    file: Arc<RowFile>,
    source: Option<SourceId>,
    opening: Option<Opening>,
    group: usize,
    /// Rows of the group that were cut already.
    cut: usize,
    /// Rows before the next piece.
    rows: u64,
    running: Option<ParquetRecordBatchReader>,
}

/// Some rows of a file.
pub(crate) enum RowRange {
    /// To be read.
    Stored { file: Arc<RowFile>, group: usize, from: usize, rows: usize },
    /// Read already.
    Read(Box<RecordBatch>),
}

impl RowCutter {
    /// Opens a file and decides where to begin. `known` are the positions of its path, oldest first.
    pub(crate) fn open(
        file: File,
        name: Arc<str>,
        path: Option<String>,
        shared: &Shared,
        known: &[SourcePosition],
    ) -> Result<RowCutter, TraceError> {
        let (file, head) = RowFile::open(file, name, &shared.options)?;
        let source = path.map(|path| SourceId { path, head });
        let total = file.rows();
        let same = known.iter().rev().find(|position| Some(&position.source) == source.as_ref());
        let (opening, mut skip) = match same {
            _ if total == 0 => (Opening::Empty, 0),
            Some(position) if position.offset >= total => (Opening::Unchanged, total),
            Some(position) => (Opening::Resumed { from: position.offset }, position.offset),
            None if known.is_empty() => (Opening::Fresh, 0),
            None => (Opening::Rotated, 0),
        };
        let (rows, mut group) = (skip, 0);
        while group < file.groups() && file.group_rows(group) as u64 <= skip {
            skip -= file.group_rows(group) as u64;
            group += 1;
        }
        Ok(RowCutter {
            shared: shared.clone(),
            file: Arc::new(file),
            source,
            opening: Some(opening),
            group,
            cut: skip as usize,
            rows,
            running: None,
        })
    }

    /// The next piece.
    pub(crate) fn next(&mut self) -> Result<Option<Piece>, TraceError> {
        if let Some(opening) = self.opening.take() {
            let mut piece = self.piece(Body::Nothing, 0);
            piece.opening = Some(opening);
            return Ok(Some(piece));
        }
        while self.group < self.file.groups() {
            let left = self.file.group_rows(self.group).saturating_sub(self.cut);
            if left == 0 {
                (self.group, self.cut, self.running) = (self.group + 1, 0, None);
                continue;
            }
            let indexed = self.file.is_indexed(self.group);
            let (range, rows) = if indexed || left <= WHOLE_GROUP {
                let rows = if indexed { left.min(PIECE) } else { left };
                (RowRange::Stored { file: Arc::clone(&self.file), group: self.group, from: self.cut, rows }, rows)
            } else {
                let batch = self.read_on()?;
                let rows = batch.num_rows().min(left);
                (RowRange::Read(Box::new(batch)), rows)
            };
            let piece = self.piece(Body::Rows(range), rows);
            return Ok(Some(piece));
        }
        Ok(None)
    }

    fn read_on(&mut self) -> Result<RecordBatch, TraceError> {
        let reader = match &mut self.running {
            Some(reader) => reader,
            None => self.running.insert(self.file.read(self.group, self.cut, None, BATCH)?),
        };
        match guarded(|| reader.next().transpose().map_err(Into::into)) {
            Ok(Some(batch)) if batch.num_rows() > 0 => Ok(batch),
            Err(error) => Err(self.file.broken(self.rows, &error)),
            Ok(_) => Err(self.file.broken(self.rows, &"fewer rows than the footer says")),
        }
    }

    /// How far the file has been cut, if it is a source.
    pub(crate) fn position(&self) -> Option<SourcePosition> {
        let source = self.source.clone()?;
        Some(SourcePosition { offset: self.rows, lines: self.rows, tail: source.head, source })
    }

    fn piece(&mut self, body: Body, rows: usize) -> Piece {
        let before = self.file.stored_bytes(self.group, self.cut);
        let first_line = self.rows + 1;
        self.cut += rows;
        self.rows += rows as u64;
        Piece {
            file: Arc::clone(&self.file.name),
            options: Arc::clone(&self.shared.options),
            pool: self.shared.pool.clone(),
            body,
            first_line,
            position: (rows > 0).then(|| self.position()).flatten(),
            opening: None,
            read_bytes: self.file.stored_bytes(self.group, self.cut) - before,
        }
    }
}

impl RowRange {
    /// Appends the events of the rows. Returns what goes under them as text, and what was wrong.
    pub(crate) fn decode(
        self,
        name: &Arc<str>,
        options: &TraceOptions,
        batch: &mut EventBatch,
        first_row: u64,
    ) -> Result<(String, Bad), TraceError> {
        let mut rows = Rows::new("", Vec::new(), name, options, batch, first_row, false);
        match self {
            RowRange::Read(records) => {
                let mut dictionaries = Dictionaries::new(records.num_rows());
                events(&records, name, &mut rows, &mut dictionaries)?;
            }
            RowRange::Stored { file, group, from, rows: count } => {
                let (mut seen, mut dictionaries) = (0, Dictionaries::new(count));
                let mut reader = file.read(group, from, Some(count), count.min(DECODED))?;
                while let Some(records) = guarded(|| reader.next().transpose().map_err(Into::into))
                    .map_err(|error| file.broken(first_row - 1 + seen as u64, &error))?
                {
                    seen += records.num_rows();
                    events(&records, name, &mut rows, &mut dictionaries)?;
                }
                if seen != count {
                    return Err(file.broken(first_row - 1 + seen as u64, &"fewer rows than the footer says"));
                }
            }
        }
        Ok(rows.finish())
    }
}

fn events(
    records: &RecordBatch,
    name: &Arc<str>,
    rows: &mut Rows<'_>,
    dictionaries: &mut Dictionaries,
) -> Result<(), TraceError> {
    let mut columns = Columns::new(records, rows, dictionaries).map_err(|(column, reason)| TraceError::Column {
        file: Arc::clone(name),
        column,
        reason,
    })?;
    if columns.append(rows, dictionaries) {
        return Ok(());
    }
    let mut faults = std::mem::take(&mut columns.faults).into_iter().peekable();
    for index in 0..records.num_rows() {
        rows.next_row();
        let fault: Option<Fault> = faults.next_if(|(row, _)| *row == index).map(|(_, fault)| fault);
        let outcome = match fault {
            Some(fault) => Err(fault),
            None => columns.fields(index).accept(rows),
        };
        if let Err(fault) = outcome {
            rows.bad_row(fault, || row::as_json(records, index))?;
        }
    }
    Ok(())
}
