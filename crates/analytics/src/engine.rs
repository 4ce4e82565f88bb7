//! What turns pieces of input into statistics.

pub(crate) mod native;
mod window;

use prefix_indexer_models::{EventBatch, IndexSpec, PrefixTable};

/// What the events of some pieces of input add up to.
#[derive(Debug, Clone)]
pub struct Aggregate {
    /// The prefixes, each in one of the tables. Which table, and where in it, depends on the number of threads; the
    /// statistics do not.
    pub tables: Vec<PrefixTable>,
    /// Events counted.
    pub events: u64,
    /// Traffic: the sum of their `bytes`; stops at 2^64 - 1.
    pub bytes: u64,
    /// Time of the newest event; none without events.
    pub newest_ms: Option<u64>,
    /// Whether the input has come to its end. If not, the tables are as large as they may get: the caller puts them
    /// away and asks again with the same iterator.
    pub exhausted: bool,
}

impl Aggregate {
    /// Number of distinct prefixes.
    pub fn prefixes(&self) -> usize {
        self.tables.iter().map(PrefixTable::len).sum()
    }
}

/// Decodes pieces of input and adds up their events.
///
/// The native engine is [`NativeEngine`](native::NativeEngine); the trait is what another one, for instance one that spreads
/// the work over machines, has to promise.
pub trait AggregationEngine {
    /// Takes pieces from `pieces` until they end or there are as many prefixes as the engine may hold.
    ///
    /// - `decode` fills an empty batch from a piece and says something about it. It runs on several threads at once.
    /// - `admit` is called once a piece, in the order of the input, by one thread at a time. It may remove events from the batch
    ///   (duplicates), write down how far the input has been read, count progress.
    ///
    /// Events of the same prefix are counted in the order of the input, so the statistics are the same whatever the
    /// number of threads. Every piece that was taken from the iterator is counted when this returns.
    ///
    /// # Errors
    /// The first error in the order of the input, whichever of the three it came from. Pieces before it have been
    /// admitted, none after it has. No piece is taken after an error was seen, but some may have been that come after
    /// the one that failed.
    fn aggregate<P, B, E>(
        &self,
        spec: &IndexSpec,
        pieces: impl Iterator<Item = Result<P, E>> + Send,
        decode: impl Fn(P, &mut EventBatch) -> Result<B, E> + Sync,
        admit: impl FnMut(&mut EventBatch, B) -> Result<(), E> + Send,
    ) -> Result<Aggregate, E>
    where
        P: Send,
        B: Send,
        E: Send;
}
