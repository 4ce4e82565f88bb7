//! The calls under `/v1`, a file each.

pub(crate) mod feedback;
pub(crate) mod ingest;
pub(crate) mod plan;
pub(crate) mod predict;
pub(crate) mod stats;
pub(crate) mod suggest;
