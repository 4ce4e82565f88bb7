//! What a query sees: segments, newest first.

mod ranked;
mod sample;
mod stream;

pub use ranked::Ranked;

use crate::{Row, Segment, StorageError, merge::AllRows};
use prefix_indexer_models::{IndexSpec, PrefixKey};
use std::sync::Arc;

/// Which prefixes a query is about. The default is all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scope<'q> {
    /// Of this tenant only.
    pub tenant: Option<&'q str>,
    /// Of this model only.
    pub model_id: Option<&'q str>,
}

/// By what a query ranks, best first; ties break by key, ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By the decayed sum of a rung of the ladder. A rung that there is not lists nothing.
    Rung(usize),
    /// By the newest use.
    Recency,
}

/// An immutable set of segments, newest first; of each key the newest row counts.
///
/// A row that supersedes another must hold at least its totals: then a merge of ranked lists meets the newer row first, and
/// no query has to look a key up.
#[derive(Debug)]
pub struct View {
    spec: IndexSpec,
    segments: Vec<Arc<Segment>>,
}

impl View {
    /// A view of segments, newest first.
    ///
    /// # Errors
    /// [`StorageError::Spec`] when one was made with other settings.
    pub fn new(spec: IndexSpec, segments: Vec<Arc<Segment>>) -> Result<View, StorageError> {
        segments.iter().try_for_each(|segment| spec.check_same(segment.spec()))?;
        Ok(View { spec, segments })
    }

    /// What the numbers mean.
    pub fn spec(&self) -> &IndexSpec {
        &self.spec
    }

    /// The segments, newest first.
    pub fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    /// Number of distinct prefixes.
    pub fn len(&self) -> u64 {
        self.segments.iter().map(|segment| segment.fresh()).sum()
    }

    /// Whether there is no prefix.
    pub fn is_empty(&self) -> bool {
        self.segments.iter().all(|segment| segment.is_empty())
    }

    /// Time of the newest use; 0 without prefixes.
    pub fn newest_ms(&self) -> u64 {
        self.segments.iter().map(|segment| segment.newest_ms()).max().unwrap_or(0)
    }

    /// The newest row of a key.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`].
    pub fn get(&self, key: &PrefixKey) -> Result<Option<Row<'_>>, StorageError> {
        for segment in &self.segments {
            if let Some(row) = segment.get(key)? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Loads what [looking up](Self::get) these keys will need, all together: changes nothing but how long that takes.
    pub(crate) fn warm(&self, keys: &[PrefixKey]) {
        self.segments.iter().for_each(|segment| segment.warm(keys));
    }

    /// The rows of a scope, best first, each key once. Lazy: costs what is taken. After an error it ends.
    pub fn ranked(&self, scope: Scope<'_>, order: Order) -> Ranked<'_> {
        Ranked::new(self, scope, order)
    }

    /// All rows, each key once: by tenant, then model, then newest use first, then key. After an error it ends.
    pub fn rows(&self) -> impl Iterator<Item = Result<Row<'_>, StorageError>> {
        AllRows::new(self.segments.iter().map(|segment| &**segment).collect())
    }
}
