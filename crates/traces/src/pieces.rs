//! The pieces of all inputs, in order.

use crate::{
    Piece, TraceError, TraceOptions,
    format::{
        Format, Reader,
        parquet::{MAGIC, RowCutter},
    },
    inputs::Input,
    lines::{LineCutter, Shared},
    pool::Pool,
};
use prefix_indexer_models::SourcePosition;
use std::{collections::VecDeque, fs::File, io::Read, sync::Arc};

/// Cuts one input.
enum Cutter {
    Lines(Box<LineCutter>),
    Rows(Box<RowCutter>),
}

impl Cutter {
    fn open(input: &Input, shared: &Shared, known: &[SourcePosition]) -> Result<Cutter, TraceError> {
        if let Input::File(path) = input {
            let failed = |action| move |source| TraceError::Io { file: input.name(), action, source };
            let metadata = path.metadata().map_err(failed("cannot open"))?;
            // A pipe would lose what is looked at.
            if metadata.is_file() {
                let mut file = File::open(path).map_err(failed("cannot open"))?;
                let mut magic = Vec::new();
                (&mut file).take(MAGIC.len() as u64).read_to_end(&mut magic).map_err(failed("cannot read"))?;
                let format = shared
                    .options
                    .format
                    .or_else(|| Some(&magic).filter(|m| *m == MAGIC).and_then(|m| Format::sniff(m)));
                if let Some(Reader::Rows) = format.map(|format| format.reader) {
                    return RowCutter::open(file, input.name(), input.source_path(), shared, known)
                        .map(|cutter| Cutter::Rows(cutter.into()));
                }
            }
        }
        LineCutter::open(input, shared, known).map(|cutter| Cutter::Lines(cutter.into()))
    }

    fn next(&mut self) -> Result<Option<Piece>, TraceError> {
        match self {
            Cutter::Lines(cutter) => cutter.next(),
            Cutter::Rows(cutter) => cutter.next(),
        }
    }

    fn position(&self) -> Option<SourcePosition> {
        match self {
            Cutter::Lines(cutter) => cutter.position(),
            Cutter::Rows(cutter) => cutter.position(),
        }
    }
}

/// The pieces of all inputs, in order. The first error ends it.
pub struct Pieces {
    waiting: VecDeque<Input>,
    current: Option<Cutter>,
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
            self.current = Some(Cutter::open(&input, &self.shared, &known)?);
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
