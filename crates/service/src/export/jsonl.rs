//! JSON Lines.

use super::{Numbers, score_columns, write_failed};
use crate::ServiceError;
use prefix_indexer_storage::View;
use serde_json::{Map, Value};
use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

pub(super) fn write(view: &View, file: &File, path: &Path) -> Result<u64, ServiceError> {
    let failed = write_failed(path);
    let (now_ms, scores) = (view.newest_ms(), score_columns(view.spec()));
    let mut out = BufWriter::with_capacity(1 << 18, file);
    let mut rows = 0;
    for row in view.rows() {
        let row = row?;
        let numbers = Numbers::of(&row);
        let mut document = Map::new();
        document.insert("prefix_id".into(), row.prefix_id().into());
        document.insert("tenant".into(), row.tenant().into());
        document.insert("model_id".into(), row.model_id().into());
        document.insert("parent_id".into(), row.parent_id().into());
        document.insert("depth".into(), numbers.depth.into());
        for (name, value) in numbers.integers {
            document.insert(name.into(), value.into());
        }
        document.insert("avg_latency_ms".into(), numbers.avg_latency_ms.into());
        document.insert("expected_gap_ms".into(), numbers.expected_gap_ms.into());
        for (name, rung) in &scores {
            document.insert(name.clone(), row.score(*rung, now_ms).into());
        }
        serde_json::to_writer(&mut out, &Value::Object(document)).map_err(|error| failed(error.into()))?;
        out.write_all(b"\n").map_err(&failed)?;
        rows += 1;
    }
    out.flush().map_err(failed)?;
    Ok(rows)
}
