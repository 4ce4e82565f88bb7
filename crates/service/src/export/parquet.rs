//! Parquet.

use super::{Numbers, score_columns};
use crate::ServiceError;
use arrow_array::{
    ArrayRef, RecordBatch,
    builder::{Float64Builder, Int64Builder, StringBuilder, StringDictionaryBuilder, UInt64Builder},
    types::Int32Type,
};
use arrow_schema::ArrowError;
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};
use prefix_indexer_storage::{Row, View};
use std::{fs::File, path::Path, sync::Arc};

/// Rows that are turned into columns together.
const BATCH_ROWS: u64 = 64 * 1024;

pub(super) fn write(view: &View, file: &File, path: &Path) -> Result<u64, ServiceError> {
    let failed = |reason: String| ServiceError::Parquet { path: path.to_owned(), reason };
    let scores = score_columns(view.spec());
    let mut columns = Columns::new(scores.len());
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let empty = columns.finish(&scores).map_err(|error| failed(error.to_string()))?;
    let mut writer = ArrowWriter::try_new(file, empty.schema(), Some(properties)).map_err(|e| failed(e.to_string()))?;
    let mut put = |columns: &mut Columns| -> Result<(), ServiceError> {
        let batch = columns.finish(&scores).map_err(|error| failed(error.to_string()))?;
        writer.write(&batch).map_err(|error| failed(error.to_string()))
    };
    let mut rows = 0;
    for row in view.rows() {
        columns.push(&row?, view.newest_ms(), &scores);
        rows += 1;
        if rows % BATCH_ROWS == 0 {
            put(&mut columns)?;
        }
    }
    put(&mut columns)?;
    writer.close().map_err(|error| failed(error.to_string()))?;
    Ok(rows)
}

struct Columns {
    prefix_id: StringBuilder,
    tenant: StringDictionaryBuilder<Int32Type>,
    model_id: StringDictionaryBuilder<Int32Type>,
    parent_id: StringBuilder,
    depth: Int64Builder,
    integers: [UInt64Builder; 9],
    avg_latency_ms: Float64Builder,
    expected_gap_ms: Float64Builder,
    scores: Vec<Float64Builder>,
}

impl Columns {
    fn new(scores: usize) -> Columns {
        Columns {
            prefix_id: StringBuilder::new(),
            tenant: StringDictionaryBuilder::new(),
            model_id: StringDictionaryBuilder::new(),
            parent_id: StringBuilder::new(),
            depth: Int64Builder::new(),
            integers: Default::default(),
            avg_latency_ms: Float64Builder::new(),
            expected_gap_ms: Float64Builder::new(),
            scores: (0..scores).map(|_| Float64Builder::new()).collect(),
        }
    }

    fn push(&mut self, row: &Row<'_>, now_ms: u64, scores: &[(String, usize)]) {
        let numbers = Numbers::of(row);
        self.prefix_id.append_value(row.prefix_id());
        self.tenant.append_value(row.tenant());
        self.model_id.append_value(row.model_id());
        self.parent_id.append_option(row.parent_id());
        self.depth.append_option(numbers.depth.map(i64::from));
        for (column, (_, value)) in self.integers.iter_mut().zip(numbers.integers) {
            column.append_value(value);
        }
        self.avg_latency_ms.append_value(numbers.avg_latency_ms);
        self.expected_gap_ms.append_option(numbers.expected_gap_ms);
        for (column, (_, rung)) in self.scores.iter_mut().zip(scores) {
            column.append_value(row.score(*rung, now_ms));
        }
    }

    /// The rows since the last call. Each column is nullable or not whatever its rows happen to hold.
    fn finish(&mut self, scores: &[(String, usize)]) -> Result<RecordBatch, ArrowError> {
        let mut columns: Vec<(&str, ArrayRef, bool)> = vec![
            ("prefix_id", Arc::new(self.prefix_id.finish()), false),
            ("tenant", Arc::new(self.tenant.finish()), false),
            ("model_id", Arc::new(self.model_id.finish()), false),
            ("parent_id", Arc::new(self.parent_id.finish()), true),
            ("depth", Arc::new(self.depth.finish()), true),
        ];
        for (name, column) in Numbers::INTEGERS.into_iter().zip(&mut self.integers) {
            columns.push((name, Arc::new(column.finish()), false));
        }
        columns.push(("avg_latency_ms", Arc::new(self.avg_latency_ms.finish()), false));
        columns.push(("expected_gap_ms", Arc::new(self.expected_gap_ms.finish()), true));
        for ((name, _), column) in scores.iter().zip(&mut self.scores) {
            columns.push((name, Arc::new(column.finish()), false));
        }
        RecordBatch::try_from_iter_with_nullable(columns)
    }
}
