//! The pieces of all inputs, in order.

use crate::{
    Piece, TraceError, TraceOptions,
    inputs::Input,
    lines::{LineCutter, Shared},
    pool::Pool,
};
use prefix_indexer_models::SourcePosition;
use std::{collections::VecDeque, sync::Arc};

/// The pieces of all inputs, in order. The first error ends it.
pub struct Pieces {
    waiting: VecDeque<Input>,
    current: Option<LineCutter>,
    /// How far sources have been read, before this run and in it: a file that is named twice is read once.
    known: Vec<SourcePosition>,
    shared: Shared,
}

impl Pieces {
    pub(crate) fn new(inputs: Vec<Input>, options: TraceOptions, known: Vec<SourcePosition>) -> Pieces {
        let shared = Shared { options: Arc::new(options), pool: Pool::default() };
        Pieces { waiting: inputs.into(), current: None, known, shared }
    }

    fn cut(&mut self) -> Result<Option<Piece>, TraceError> {
        loop {
            if let Some(cutter) = &mut self.current {
                if let Some(piece) = cutter.next()? {
                    return Ok(Some(piece));
                }
                self.known.extend(cutter.position());
                self.current = None;
            }
            let Some(input) = self.waiting.pop_front() else { return Ok(None) };
            let path = input.source_path();
            let same = self.known.iter().filter(|position| Some(&position.source.path) == path.as_ref());
            let known: Vec<SourcePosition> = same.cloned().collect();
            self.current = Some(LineCutter::open(&input, &self.shared, &known)?);
        }
    }
}

impl Iterator for Pieces {
    type Item = Result<Piece, TraceError>;

    fn next(&mut self) -> Option<Result<Piece, TraceError>> {
        let next = self.cut().transpose();
        if matches!(next, Some(Err(_))) {
            self.waiting.clear();
            self.current = None;
        }
        next
    }
}
