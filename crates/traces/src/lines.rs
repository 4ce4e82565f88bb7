//! Cutting a stream at line ends, in sequence: reading, decompressing, counting, and nothing else.

use crate::{
    Opening, TraceError, TraceOptions,
    compress::Codec,
    format::{LineDecoder, LineFormat, Reader},
    inputs::Input,
    piece::{Body, Piece},
    place::read_at,
    pool::Pool,
    resume::{Cursor, TAIL, head},
    rows::Rows,
    stream::{Skipped, Stream},
};
use prefix_indexer_models::{SourceId, SourcePosition};
use std::{
    fs::File,
    io::{self, Seek, SeekFrom},
    sync::Arc,
};

/// What the cutters of one run share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) options: Arc<TraceOptions>,
    pub(crate) pool: Pool,
}

/// An input with lines.
pub(crate) struct LineCutter {
    shared: Shared,
    stream: Stream,
    cursor: Cursor,
    source: Option<SourceId>,
    state: Box<dyn LineFormat>,
    opening: Option<(Opening, Option<SourcePosition>)>,
    reported_bytes: u64,
    done: bool,
}

/// The format of an empty file.
struct Nothing;

impl LineFormat for Nothing {
    fn next(&mut self, _: &[u8]) -> Box<dyn LineDecoder> {
        Box::new(Nothing)
    }

    fn needs_history(&self) -> bool {
        false
    }
}

impl LineDecoder for Nothing {
    fn decode(self: Box<Self>, _: &mut Rows<'_>) -> Result<(), TraceError> {
        Ok(())
    }
}

impl LineCutter {
    /// Opens an input and decides where to begin. `known` are the positions of its path, oldest first.
    pub(crate) fn open(input: &Input, shared: &Shared, known: &[SourcePosition]) -> Result<LineCutter, TraceError> {
        let (name, path) = (input.name(), input.source_path());
        let failed = |source| TraceError::Io { file: input.name(), action: "cannot open", source };
        let file = match input {
            Input::Stdin => None,
            Input::File(path) => Some(File::open(path).map_err(failed)?),
        };
        let mut stream = match &file {
            None => Stream::open(name, io::stdin())?,
            Some(file) => Stream::open(name, file.try_clone().map_err(failed)?)?,
        };
        stream.ahead = shared.pool.take();
        match stream.first_line()? {
            Some(length) => LineCutter::begin(stream, file, path, length, shared, known),
            None => Ok(LineCutter::new(shared, stream, Cursor::default(), None, Box::new(Nothing), Opening::Empty)),
        }
    }

    /// Decides where to begin with a stream whose first line, of `length` bytes, is ahead. A source has a `path`; `file` is
    /// the stream's, to go elsewhere in it.
    pub(crate) fn begin(
        mut stream: Stream,
        file: Option<File>,
        path: Option<String>,
        length: usize,
        shared: &Shared,
        known: &[SourcePosition],
    ) -> Result<LineCutter, TraceError> {
        let name = Arc::clone(&stream.file);
        let failed = |source| TraceError::Io { file: Arc::clone(&name), action: "cannot read", source };
        let mut cursor = Cursor::default();
        let source = path.map(|path| SourceId { path, head: head(&stream.ahead[..length]) });
        let format = shared.options.format.map_or_else(|| stream.recognise(), Ok)?;
        let Reader::Lines(new_state) = format.reader else {
            let reason = "this format is read by position: give it as a file, not compressed and not as a stream";
            return Err(TraceError::Unsupported { file: name, reason });
        };
        let same = known.iter().rev().find(|position| Some(&position.source) == source.as_ref());
        let (Some(position), Some(mut file)) = (same, file) else {
            let opening = if known.is_empty() { Opening::Fresh } else { Opening::Rotated };
            return Ok(LineCutter::new(shared, stream, cursor, source, new_state(), opening));
        };
        let mut state = new_state();
        let skipped = if stream.codec == Codec::Plain && !state.needs_history() {
            stream.seek(&mut file, &mut cursor, position).map_err(failed)?
        } else {
            None
        };
        let skipped = match skipped {
            Some(skipped) => skipped,
            None => stream.skip(&mut cursor, state.as_mut(), position, &shared.pool)?,
        };
        match skipped {
            Skipped::All => {
                if stream.ahead.is_empty() {
                    stream.fill(&cursor);
                }
                let unchanged = stream.ahead.is_empty();
                let opening = if unchanged { Opening::Unchanged } else { Opening::Resumed { from: cursor.offset } };
                Ok(LineCutter::new(shared, stream, cursor, source, state, opening))
            }
            Skipped::Ended => {
                let opening = Opening::Truncated { from: position.offset, to: cursor.offset };
                let moved = source.as_ref().map(|source| cursor.position(source));
                let mut cutter = LineCutter::new(shared, stream, cursor, source, state, opening);
                cutter.opening = Some((opening, moved));
                Ok(cutter)
            }
            Skipped::Differs => {
                file.seek(SeekFrom::Start(0)).map_err(failed)?;
                let stream = match stream.is_live() {
                    true => Stream::live(Arc::clone(&name), file),
                    false => Stream::open(Arc::clone(&name), file)?,
                };
                Ok(LineCutter::new(shared, stream, Cursor::default(), source, new_state(), Opening::Rotated))
            }
        }
    }

