//! The keys in most use.

use super::{HOUR_MS, next_use_ms, per_hour, uses_per_hour};
use prefix_indexer_models::Tally;
use serde::{Deserialize, Serialize};

/// Spans shorter than this count as this long when keys are ranked: two uses within a second are not 7,200 an hour.
const LEAST_SPAN_MS: u64 = 60_000;

/// A key and how it is used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HotKey<K> {
    /// Which.
    pub key: K,
    /// What it is ranked by: uses an hour, less by a factor e for each hour since the last use.
    pub heat: f64,
    /// Uses an hour over the recorded span.
    pub uses_per_hour: f64,
    /// When the next use is to be expected; see [`next_use_ms`].
    pub next_use_ms: Option<u64>,
}

/// Uses an hour, less by a factor e for each hour since the last use. A last use after `now_ms` has no age.
pub(crate) fn heat(tally: &Tally, now_ms: u64) -> f64 {
    let age_hours = now_ms.saturating_sub(tally.last_seen_ms) as f64 / HOUR_MS;
    per_hour(tally, LEAST_SPAN_MS) * (-age_hours).exp()
}

/// The `count` hottest keys, hottest first; ties go to the smaller key. Looks at each row once; memory for `count` keys.
pub fn top_hot<'a, K: Ord>(
    rows: impl IntoIterator<Item = (K, &'a Tally)>,
    now_ms: u64,
    count: usize,
) -> Vec<HotKey<K>> {
    let rows = rows.into_iter().map(|(key, tally)| (heat(tally, now_ms), key, tally));
    let best = best(rows, count, |a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let hot = best.into_iter().map(|(heat, key, tally)| HotKey {
        key,
        heat,
        uses_per_hour: uses_per_hour(tally),
        next_use_ms: next_use_ms(tally),
    });
    hot.collect()
}

/// The first `count` items of an order, in order, in linear time.
fn best<T>(items: impl Iterator<Item = T>, count: usize, order: impl Fn(&T, &T) -> std::cmp::Ordering) -> Vec<T> {
    let mut kept = Vec::new();
    let room = count.saturating_mul(2).max(64);
    for item in items {
        kept.push(item);
        if kept.len() >= room {
            kept.select_nth_unstable_by(count, &order);
            kept.truncate(count);
        }
    }
    kept.sort_unstable_by(&order);
    kept.truncate(count);
    kept
}
