//! One segment from several: the newest row of each key, in lists that are merged, not sorted again.
//!
//! The same code compacts files and merges the small segments of the live index. Scratch memory is about 14 bytes a row.

mod duplicates;
mod links;
mod rows;
mod write;

pub(crate) use rows::AllRows;

use crate::{Row, Segment, StorageError, segment::Output};
use prefix_indexer_models::IndexSpec;
use std::{io::Write, path::Path};

impl Segment {
    /// One segment on the heap from several, newest first: the newest row of each key, if `keep` says so.
    ///
    /// Leaving a row out uncovers no older row of its key among `segments`; one in a segment that is older still would come
    /// back, so what is to go for good is left out of a merge that includes the oldest segment. A newer segment may hold a
    /// newer row of a key: it then counts among that segment's rows as one that superseded something.
    ///
    /// # Errors
    /// Those of reading the segments; [`StorageError::TooLarge`].
    pub fn merge(
        spec: &IndexSpec,
        segments: &[&Segment],
        keep: &mut dyn FnMut(&Row<'_>) -> bool,
    ) -> Result<Segment, StorageError> {
        let mut bytes = Vec::new();
        write::write(spec, segments, keep, Output::new(&mut bytes, Path::new("(memory)"), false)?)?;
        Segment::trusted(bytes)
    }
}

/// Writes the segment that [`Segment::merge`] would make, as a stream, with checksums. Does not sync. Returns the bytes
/// written.
///
/// # Errors
/// Those of `out`, with `path`, and of reading the segments; [`StorageError::TooLarge`].
pub fn write_merged(
    spec: &IndexSpec,
    segments: &[&Segment],
    keep: &mut dyn FnMut(&Row<'_>) -> bool,
    out: &mut (dyn Write + Send),
    path: &Path,
) -> Result<u64, StorageError> {
    write::write(spec, segments, keep, Output::new(out, path, true)?)
}
