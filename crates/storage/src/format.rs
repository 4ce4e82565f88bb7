//! What the files of an index look like, byte by byte. docs/format.md is the map of it.
//!
//! No other file knows a byte position.

pub(crate) mod framed;
pub(crate) mod log;
pub(crate) mod manifest;
pub(crate) mod segment;