    fn new(
        shared: &Shared,
        stream: Stream,
        cursor: Cursor,
        source: Option<SourceId>,
        state: Box<dyn LineFormat>,
        opening: Opening,
    ) -> LineCutter {
        LineCutter {
            shared: shared.clone(),
            stream,
            cursor,
            source,
            state,
            opening: Some((opening, None)),
            reported_bytes: 0,
            done: false,
        }
    }

    /// The next piece.
    pub(crate) fn next(&mut self) -> Result<Option<Piece>, TraceError> {
        if let Some((opening, position)) = self.opening.take() {
            let mut piece = self.piece(Body::Nothing, 1);
            (piece.opening, piece.position) = (Some(opening), position);
            return Ok(Some(piece));
        }
        if self.done {
            return Ok(None);
        }
        match self.read()? {
            Some(length) => Ok(self.cut(length)),
            None if self.stream.is_live() => Ok(None),
            None => {
                self.done = true;
                Ok(self.finish())
            }
        }
    }

    /// Reads until there are whole lines ahead, and returns their length; `None` at the end.
    pub(crate) fn read(&mut self) -> Result<Option<usize>, TraceError> {
        Ok(self.stream.fill_lines(&self.cursor)?.map(|end| end + 1))
    }

    /// What is left of an input that will not grow any more: a last line without its end.
    pub(crate) fn finish(&mut self) -> Option<Piece> {
        self.cut_as(self.stream.ahead.len(), true)
    }

    /// Whether what was cut last, and what was first read after it, are still where they were in `file`, which has no less
    /// than what was read.
    pub(crate) fn is_intact(&self, file: &File) -> io::Result<bool> {
        let (tail, ahead) = (self.cursor.tail(), &self.stream.ahead);
        if file.metadata()?.len() < self.read_offset() {
            return Ok(false);
        }
        let known = [tail, &ahead[..ahead.len().min(TAIL)]].concat();
        let mut found = vec![0; known.len()];
        let mut filled = 0;
        while filled < found.len() {
            let offset = self.cursor.offset + filled as u64 - tail.len() as u64;
            match read_at(file, &mut found[filled..], offset)? {
                0 => return Ok(false),
                count => filled += count,
            }
        }
        Ok(found == known)
    }

    /// Bytes of the input that were read, cut or not.
    pub(crate) fn read_offset(&self) -> u64 {
        self.cursor.offset + self.stream.ahead.len() as u64
    }

    /// Cuts whole lines that are ahead, `length` bytes in all.
    pub(crate) fn cut(&mut self, length: usize) -> Option<Piece> {
        self.cut_as(length, false)
    }

    fn cut_as(&mut self, length: usize, unfinished: bool) -> Option<Piece> {
        if length == 0 {
            return None;
        }
        let first_line = self.cursor.lines + 1;
        let bytes = self.stream.take(length, &self.shared.pool);
        let decoder = self.state.next(&bytes);
        self.cursor.advance(&bytes);
        let mut piece = self.piece(Body::Lines { bytes, decoder, unfinished }, first_line);
        piece.position = self.position();
        Some(piece)
    }

    /// How far the input has been cut, if it is a source.
    pub(crate) fn position(&self) -> Option<SourcePosition> {
        self.source.as_ref().map(|source| self.cursor.position(source))
    }

    fn piece(&mut self, body: Body, first_line: u64) -> Piece {
        let stored = self.stream.stored_bytes();
        let read_bytes = stored.saturating_sub(std::mem::replace(&mut self.reported_bytes, stored));
        Piece {
            file: Arc::clone(&self.stream.file),
            options: Arc::clone(&self.shared.options),
            pool: self.shared.pool.clone(),
            body,
            first_line,
            position: None,
            opening: None,
            read_bytes,
        }
    }
}
