//! How current an index is.

use serde::{Deserialize, Serialize};

/// How far the newest event lies back, and how much of the index is in use.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Freshness {
    /// Age of the newest event in milliseconds; none without events. A `now` before the newest event is raised to it, so
    /// the age is 0 then.
    pub age_ms: Option<u64>,
    /// Share of the prefixes, 0 to 1, whose last use is at most one half-life before `now`; 0 without prefixes.
    pub active_share: f64,
}

impl Freshness {
    /// From counts: `newest_ms` is the time of the newest event, `active` of the `prefixes` were last used at
    /// [`active_since`](Self::active_since) or later. For callers that keep last uses in order and need not look at all.
    pub fn new(newest_ms: Option<u64>, now_ms: u64, active: u64, prefixes: u64) -> Freshness {
        let age_ms = newest_ms.map(|newest_ms| now_ms.saturating_sub(newest_ms));
        let active_share = if prefixes == 0 { 0.0 } else { active.min(prefixes) as f64 / prefixes as f64 };
        Freshness { age_ms, active_share }
    }

    /// The oldest last use that counts as active.
    pub fn active_since(newest_ms: Option<u64>, now_ms: u64, half_life_ms: u64) -> u64 {
        now_ms.max(newest_ms.unwrap_or(0)).saturating_sub(half_life_ms)
    }

    /// From the time of last use of every prefix, in any order. Looks at each twice.
    ///
    /// ```
    /// use prefix_indexer_analytics::Freshness;
    /// let freshness = Freshness::measure([9_000, 5_000, 4_999, 0].into_iter(), 10_000, 5_000);
    /// assert_eq!(freshness, Freshness { age_ms: Some(1_000), active_share: 0.5 });
    /// ```
    pub fn measure(last_seen_ms: impl Iterator<Item = u64> + Clone, now_ms: u64, half_life_ms: u64) -> Freshness {
        let newest_ms = last_seen_ms.clone().max();
        let since = Freshness::active_since(newest_ms, now_ms, half_life_ms);
        let (mut active, mut prefixes) = (0, 0);
        for last_seen_ms in last_seen_ms {
            active += u64::from(last_seen_ms >= since);
            prefixes += 1;
        }
        Freshness::new(newest_ms, now_ms, active, prefixes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures() {
        let check = |last_seen: &[u64], now_ms, half_life_ms, age_ms, active_share| {
            let freshness = Freshness::measure(last_seen.iter().copied(), now_ms, half_life_ms);
            assert_eq!(freshness, Freshness { age_ms, active_share }, "{last_seen:?} at {now_ms}");
        };
        check(&[], 1_000, 100, None, 0.0);
        check(&[900], 1_000, 100, Some(100), 1.0);
        check(&[899], 1_000, 100, Some(101), 0.0);
        check(&[0, 1_000], 1_000, 2_000, Some(0), 1.0);
        // An old trace is as fresh as it was when it ended.
        check(&[500, 100, 401, 400], 0, 100, Some(0), 0.75);
        check(&[u64::MAX, 0], u64::MAX, 0, Some(0), 0.5);
    }

    #[test]
    fn counts_are_bounded() {
        assert_eq!(Freshness::new(Some(1), 2, 5, 4).active_share, 1.0);
        assert_eq!(Freshness::new(None, 2, 5, 0), Freshness { age_ms: None, active_share: 0.0 });
    }
}
