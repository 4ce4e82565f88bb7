//! Generations whose segments are on the heap: those of the memory and the JSON Lines store.

use crate::{Row, Segment, StorageError, View, live_store::Rows};
use std::sync::Arc;

/// Segments that a query merges before they become one.
pub(crate) const MAX_SEGMENTS: usize = 8;

/// The segments of the next generation, newest first.
pub(crate) fn next_segments(flushed: &View, rows: Rows<'_>) -> Result<Vec<Arc<Segment>>, StorageError> {
    match rows {
        Rows::Same => Ok(flushed.segments().to_vec()),
        Rows::Newer { parts, fresh } => {
            let newest = Arc::new(Segment::build(flushed.spec(), parts, fresh)?);
            Ok([&[newest], flushed.segments()].concat())
        }
        Rows::Rewritten { keep } => merge_all(flushed, keep),
    }
}

/// All segments as one, or as none where nothing is kept.
pub(crate) fn merge_all(
    flushed: &View,
    keep: &mut dyn FnMut(&Row<'_>) -> bool,
) -> Result<Vec<Arc<Segment>>, StorageError> {
    let segments: Vec<&Segment> = flushed.segments().iter().map(Arc::as_ref).collect();
    if segments.is_empty() {
        return Ok(Vec::new());
    }
    let merged = Segment::merge(flushed.spec(), &segments, keep)?;
    Ok(if merged.is_empty() { Vec::new() } else { vec![Arc::new(merged)] })
}
