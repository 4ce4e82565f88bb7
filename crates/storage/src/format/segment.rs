//! The bytes of a segment.
//!
//! Head, sections, checksums, directory, tail. The directory holds counts; where a section starts follows from them
//! ([`Layout`]), so that there is no offset to distrust. Records are written by the codec and read in place through a twin
//! of the same layout; a test below holds the two together.

mod layout;
mod records;

pub(crate) use layout::{Counts, Layout, ListKind, PAGE, buckets};
pub(crate) use records::{
    CHECKSUM, Checksum, Directory, HEAD, Head, Links, Named, NamedView, Partition, PartitionView, RECORD, Record,
    RecordView, TAIL, TAIL_PAGES, Tail, TextRef,
};

/// What a segment starts with and ends with.
pub(crate) const MAGIC: [u8; 8] = *b"PFXSEG\r\n";

/// The version that is written; the only one that there is.
pub(crate) const VERSION: u32 = 1;

/// The longest text that a [`TextRef`] can name, in bytes.
pub(crate) const MAX_TEXT: usize = (1 << 24) - 1;

/// The most rows of a segment: numbers are 32 bits, and the highest means none.
pub(crate) const MAX_ROWS: u64 = u32::MAX as u64 - 1;

/// A depth that nobody named, a parent that is not a row.
pub(crate) const NONE: u32 = u32::MAX;
