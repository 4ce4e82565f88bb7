//! What a cache holds under a key: a value, how long it lives, and string pairs that travel with it.

use bytes::Bytes;
use std::{fmt, sync::Arc, time::Duration};

/// A value with its time to live and metadata: what is set, and what a hit gives back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// The bytes, shared and never changed.
    pub value: Bytes,
    /// On a set: how long the value lives, from now. On a hit: how much of that is left. `None`: for ever.
    pub ttl: Option<Duration>,
    /// Pairs that travel with the value.
    pub metadata: Metadata,
}

impl Entry {
    /// A value that lives for ever and carries no metadata.
    pub fn new(value: impl Into<Bytes>) -> Entry {
        Entry { value: value.into(), ttl: None, metadata: Metadata::default() }
    }

    /// The same, living for `ttl`.
    pub fn with_ttl(self, ttl: Duration) -> Entry {
        Entry { ttl: Some(ttl), ..self }
    }

    /// The same, carrying `metadata`.
    pub fn with_metadata(self, metadata: Metadata) -> Entry {
        Entry { metadata, ..self }
    }

    /// Bytes of value and metadata together: what a tier charges against its budget, its own bookkeeping apart.
    pub fn size(&self) -> u64 {
        self.value.len() as u64 + self.metadata.size()
    }
}

/// String pairs, ordered by name, one value a name. Empty metadata costs nothing; a clone is a reference count.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    pairs: Option<Arc<[(String, String)]>>,
}

impl Metadata {
    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        let pairs = self.pairs.as_deref()?;
        let at = pairs.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
        Some(&pairs[at].1)
    }

    /// The pairs in order of name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.pairs.as_deref().unwrap_or_default().iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_none()
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.iter().len()
    }

    /// Bytes of all names and values.
    pub fn size(&self) -> u64 {
        self.iter().map(|(name, value)| (name.len() + value.len()) as u64).sum()
    }
}

/// Of pairs with the same name the last one counts.
impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Metadata {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Metadata {
        let pairs: std::collections::BTreeMap<String, String> =
            pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Metadata { pairs: (!pairs.is_empty()).then(|| pairs.into_iter().collect()) }
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// One row of a listing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// The key.
    pub key: String,
    /// Bytes of the value.
    pub size: u64,
}

/// What a backend says of itself. Counts are since it was opened; `None` where it cannot know cheaply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BackendStats {
    /// Entries held, perhaps with some that have expired and were not yet swept.
    pub entries: Option<u64>,
    /// Bytes they take from the budget.
    pub bytes: Option<u64>,
    /// The budget in bytes.
    pub max_bytes: Option<u64>,
    /// Entries that went to make room.
    pub evicted: u64,
    /// Entries found expired.
    pub expired: u64,
    /// Entries whose checksum or shape was wrong: dropped, never served.
    pub corrupt: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_ordered_and_the_last_of_a_name_counts() {
        let metadata: Metadata = [("b", "1"), ("a", "2"), ("b", "3")].into_iter().collect();
        assert_eq!(metadata.iter().collect::<Vec<_>>(), [("a", "2"), ("b", "3")]);
        assert_eq!((metadata.get("b"), metadata.get("c"), metadata.size()), (Some("3"), None, 4));
        assert!(Metadata::from_iter::<[(String, String); 0]>([]).is_empty());
    }
}
