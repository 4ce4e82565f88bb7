//! The statistics of all prefixes, in files that other tools read.

mod jsonl;
mod parquet;

use crate::ServiceError;
use prefix_indexer_models::IndexSpec;
use prefix_indexer_storage::{Row, View};
use std::{fs::File, io, path::Path};

/// The formats of an export. A new one is a file here and a line in [`ExportFormat::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// One JSON object a line.
    Jsonl,
    /// Parquet, zstd-compressed.
    Parquet,
}

impl ExportFormat {
    /// Name and format, in the order help texts list them.
    pub const ALL: [(&'static str, ExportFormat); 2] =
        [("jsonl", ExportFormat::Jsonl), ("parquet", ExportFormat::Parquet)];
}

/// Writes one row a prefix, by tenant, model and recency, and returns how many. The columns are those of `suggest --json`
/// with `first_seen_ms`, `expected_gap_ms`, and one score a half-life as of the newest event: `score_1m`, `score_5m`, ...
///
/// The file appears under its name when it is whole.
///
/// # Errors
/// A damaged page of the index, or a file that cannot be written.
pub fn export(view: &View, format: ExportFormat, out: &Path) -> Result<u64, ServiceError> {
    let failed = |action| move |source| ServiceError::File { action, path: out.to_owned(), source };
    let partial = out.with_extension("partial");
    let file = File::create(&partial).map_err(failed("cannot create"))?;
    let written = match format {
        ExportFormat::Jsonl => jsonl::write(view, &file, out),
        ExportFormat::Parquet => parquet::write(view, &file, out),
    };
    let finished = written.and_then(|rows| {
        file.sync_all().map_err(failed("cannot sync"))?;
        std::fs::rename(&partial, out).map_err(failed("cannot rename"))?;
        Ok(rows)
    });
    if finished.is_err() {
        drop(std::fs::remove_file(&partial));
    }
    finished
}

/// The columns of scores: name and rung.
fn score_columns(spec: &IndexSpec) -> Vec<(String, usize)> {
    spec.ladder
        .to_string()
        .split(',')
        .enumerate()
        .map(|(rung, half_life)| (format!("score_{half_life}"), rung))
        .collect()
}

fn write_failed(path: &Path) -> impl Fn(io::Error) -> ServiceError + '_ {
    move |source| ServiceError::File { action: "cannot write", path: path.to_owned(), source }
}

/// What both formats write of a prefix, apart from names and scores.
struct Numbers {
    integers: [(&'static str, u64); 9],
    avg_latency_ms: f64,
    expected_gap_ms: Option<f64>,
    depth: Option<u32>,
}

impl Numbers {
    const INTEGERS: [&'static str; 9] = [
        "hit_count",
        "total_bytes",
        "footprint_bytes",
        "first_seen_ms",
        "last_seen_ms",
        "layer_min",
        "layer_max",
        "page_start",
        "page_end",
    ];

    fn of(row: &Row<'_>) -> Numbers {
        let tally = row.tally();
        let values = [
            tally.hit_count,
            tally.total_bytes,
            tally.footprint_bytes,
            tally.first_seen_ms,
            tally.last_seen_ms,
            tally.layer_min.into(),
            tally.layer_max.into(),
            tally.page_start.into(),
            tally.page_end.into(),
        ];
        let mut integers = Numbers::INTEGERS.map(|name| (name, 0));
        integers.iter_mut().zip(values).for_each(|(column, value)| column.1 = value);
        Numbers {
            integers,
            avg_latency_ms: tally.avg_latency_ms(),
            expected_gap_ms: tally.gaps.expected_ms(),
            depth: tally.depth,
        }
    }
}
