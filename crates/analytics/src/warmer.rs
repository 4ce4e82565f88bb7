//! Warming a cache from nothing but keys, sizes and times of access.
//!
//! For caches that know no prefixes and no KV events: whatever has a key, a size and a time can be recorded, and
//! [`CacheWarmer::plan`] says what to load before it is asked for.

use crate::{
    AccessPattern, HotKey,
    patterns::{heat, top_hot},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a [`CacheWarmer`] plans for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WarmerConfig {
    /// How far ahead to look, in milliseconds: keys due within this time are planned. 300,000 unless set.
    pub look_ahead_ms: u64,
    /// Keys with fewer accesses an hour are not planned. 1.0 unless set.
    pub least_per_hour: f64,
    /// Most keys to remember; beyond it the coldest are forgotten. 100,000 unless set.
    pub max_keys: usize,
}

impl Default for WarmerConfig {
    fn default() -> WarmerConfig {
        WarmerConfig { look_ahead_ms: 300_000, least_per_hour: 1.0, max_keys: 100_000 }
    }
}

/// One key to load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WarmEntry<K> {
    /// Which.
    pub key: K,
    /// Its size at the newest access, in bytes.
    pub bytes: u64,
    /// Accesses an hour x exp(-hours since the last) / (1 + size in KiB).
    pub score: f64,
    /// When the next access is due, in milliseconds; see [`AccessPattern::due_ms`].
    pub due_ms: u64,
}

/// What to load, best first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WarmPlan<K> {
    /// In the order of loading.
    pub entries: Vec<WarmEntry<K>>,
    /// Sum of the entries' bytes.
    pub estimated_bytes: u64,
    /// Share, 0 to 1, of the accesses expected within the look-ahead that the plan turns into hits.
    pub estimated_hit_improvement: f64,
}

/// Learns how keys are accessed and plans what to load.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheWarmer<K> {
    config: WarmerConfig,
    patterns: BTreeMap<K, AccessPattern>,
    newest_ms: u64,
}

impl<K: Ord + Clone> Default for CacheWarmer<K> {
    fn default() -> CacheWarmer<K> {
        CacheWarmer::new(WarmerConfig::default())
    }
}

impl<K: Ord + Clone> CacheWarmer<K> {
    /// A warmer that knows no key.
    pub fn new(config: WarmerConfig) -> CacheWarmer<K> {
        CacheWarmer { config, patterns: BTreeMap::new(), newest_ms: 0 }
    }

    /// Counts an access. Logarithmic in the number of keys, and linear once in `max_keys` / 8 new keys.
    pub fn record_access(&mut self, key: K, size_bytes: u64, time_ms: u64) {
        self.newest_ms = self.newest_ms.max(time_ms);
        self.patterns.entry(key).or_default().record(time_ms, size_bytes);
        if self.patterns.len() > self.config.max_keys {
            self.forget_coldest();
        }
    }

    /// Forgets an eighth of the keys: those used longest ago, and of these those used least.
    fn forget_coldest(&mut self) {
        let keep = self.config.max_keys - self.config.max_keys / 8;
        let mut order: Vec<_> = self
            .patterns
            .iter()
            .map(|(key, pattern)| (pattern.tally().last_seen_ms, pattern.tally().hit_count, key.clone()))
            .collect();
        order.sort_unstable();
        for (_, _, key) in order.drain(..order.len() - keep) {
            self.patterns.remove(&key);
        }
    }

    /// What is known of a key.
    pub fn pattern(&self, key: &K) -> Option<&AccessPattern> {
        self.patterns.get(key)
    }

    /// Number of keys known.
    pub fn len(&self) -> usize {
        self.patterns.len()
    }

    /// Whether no key is known.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The keys in most use as of the newest access recorded, hottest first.
    pub fn top_hot_keys(&self, count: usize) -> Vec<HotKey<K>> {
        let rows = self.patterns.iter().map(|(key, pattern)| (key, pattern.tally()));
        let hot = top_hot(rows, self.newest_ms, count).into_iter();
        hot.map(|HotKey { key, heat, uses_per_hour, next_use_ms }| HotKey {
            key: key.clone(),
            heat,
            uses_per_hour,
            next_use_ms,
        })
        .collect()
    }

    /// What to load at `now_ms` within `available_bytes`: keys accessed often enough whose next access is due within
    /// the look-ahead, in descending score; one that does not fit is skipped. Ties go to the smaller key. A `now_ms` before the newest
    /// access recorded is raised to it.
    ///
    /// `resident` keys are left out; their accesses count among those expected, but not as won.
    pub fn plan(&self, now_ms: u64, available_bytes: u64, resident: impl Fn(&K) -> bool) -> WarmPlan<K> {
        let now_ms = now_ms.max(self.newest_ms);
        let mut expected_references = 0.0;
        let mut candidates = Vec::new();
        for (key, pattern) in &self.patterns {
            let expected = self.expected_accesses(pattern, now_ms);
            expected_references += expected;
            let frequent = pattern.uses_per_hour() >= self.config.least_per_hour;
            if frequent && pattern.tally().footprint_bytes <= available_bytes && !resident(key) {
                candidates.push((score(pattern, now_ms), key, pattern, expected));
            }
        }
        candidates.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));

        let (mut entries, mut estimated_bytes, mut expected_hits) = (Vec::new(), 0, 0.0);
        for (score, key, pattern, expected) in candidates {
            let bytes = pattern.tally().footprint_bytes;
            if bytes > available_bytes - estimated_bytes {
                continue;
            }
            // Looking for a period is the expensive part, so only keys that would be taken are asked when they are due.
            let due_ms =
                pattern.due_ms(now_ms).filter(|&due_ms| due_ms <= now_ms.saturating_add(self.config.look_ahead_ms));
            if let Some(due_ms) = due_ms {
                entries.push(WarmEntry { key: key.clone(), bytes, score, due_ms });
                estimated_bytes += bytes;
                expected_hits += expected;
            }
        }
        let estimated_hit_improvement =
            if expected_references > 0.0 { (expected_hits / expected_references).clamp(0.0, 1.0) } else { 0.0 };
        WarmPlan { entries, estimated_bytes, estimated_hit_improvement }
    }

    /// Accesses to expect within the look-ahead, at the mean rate since the first one.
    fn expected_accesses(&self, pattern: &AccessPattern, now_ms: u64) -> f64 {
        let tally = pattern.tally();
        let known_ms = now_ms.saturating_sub(tally.first_seen_ms).max(self.config.look_ahead_ms).max(1);
        tally.hit_count as f64 * self.config.look_ahead_ms as f64 / known_ms as f64
    }
}

fn score(pattern: &AccessPattern, now_ms: u64) -> f64 {
    let tally = pattern.tally();
    heat(tally, now_ms) / (1.0 + tally.footprint_bytes as f64 / 1024.0)
}
