//! From files to a trace.

use super::{Trace, TraceBuilder};
use crate::SimulatorError;
use prefix_indexer_models::EventBatch;
use prefix_indexer_traces::{Piece, PieceReport, TraceError};

impl Trace {
    /// Reads a trace of any format, piece by piece; `report` hears of each, for progress and bad lines.
    ///
    /// # Errors
    /// The first piece that cannot be read or decoded, or a trace that is too large.
    pub fn load(
        pieces: impl IntoIterator<Item = Result<Piece, TraceError>>,
        mut report: impl FnMut(&PieceReport),
    ) -> Result<Trace, SimulatorError> {
        let mut builder = TraceBuilder::new();
        let mut batch = EventBatch::new();
        for piece in pieces {
            report(&piece?.decode(&mut batch)?);
            builder.push(&batch)?;
        }
        Ok(builder.finish())
    }
}
