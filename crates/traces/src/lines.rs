//! Cutting a stream at line ends, in sequence: reading, decompressing, counting, and nothing else.

use crate::{
    Format, Opening, TraceError, TraceOptions,
    compress::{Codec, MAGIC},
    format::{LineDecoder, LineFormat, Reader, known},
    inputs::Input,
    piece::{Body, Piece},
    pool::{CHUNK, Pool},
    resume::{Cursor, head, tail_len},
    rows::Rows,
};
use memchr::{memchr, memrchr};
use prefix_indexer_models::{SourceId, SourcePosition};
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The longest line in bytes.
pub(crate) const MAX_LINE: usize = 64 << 20;

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

/// Bytes of an input after decompression, with those that were read and not cut yet.
struct Stream {
    file: Arc<str>,
    codec: Codec,
    reader: Box<dyn Read + Send>,
    stored: Arc<AtomicU64>,
    ahead: Vec<u8>,
    ended: bool,
}

/// Counts what is read from storage.
struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Stream {
    fn open(file: Arc<str>, mut input: impl Read + Send + 'static) -> Result<Stream, TraceError> {
        let mut magic = Vec::with_capacity(MAGIC);
        let opened = (&mut input).take(MAGIC as u64).read_to_end(&mut magic).and_then(|_| {
            let (codec, stored) = (Codec::recognise(&magic), Arc::new(AtomicU64::new(0)));
            let whole = Counted { inner: io::Cursor::new(magic).chain(input), count: Arc::clone(&stored) };
            Ok((codec, stored, codec.reader(whole)?))
        });
        let (codec, stored, reader) =
            opened.map_err(|source| TraceError::Io { file: Arc::clone(&file), action: "cannot read", source })?;
        Ok(Stream { file, codec, reader, stored, ahead: Vec::new(), ended: false })
    }

    /// Reads more. The first error ends the stream; what came before it is still there.
    fn fill(&mut self, cursor: &Cursor) -> Result<(), TraceError> {
        if self.ended {
            return Ok(());
        }
        // Usually up to a whole buffer; a line that is longer than one doubles it each time.
        let wanted = CHUNK.checked_sub(self.ahead.len()).filter(|room| *room >= CHUNK / 2).unwrap_or(self.ahead.len());
        self.ahead.reserve(wanted);
        match (&mut self.reader).take(wanted as u64).read_to_end(&mut self.ahead) {
            Ok(0) => self.ended = true,
            Ok(_) => {}
            Err(source) => {
                self.ended = true;
                let file = Arc::clone(&self.file);
                return Err(match self.codec {
                    Codec::Plain => TraceError::Io { file, action: "cannot read", source },
                    codec => TraceError::Compression {
                        file,
                        codec: codec.name(),
                        offset: cursor.offset + self.ahead.len() as u64,
                        lines: cursor.lines + memchr::memchr_iter(b'\n', &self.ahead).count() as u64,
                        source,
                    },
                });
            }
        }
        Ok(())
    }

    /// Reads until a line end is ahead, or the end of the stream. Returns where the last line end is.
    fn fill_lines(&mut self, cursor: &Cursor) -> Result<Option<usize>, TraceError> {
        let mut looked_at = 0;
        loop {
            if let Some(end) = memrchr(b'\n', &self.ahead[looked_at..]) {
                return Ok(Some(looked_at + end));
            }
            looked_at = self.ahead.len();
            if looked_at > MAX_LINE {
                let (file, line) = (Arc::clone(&self.file), cursor.lines + 1);
                return Err(TraceError::LineTooLong { file, line, max: MAX_LINE });
            }
            if self.ended {
                return Ok(None);
            }
            self.fill(cursor)?;
        }
    }

    /// Reads until the first line is ahead, whole. Returns its length, or `None` for an empty stream.
    fn first_line(&mut self) -> Result<Option<usize>, TraceError> {
        self.fill_lines(&Cursor::default())?;
        let length = memchr(b'\n', &self.ahead).unwrap_or(self.ahead.len());
        Ok((!self.ahead.is_empty()).then_some(length))
    }

    /// The format of the first line that has one.
    fn recognise(&self) -> Result<&'static Format, TraceError> {
        const LOOKED_AT: usize = 64;
        let mut lines = self.ahead.split(|byte| *byte == b'\n').take(LOOKED_AT);
        lines.find_map(Format::sniff).ok_or_else(|| TraceError::Unrecognised {
            file: Arc::clone(&self.file),
            line: 1,
            known: known(),
        })
    }

    /// Goes to a position of a plain file directly. `None` if the file does not reach that far.
    fn seek(&mut self, file: &mut File, cursor: &mut Cursor, position: &SourcePosition) -> io::Result<Option<Skipped>> {
        if file.metadata()?.len() < position.offset {
            return Ok(None);
        }
        let mut tail = vec![0; tail_len(position.offset)];
        file.seek(SeekFrom::Start(position.offset - tail.len() as u64))?;
        file.read_exact(&mut tail)?;
        *cursor = Cursor::at(position, tail);
        if cursor.digest() != position.tail {
            return Ok(Some(Skipped::Differs));
        }
        self.reader = Box::new(Counted { inner: file.try_clone()?, count: Arc::clone(&self.stored) });
        self.ahead.clear();
        self.ended = false;
        Ok(Some(Skipped::All))
    }

    /// Reads up to a position, showing the lines to `state`.
    fn skip(
        &mut self,
        cursor: &mut Cursor,
        state: &mut dyn LineFormat,
        position: &SourcePosition,
        pool: &Pool,
    ) -> Result<Skipped, TraceError> {
        while cursor.offset < position.offset {
            let wanted = position.offset - cursor.offset;
            let end = self.fill_lines(cursor)?.map_or(self.ahead.len(), |end| end + 1);
            if end == 0 {
                return Ok(Skipped::Ended);
            }
            let length = usize::try_from(wanted).unwrap_or(end).min(if wanted <= self.ahead.len() as u64 {
                self.ahead.len()
            } else {
                end
            });
            let bytes = self.take(length, pool);
            state.next(&bytes);
            cursor.advance(&bytes);
            pool.put(bytes);
        }
        Ok(if cursor.digest() == position.tail { Skipped::All } else { Skipped::Differs })
    }

    /// Takes the first `length` bytes of what is ahead.
    fn take(&mut self, length: usize, pool: &Pool) -> Vec<u8> {
        let mut rest = pool.take();
        rest.extend_from_slice(&self.ahead[length..]);
        let mut taken = std::mem::replace(&mut self.ahead, rest);
        taken.truncate(length);
        taken
    }
}

