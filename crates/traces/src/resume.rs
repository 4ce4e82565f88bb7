//! Deciding where to go on with a file that was read before.

use prefix_indexer_models::{SourceId, SourcePosition};

/// What was found when an input was opened, compared with how far it had been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Opening {
    /// Nothing is known of it (and of standard input and pipes never is): read from the start.
    Fresh,
    /// There is nothing in it.
    Empty,
    /// It has grown: read from where it had been read to.
    Resumed {
        /// Offset that reading goes on from, in decompressed bytes (rows for Parquet).
        from: u64,
    },
    /// All of it has been read before.
    Unchanged,
    /// Another file is in its place: read from the start, as a source of its own.
    Rotated,
    /// The end of what had been read is gone. Nothing of the rest counts again; reading goes on at the new end.
    Truncated {
        /// Offset to which it had been read.
        from: u64,
        /// Its new end.
        to: u64,
    },
}

/// Bytes before a position that are verified.
pub(crate) const TAIL: usize = 4096;

/// The last bytes before the current position, and how much came before them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cursor {
    pub(crate) offset: u64,
    pub(crate) lines: u64,
    tail: Vec<u8>,
}

impl Cursor {
    /// A cursor at a position whose tail was read again.
    pub(crate) fn at(position: &SourcePosition, tail: Vec<u8>) -> Cursor {
        Cursor { offset: position.offset, lines: position.lines, tail }
    }

    /// Moves over `bytes`.
    pub(crate) fn advance(&mut self, bytes: &[u8]) {
        self.offset += bytes.len() as u64;
        self.lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
        let new = &bytes[bytes.len().saturating_sub(TAIL)..];
        let surplus = (self.tail.len() + new.len()).saturating_sub(TAIL);
        self.tail.drain(..surplus);
        self.tail.extend_from_slice(new);
    }

    /// The last bytes before the cursor.
    pub(crate) fn tail(&self) -> &[u8] {
        &self.tail
    }

    pub(crate) fn position(&self, source: &SourceId) -> SourcePosition {
        SourcePosition { source: source.clone(), offset: self.offset, lines: self.lines, tail: self.digest() }
    }

    pub(crate) fn digest(&self) -> [u8; 32] {
        *blake3::hash(&self.tail).as_bytes()
    }
}

/// How many bytes before `offset` its tail has.
pub(crate) fn tail_len(offset: u64) -> usize {
    offset.min(TAIL as u64) as usize
}

/// What identifies a file with this first line. Blanks at its end do not count: they may still have been missing when the
/// line was last read.
pub(crate) fn head(first_line: &[u8]) -> [u8; 32] {
    *blake3::hash(first_line.trim_ascii_end()).as_bytes()
}
