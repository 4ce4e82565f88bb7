//! Immutable ranked segments.

use crate::{Source, StorageError};
use prefix_indexer_models::{IndexSpec, PrefixKey, PrefixRecommendation, PrefixStats, PrefixTable, Rank, Tally};
use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// A write-once set of prefixes, ranked for every rung and by recency.
#[derive(Debug)]
pub struct Segment {
    spec: IndexSpec,
    source: Source,
    path: PathBuf,
}

impl Segment {
    /// Opens a segment; reads a few kilobytes whatever its size. `path` is for errors.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`], [`StorageError::Version`].
    pub fn open(source: Source, path: &Path) -> Result<Segment, StorageError> {
        Ok(Segment { spec: IndexSpec::default(), source, path: path.to_owned() })
    }

    /// A segment on the heap of the prefixes of some tables, which have none in common. `fresh`: how many of them no
    /// older segment holds.
    ///
    /// # Errors
    /// [`StorageError::TooLarge`].
    pub fn build(spec: &IndexSpec, tables: &[TablePart<'_>], fresh: u64) -> Result<Segment, StorageError> {
        let _ = (tables, fresh);
        Ok(Segment { spec: spec.clone(), source: Source::heap(Vec::new()), path: PathBuf::new() })
    }

    /// One segment on the heap from several, newest first: the newest row of each key, if `keep` says so.
    ///
    /// # Errors
    /// Those of reading the segments.
    pub fn merge(
        spec: &IndexSpec,
        segments: &[&Segment],
        keep: &mut dyn FnMut(&Row<'_>) -> bool,
    ) -> Result<Segment, StorageError> {
        let _ = (segments, keep);
        Ok(Segment { spec: spec.clone(), source: Source::heap(Vec::new()), path: PathBuf::new() })
    }

    /// What the numbers mean.
    pub fn spec(&self) -> &IndexSpec {
        &self.spec
    }

    /// Number of prefixes.
    pub fn len(&self) -> u64 {
        0
    }

    /// Whether there is no prefix.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn with_fresh(self, _fresh: u64) -> Segment {
        self
    }

    /// Prefixes that no older segment holds.
    pub fn fresh(&self) -> u64 {
        0
    }

    /// Time of the newest use; 0 without prefixes.
    pub fn newest_ms(&self) -> u64 {
        0
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        self.source.bytes().len() as u64
    }

    /// The row of a key.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`].
    pub fn get(&self, key: &PrefixKey) -> Result<Option<Row<'_>>, StorageError> {
        let _ = (key, &self.path);
        Ok(None)
    }

    /// All rows: by tenant, then model, then newest use first, then key.
    pub fn rows(&self) -> impl Iterator<Item = Result<Row<'_>, StorageError>> {
        std::iter::empty()
    }

    /// Reads everything and checks every page and every invariant.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] for the first thing that is wrong.
    pub fn verify(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

/// All prefixes of a table, or some of them.
#[derive(Debug, Clone, Copy)]
pub struct TablePart<'a> {
    /// The table.
    pub table: &'a PrefixTable,
    /// Numbers of the prefixes meant, each once, in any order; `None` for all. Numbers that the table does not have are
    /// left out.
    pub numbers: Option<&'a [u32]>,
}

impl<'a> From<&'a PrefixTable> for TablePart<'a> {
    fn from(table: &'a PrefixTable) -> TablePart<'a> {
        TablePart { table, numbers: None }
    }
}

/// Writes the segment that [`Segment::build`] would make, as a stream. Does not sync. Returns the bytes written.
///
/// # Errors
/// Those of `out`, with `path`; [`StorageError::TooLarge`].
pub fn write_tables(
    spec: &IndexSpec,
    tables: &[TablePart<'_>],
    fresh: u64,
    out: &mut (dyn Write + Send),
    path: &Path,
) -> Result<u64, StorageError> {
    let _ = (spec, tables, fresh, out, path);
    Ok(0)
}

/// Writes the segment that [`Segment::merge`] would make, as a stream. Does not sync. Returns the bytes written.
///
/// # Errors
/// Those of `out`, with `path`, and of reading the segments.
pub fn write_merged(
    spec: &IndexSpec,
    segments: &[&Segment],
    keep: &mut dyn FnMut(&Row<'_>) -> bool,
    out: &mut (dyn Write + Send),
    path: &Path,
) -> Result<u64, StorageError> {
    let _ = (spec, segments, keep, out, path);
    Ok(0)
}

/// One prefix of a segment, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    segment: &'a Segment,
    number: u32,
}

impl<'a> Row<'a> {
    /// Digest of the names.
    pub fn key(&self) -> PrefixKey {
        PrefixKey::default()
    }

    /// Names the prefix within tenant and model.
    pub fn prefix_id(&self) -> &'a str {
        ""
    }

    /// Whose prefix it is.
    pub fn tenant(&self) -> &'a str {
        ""
    }

    /// Of which model.
    pub fn model_id(&self) -> &'a str {
        ""
    }

    /// The prefix that this one extends.
    pub fn parent_id(&self) -> Option<&'a str> {
        None
    }

    /// Counts, extents, times.
    pub fn tally(&self) -> Tally {
        Tally::EMPTY
    }

    /// Time of the newest use.
    pub fn last_seen_ms(&self) -> u64 {
        0
    }

    /// Decayed sum of a rung, as of the landmark of the last use; 0 for a rung that there is not.
    pub fn sum(&self, rung: usize) -> f64 {
        let _ = (rung, self.number);
        0.0
    }

    /// Decayed sums, one a rung.
    pub fn sums(&self) -> impl ExactSizeIterator<Item = f64> + use<'a> {
        std::iter::empty()
    }

    /// The decayed sum as of `now_ms`.
    pub fn score(&self, rung: usize, now_ms: u64) -> f64 {
        self.segment.spec.ladder.score(rung, self.last_seen_ms(), self.sum(rung), now_ms)
    }

    /// Place in the ranking by a rung.
    pub fn rank(&self, rung: usize) -> Rank {
        self.segment.spec.ladder.rank(rung, self.last_seen_ms(), self.sum(rung))
    }

    /// An owned copy.
    pub fn to_stats(&self) -> PrefixStats {
        PrefixStats {
            prefix_id: self.prefix_id().to_owned(),
            tenant: self.tenant().to_owned(),
            model_id: self.model_id().to_owned(),
            parent_id: self.parent_id().map(str::to_owned),
            tally: self.tally(),
            decayed: self.sums().collect(),
        }
    }

    /// The ranked view of this prefix at `now_ms`, scored by one rung.
    pub fn recommend(&self, rung: usize, now_ms: u64) -> PrefixRecommendation {
        self.to_stats().recommend(&self.segment.spec, rung, now_ms)
    }
}
