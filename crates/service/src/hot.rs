//! The prefixes in most use, and when they are due again.

use crate::ServiceError;
use prefix_indexer_analytics::{known_period, top_hot};
use prefix_indexer_models::Tally;
use prefix_indexer_storage::{Order, Row, Scope, View};
use serde::Serialize;
use std::collections::BTreeMap;

/// Rows of each ranking that are looked at, at least.
const LEAST_ROWS: usize = 2_000;
/// Rows of each ranking that are looked at for each that is asked for.
const ROWS_FOR_ONE: usize = 20;

/// A prefix in much use. What an index does not keep enough to know is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HotPrefix {
    /// Names the prefix within tenant and model.
    pub prefix_id: String,
    /// Whose prefix it is.
    pub tenant: String,
    /// Of which model.
    pub model_id: String,
    /// Uses an hour from the first use to the last; 0 under two uses.
    pub uses_per_hour: f64,
    /// What it is ranked by: uses an hour, less by a factor e for each hour since the last use.
    pub heat: f64,
    /// Uses.
    pub hit_count: u64,
    /// Time of the newest use in milliseconds.
    pub last_seen_ms: u64,
    /// When the next use is to be expected: one smoothed gap after the last; before now when it is overdue.
    pub next_use_ms: Option<u64>,
    /// Time from one use to the next, where uses are known to be regular, in milliseconds.
    pub period_ms: Option<u64>,
    /// How regular, 0 to 1.
    pub period_strength: Option<f64>,
}

/// The `top_k` hottest prefixes of a scope as of `now_ms`, hottest first, and the time it is as of: `now_ms` raised to the newest
/// event's. They are looked for among the first of every ranking that the index keeps, 20 times as many as are asked for
/// and at least 2,000 of each.
///
/// # Errors
/// Those of reading the index.
pub fn hot_prefixes(
    view: &View,
    scope: Scope<'_>,
    now_ms: Option<u64>,
    top_k: usize,
) -> Result<(Vec<HotPrefix>, u64), ServiceError> {
    let now_ms = now_ms.unwrap_or(0).max(view.newest_ms());
    let mut rows: BTreeMap<_, (Row<'_>, Tally)> = BTreeMap::new();
    for order in (0..view.spec().ladder.len()).map(Order::Rung).chain([Order::Recency]) {
        for row in view.ranked(scope, order).take(top_k.saturating_mul(ROWS_FOR_ONE).max(LEAST_ROWS)) {
            let row = row?;
            rows.entry(row.key()).or_insert_with(|| (row, row.tally()));
        }
    }
    let found = top_hot(rows.iter().map(|(key, (_, tally))| (*key, tally)), now_ms, top_k);
    let hot = found.into_iter().filter_map(|hot| {
        let (row, tally) = rows.get(&hot.key)?;
        let period = known_period(tally);
        Some(HotPrefix {
            prefix_id: row.prefix_id().to_owned(),
            tenant: row.tenant().to_owned(),
            model_id: row.model_id().to_owned(),
            uses_per_hour: hot.uses_per_hour,
            heat: hot.heat,
            hit_count: tally.hit_count,
            last_seen_ms: tally.last_seen_ms,
            next_use_ms: hot.next_use_ms,
            period_ms: period.map(|period| period.period_ms),
            period_strength: period.map(|period| period.strength),
        })
    });
    Ok((hot.collect(), now_ms))
}
