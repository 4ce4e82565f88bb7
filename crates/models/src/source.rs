//! Where events came from, so that reading the same file again adds nothing twice.

use serde::{Deserialize, Serialize};

/// The identity of a file of events: its path and what it begins with.
///
/// A rotated file has the path of its predecessor and another first line, so it is another source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourceId {
    /// Canonical path.
    pub path: String,
    /// BLAKE3 of the first line, without its line end. Formats without lines digest their own header.
    pub head: [u8; 32],
}

/// How far a source has been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePosition {
    /// Which source.
    pub source: SourceId,
    /// Everything before this offset has been counted. In bytes after decompression; rows for formats without lines.
    pub offset: u64,
    /// Lines before `offset`, so that an error after resuming names the right line.
    pub lines: u64,
    /// BLAKE3 of the (at most) 4 KiB before `offset`, verified before reading goes on.
    pub tail: [u8; 32],
}