/// How going to a known position ended.
enum Skipped {
    /// There, and what is before it is what was there.
    All,
    /// The stream is shorter.
    Ended,
    /// Something else is before it.
    Differs,
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
        let mut cursor = Cursor::default();
        let Some(first_line) = stream.first_line()? else {
            return Ok(LineCutter::new(shared, stream, cursor, None, Box::new(Nothing), Opening::Empty));
        };
        let source = path.map(|path| SourceId { path, head: head(&stream.ahead[..first_line]) });
        let format = shared.options.format.map_or_else(|| stream.recognise(), Ok)?;
        let Reader::Lines(new_state) = format.reader;
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
                    stream.fill(&cursor)?;
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
                let stream = Stream::open(input.name(), file)?;
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
        let (length, unfinished) = match self.stream.fill_lines(&self.cursor)? {
            Some(end) => (end + 1, false),
            None => {
                self.done = true;
                (self.stream.ahead.len(), true)
            }
        };
        if length == 0 {
            return Ok(None);
        }
        let first_line = self.cursor.lines + 1;
        let bytes = self.stream.take(length, &self.shared.pool);
        let decoder = self.state.next(&bytes);
        self.cursor.advance(&bytes);
        let mut piece = self.piece(Body::Lines { bytes, decoder, unfinished }, first_line);
        piece.position = self.position();
        Ok(Some(piece))
    }

    /// How far the input has been cut, if it is a source.
    pub(crate) fn position(&self) -> Option<SourcePosition> {
        self.source.as_ref().map(|source| self.cursor.position(source))
    }

    fn piece(&mut self, body: Body, first_line: u64) -> Piece {
        let stored = self.stream.stored.load(Ordering::Relaxed);
        let read_bytes = stored - std::mem::replace(&mut self.reported_bytes, stored);
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
