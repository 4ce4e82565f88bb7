//! Where things are fetched from, and where they are put: two small traits that anyone may implement.

use crate::{Cancel, PrefetchError, PrefetchRequest};
use prefix_indexer_cache::{Clock, Entry, Metadata};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The value of `source` in the metadata of what was prefetched.
pub const SOURCE: &str = "prefetch";

/// What a fetch has to keep to.
#[derive(Debug, Clone)]
pub struct FetchCtx {
    /// When it must have ended.
    pub deadline: Instant,
    /// Once this is given, it must end at once.
    pub cancel: Cancel,
}

/// What a fetch came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Fetched {
    /// A value, which is not stored yet.
    Value(Entry),
    /// It has been moved to where it belongs, and was not there before.
    Moved {
        /// Bytes of the value.
        bytes: u64,
    },
    /// It was where it belongs already; nothing was moved.
    Resident,
    /// The source does not have it. That is no error.
    Missing,
}

/// Gets things from where they are.
///
/// Called from many threads, and may wait. It ends by the deadline, and at once when cancelled: a pool that is stopped waits for it.
/// A panic is an error of the one request that it was called for.
pub trait Fetcher: Send + Sync {
    /// Fetches what `request` names.
    ///
    /// # Errors
    /// [`PrefetchError`] says whether it may succeed later.
    fn fetch(&self, request: &PrefetchRequest, ctx: &FetchCtx) -> Result<Fetched, PrefetchError>;
}

/// The place that things are fetched for.
pub trait Destination: Send + Sync {
    /// Whether it has each of `keys`.
    ///
    /// # Errors
    /// When it cannot tell.
    fn holds(&self, keys: &[&str], ctx: &FetchCtx) -> Result<Vec<bool>, PrefetchError>;

    /// Takes in what was fetched.
    ///
    /// # Errors
    /// [`PrefetchError::NotStored`].
    fn store(&self, key: &str, entry: Entry, ctx: &FetchCtx) -> Result<(), PrefetchError>;
}

/// How long what was fetched lives, and what it says of where it comes from.
#[derive(Debug, Clone)]
pub struct Dress {
    /// What lives neither longer nor shorter than usual: a confidence of a half.
    pub base_ttl: Duration,
    /// For `fetched_at`.
    pub clock: Arc<dyn Clock>,
}

impl Dress {
    /// Time to live by confidence: `base_ttl * (0.5 + confidence)`.
    pub fn ttl(&self, confidence: f64) -> Duration {
        self.base_ttl.mul_f64(0.5 + confidence)
    }

    /// The entry as it is stored: with `source`, `confidence` and `fetched_at` (milliseconds since 1970) beside the metadata
    /// it has, and a time to live by confidence, but never a longer one than it came with.
    pub fn dress(&self, request: &PrefetchRequest, entry: Entry) -> Entry {
        let confidence = request.confidence();
        let own = [
            ("source".to_owned(), SOURCE.to_owned()),
            ("confidence".to_owned(), confidence.to_string()),
            ("fetched_at".to_owned(), self.clock.now_ms().to_string()),
        ];
        let kept = entry.metadata.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let metadata: Metadata = kept.chain(own).collect();
        let ttl = self.ttl(confidence);
        let ttl = entry.ttl.map_or(ttl, |left| left.min(ttl));
        Entry { ttl: Some(ttl), metadata, ..entry }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prefix_indexer_cache::ManualClock;

    #[test]
    fn confidence_decides_how_long_it_lives() {
        let dress = Dress { base_ttl: Duration::from_secs(100), clock: Arc::new(ManualClock::at(7)) };
        let check = |confidence, left: Option<u64>, expect| {
            let request = PrefetchRequest::for_block("k", 0).with_prediction("markov", confidence);
            let entry = Entry { ttl: left.map(Duration::from_secs), ..Entry::new("v") };
            assert_eq!(dress.dress(&request, entry).ttl, Some(Duration::from_secs(expect)));
        };
        check(0.0, None, 50);
        check(0.5, None, 100);
        check(1.0, None, 150);
        check(1.0, Some(20), 20);
    }

    #[test]
    fn metadata_says_where_it_comes_from_and_keeps_what_was_there() {
        let dress = Dress { base_ttl: Duration::from_secs(1), clock: Arc::new(ManualClock::at(7)) };
        let request = PrefetchRequest::for_block("k", 0).with_prediction("markov", 0.25);
        let entry = Entry::new("v").with_metadata([("engine", "x"), ("source", "y")].into_iter().collect());
        let metadata = dress.dress(&request, entry).metadata;
        let pairs: Vec<_> = metadata.iter().collect();
        assert_eq!(pairs, [("confidence", "0.25"), ("engine", "x"), ("fetched_at", "7"), ("source", "prefetch")]);
    }
}
