//! The bytes of an input, decompressed, with those that were read and not cut yet.

use crate::{
    FORMATS, Format, TraceError,
    compress::{Codec, MAGIC},
    format::{LineFormat, known},
    pool::{CHUNK, Pool},
    resume::{Cursor, tail_len},
};
use memchr::{memchr, memrchr};
use prefix_indexer_models::SourcePosition;
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The longest line in bytes.
const MAX_LINE: usize = 64 << 20;

/// Bytes of an input after decompression, with those that were read and not cut yet.
pub(crate) struct Stream {
    pub(crate) file: Arc<str>,
    pub(crate) codec: Codec,
    reader: Box<dyn Read + Send>,
    stored: Arc<AtomicU64>,
    pub(crate) ahead: Vec<u8>,
    /// Whether there is nothing more: for ever, or for now if it is `live`.
    ended: bool,
    live: bool,
    /// What ended it, told when the lines before it are taken.
    failed: Option<TraceError>,
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
    /// Reads a whole input, decompressing it if it begins as one that is compressed.
    pub(crate) fn open(file: Arc<str>, mut input: impl Read + Send + 'static) -> Result<Stream, TraceError> {
        let mut magic = Vec::with_capacity(MAGIC);
        let opened = (&mut input).take(MAGIC as u64).read_to_end(&mut magic).and_then(|_| {
            let (codec, stored) = (Codec::recognise(&magic), Arc::new(AtomicU64::new(0)));
            let whole = Counted { inner: io::Cursor::new(magic).chain(input), count: Arc::clone(&stored) };
            Ok((codec, stored, codec.reader(whole)?))
        });
        let (codec, stored, reader) =
            opened.map_err(|source| TraceError::Io { file: Arc::clone(&file), action: "cannot read", source })?;
        let (ahead, failed) = (Vec::new(), None);
        Ok(Stream { file, codec, reader, stored, ahead, ended: false, live: false, failed })
    }

    /// Reads an input that grows. Its end, or an error that says that reading would block, is the end for now.
    pub(crate) fn live(file: Arc<str>, input: impl Read + Send + 'static) -> Stream {
        let stored = Arc::new(AtomicU64::new(0));
        let reader = Box::new(Counted { inner: input, count: Arc::clone(&stored) });
        let (ahead, codec, failed) = (Vec::new(), Codec::Plain, None);
        Stream { file, codec, reader, stored, ahead, ended: false, live: true, failed }
    }

    /// Whether the input may grow.
    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    /// Bytes read from storage.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }

    /// Reads more. The first error ends the stream; what came before it is still there.
    pub(crate) fn fill(&mut self, cursor: &Cursor) {
        // Usually up to a whole buffer; a line that is longer than one doubles it each time.
        let wanted = CHUNK.checked_sub(self.ahead.len()).filter(|room| *room >= CHUNK / 2).unwrap_or(self.ahead.len());
        match self.read_ahead(wanted) {
            Ok(read) => self.ended = read == 0,
            Err(error) if self.live && error.kind() == io::ErrorKind::WouldBlock => self.ended = true,
            Err(source) => {
                self.ended = true;
                let file = Arc::clone(&self.file);
                self.failed = Some(match self.codec {
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
    }

    /// Appends up to `wanted` bytes to what is ahead, in as few reads as the input allows, and returns how many came before
    /// its end. What came before an error is there, too.
    fn read_ahead(&mut self, wanted: usize) -> io::Result<usize> {
        let start = self.ahead.len();
        let mut filled = start;
        self.ahead.resize(start + wanted, 0);
        let outcome = loop {
            match self.ahead.get_mut(filled..).filter(|room| !room.is_empty()).map(|room| self.reader.read(room)) {
                None | Some(Ok(0)) => break Ok(filled - start),
                Some(Ok(read)) => filled += read,
                Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Some(Err(error)) => break Err(error),
            }
        };
        self.ahead.truncate(filled);
        outcome
    }

    /// Reads until a line end is ahead, or the end of the stream. Returns where the last line end is.
    pub(crate) fn fill_lines(&mut self, cursor: &Cursor) -> Result<Option<usize>, TraceError> {
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
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            if self.ended {
                // Whoever asks again wants to know whether it has grown.
                self.ended = !self.live;
                return Ok(None);
            }
            self.fill(cursor);
        }
    }

    /// Reads until the first line is ahead, whole. Returns its length, or `None` for an empty stream.
    pub(crate) fn first_line(&mut self) -> Result<Option<usize>, TraceError> {
        self.fill_lines(&Cursor::default())?;
        let length = memchr(b'\n', &self.ahead).unwrap_or(self.ahead.len());
        Ok((!self.ahead.is_empty()).then_some(length))
    }

    /// The format of the first line that has one.
    pub(crate) fn recognise(&self) -> Result<&'static Format, TraceError> {
        const LOOKED_AT: usize = 64;
        let mut lines = self.ahead.split(|byte| *byte == b'\n').take(LOOKED_AT);
        // Blank lines are a trace of nothing in any format.
        let blank = || FORMATS.first().filter(|_| self.ahead.trim_ascii().is_empty());
        lines.find_map(Format::sniff).or_else(blank).ok_or_else(|| TraceError::Unrecognised {
            file: Arc::clone(&self.file),
            line: 1,
            known: known(),
        })
    }

    /// Goes to a position of a plain file directly. `None` if the file does not reach that far.
    pub(crate) fn seek(
        &mut self,
        file: &mut File,
        cursor: &mut Cursor,
        position: &SourcePosition,
    ) -> io::Result<Option<Skipped>> {
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
    pub(crate) fn skip(
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
    pub(crate) fn take(&mut self, length: usize, pool: &Pool) -> Vec<u8> {
        let mut rest = pool.take();
        rest.extend_from_slice(&self.ahead[length..]);
        let mut taken = std::mem::replace(&mut self.ahead, rest);
        taken.truncate(length);
        taken
    }
}

/// How going to a known position ended.
pub(crate) enum Skipped {
    /// There, and what is before it is what was there.
    All,
    /// The stream is shorter.
    Ended,
    /// Something else is before it.
    Differs,
}
