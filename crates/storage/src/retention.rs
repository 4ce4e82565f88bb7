//! What an index lets go of: prefixes not used for long, and the lowest-ranked of too many.
//!
//! Rows are dropped only by a merge that includes the oldest segment: anywhere else a dropped row could bring back an older one
//! of the same key. Over `max_prefixes` the ranking by the longest half-life decides, because it forgets last.

use crate::{Order, Row, Scope, StorageError, View};
use prefix_indexer_models::{PrefixKey, Rank};
use std::cmp::Ordering;

/// What to keep. The default keeps everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Retention {
    /// Prefixes used within this time before the newest event of the index.
    pub(crate) retain_ms: Option<u64>,
    /// At most so many prefixes.
    pub(crate) max_prefixes: Option<u64>,
}

impl Retention {
    /// What that means for a view. Reads the ranking down to `max_prefixes`, where there are more.
    ///
    /// # Errors
    /// Those of reading the view.
    pub(crate) fn limits(&self, view: &View) -> Result<Limits, StorageError> {
        let oldest_ms = self.retain_ms.map_or(0, |retain_ms| view.newest_ms().saturating_sub(retain_ms));
        let rung = view.spec().ladder.len() - 1;
        let mut first_out = None;
        if let Some(max) = self.max_prefixes.filter(|&max| max < view.len()) {
            let mut kept = view
                .ranked(Scope::default(), Order::Rung(rung))
                .filter(|row| row.as_ref().map_or(true, |row| row.last_seen_ms() >= oldest_ms));
            // The first that goes, or none where age leaves fewer.
            if let Some(row) = kept.nth(usize::try_from(max).unwrap_or(usize::MAX)) {
                let row = row?;
                first_out = Some((row.rank(rung), row.key()));
            }
        }
        Ok(Limits { oldest_ms, rung, first_out })
    }
}

/// Which rows stay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    oldest_ms: u64,
    rung: usize,
    /// The first in the ranking that goes; all after it go too.
    first_out: Option<(Rank, PrefixKey)>,
}

impl Limits {
    pub(crate) fn keeps(&self, row: &Row<'_>) -> bool {
        row.last_seen_ms() >= self.oldest_ms
            && self.first_out.is_none_or(|out| Rank::order((row.rank(self.rung), row.key()), out) == Ordering::Less)
    }
}
