//! Events in the columns of a Parquet file.
use crate::{TraceError, TraceOptions, rows::Bad};
use prefix_indexer_models::EventBatch;
use std::sync::Arc;

/// Some rows of a file.
pub(crate) enum RowRange {}

impl RowRange {
    pub(crate) fn decode(self, _: &Arc<str>, _: &TraceOptions, _: &mut EventBatch) -> Result<Bad, TraceError> {
        match self {}
    }
}
