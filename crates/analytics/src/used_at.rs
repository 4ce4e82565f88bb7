//! Tallies for tests.

use prefix_indexer_models::Tally;

/// The tally of a prefix that was used once at each of these times.
pub(crate) fn used_at(times_ms: &[u64]) -> Tally {
    let one = |&time_ms: &u64| Tally { hit_count: 1, first_seen_ms: time_ms, last_seen_ms: time_ms, ..Tally::EMPTY };
    let mut tally = Tally::EMPTY;
    times_ms.iter().for_each(|time_ms| tally.merge(&one(time_ms)));
    tally
}
