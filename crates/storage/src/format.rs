//! The only place that knows a byte position. docs/format.md is its map.

pub(crate) mod framed;
pub(crate) mod log;
pub(crate) mod manifest;
