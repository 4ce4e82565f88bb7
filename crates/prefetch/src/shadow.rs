//! What prefetching would have gained, had it been on: plans that nobody executed, matched against the events that followed.
//!
//! Pure: times are arguments, in milliseconds of events.

use crate::BlockUse;
use prefix_indexer_models::PrefixKey;
use serde::Serialize;
use std::{collections::HashMap, fmt};

/// How long after it would have been loaded a use of a block counts. As long as the default time to live.
pub const DEFAULT_HORIZON_MS: u64 = 3_600_000;

/// Blocks of which it must be known whether they were used before there is a verdict.
const ENOUGH: u64 = 100;
/// From this share of used blocks on, prefetching is worth its bytes.
const GO_PRECISION: f64 = 0.3;

/// Plans that were only made, and what became of them.
#[derive(Debug, Clone)]
pub struct Shadow {
    horizon_ms: u64,
    waiting: HashMap<PrefixKey, Planned>,
    report: ShadowReport,
}

#[derive(Debug, Clone, Copy)]
struct Planned {
    at_ms: u64,
    bytes: u64,
}

/// What prefetching would have gained so far.
///
/// `planned = used + wasted + evicted + waiting`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct ShadowReport {
    /// Blocks that would have been loaded.
    pub planned: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Of them, blocks that were used within the horizon.
    pub used: u64,
    /// Of them, blocks that were not.
    pub wasted: u64,
    /// Of them, blocks that had left the tier again before anything used them; in a dry run none.
    pub evicted: u64,
    /// Bytes that were, or would have been, moved in vain: of what was wasted or evicted.
    pub wasted_bytes: u64,
    /// Of them, blocks of which it is too early to say.
    pub waiting: u64,
    /// Blocks that came back although nobody had them at hand: what could have been gained.
    pub came_back: u64,
    /// Of them, blocks that had not been loaded, or not yet.
    pub late: u64,
    /// Milliseconds that having the used blocks would have saved.
    pub saved_ms: f64,
}

impl Shadow {
    /// Nothing planned yet. Uses count for `horizon_ms` after a plan.
    pub fn new(horizon_ms: u64) -> Shadow {
        Shadow { horizon_ms, waiting: HashMap::new(), report: ShadowReport::default() }
    }

    /// A block would have been loaded now.
    pub fn plan(&mut self, key: PrefixKey, bytes: u64, now_ms: u64) {
        if self.waiting.insert(key, Planned { at_ms: now_ms, bytes }).is_none() {
            self.report.planned += 1;
            self.report.bytes += bytes;
        }
    }

    /// A block was used. `was_resident` says whether it was there anyway: then nothing could have been gained.
    pub fn used(&mut self, block: &BlockUse, was_resident: bool) {
        let planned = self.waiting.get(&block.key).copied();
        // A use before the plan is why it was planned, and none of its merit.
        if let Some(planned) = planned.filter(|planned| block.at_ms > planned.at_ms) {
            self.waiting.remove(&block.key);
            if block.at_ms - planned.at_ms <= self.horizon_ms {
                self.report.came_back += 1;
                self.report.used += 1;
                self.report.saved_ms += block.latency_ms;
            } else {
                self.waste(&planned);
                self.report.came_back += 1;
            }
        } else if planned.is_none() && !was_resident {
            self.report.came_back += 1;
            self.report.late += 1;
        }
    }

    /// A block that was loaded is not there any more. Whether it was one that waits for its first use.
    pub fn evicted(&mut self, key: &PrefixKey) -> bool {
        let Some(planned) = self.waiting.remove(key) else { return false };
        self.report.evicted += 1;
        self.report.wasted_bytes += planned.bytes;
        true
    }

    /// Whether a block was loaded, and nothing has become of it yet.
    pub fn is_waiting(&self, key: &PrefixKey) -> bool {
        self.waiting.contains_key(key)
    }

    /// Gives up on plans whose horizon has passed.
    pub fn settle(&mut self, now_ms: u64) {
        let horizon_ms = self.horizon_ms;
        let mut late = Vec::new();
        self.waiting.retain(|_, planned| {
            let is_waiting = now_ms.saturating_sub(planned.at_ms) <= horizon_ms;
            if !is_waiting {
                late.push(*planned);
            }
            is_waiting
        });
        late.iter().for_each(|planned| self.waste(planned));
    }

    fn waste(&mut self, planned: &Planned) {
        self.report.wasted += 1;
        self.report.wasted_bytes += planned.bytes;
    }

    /// What it comes to so far.
    pub fn report(&self) -> ShadowReport {
        ShadowReport { waiting: self.waiting.len() as u64, ..self.report }
    }
}

impl ShadowReport {
    /// Of the blocks of which it is known, the share that was used; none before the first.
    pub fn precision(&self) -> Option<f64> {
        share(self.used, self.decided())
    }

    /// Blocks of which it is known what became of them.
    fn decided(&self) -> u64 {
        self.used + self.wasted + self.evicted
    }

    /// Of the blocks that came back, the share that would have been there; none before the first.
    pub fn coverage(&self) -> Option<f64> {
        share(self.used, self.came_back)
    }

    /// Whether to switch prefetching on; none as long as too little is known.
    pub fn go(&self) -> Option<bool> {
        let precision = self.precision().filter(|_| self.decided() >= ENOUGH)?;
        Some(precision >= GO_PRECISION)
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The line for the operator.
impl fmt::Display for ShadowReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{:.1} %", share * 100.0));
        f.write_str(match self.go() {
            Some(true) => "GO: ",
            Some(false) => "NO-GO: ",
            None => "too early to say: ",
        })?;
        write!(
            f,
            "of {} blocks ({} bytes) {} were used, {} were not, {} may yet be; precision {}, coverage {}, {:.0} ms saved, {} bytes in vain",
            self.planned,
            self.bytes,
            self.used,
            self.wasted + self.evicted,
            self.waiting,
            percent(self.precision()),
            percent(self.coverage()),
            self.saved_ms,
            self.wasted_bytes,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> PrefixKey {
        PrefixKey([number; 16])
    }

    fn block(number: u8, at_ms: u64) -> BlockUse {
        BlockUse { key: key(number), at_ms, first_ms: 0, latency_ms: 20.0 }
    }

    #[test]
    fn uses_within_the_horizon_are_gains() {
        let mut shadow = Shadow::new(100);
        (1..=4).for_each(|number| shadow.plan(key(number), 10, 1_000));
        shadow.used(&block(1, 1_050), false);
        shadow.used(&block(2, 1_101), false);
        shadow.used(&block(3, 1_000), false);
        shadow.used(&block(9, 1_050), false);
        shadow.used(&block(8, 1_050), true);
        shadow.settle(1_100);
        let report = shadow.report();
        assert_eq!((report.planned, report.used, report.wasted, report.waiting), (4, 1, 1, 2));
        assert_eq!((report.came_back, report.saved_ms, report.wasted_bytes), (3, 20.0, 10));
        assert_eq!(report.late, 1, "9 was wanted and had not been loaded");
        shadow.settle(1_101);
        let report = shadow.report();
        assert_eq!((report.wasted, report.waiting), (3, 0));
        assert_eq!((report.precision(), report.coverage()), (Some(0.25), Some(1.0 / 3.0)));
    }

    #[test]
    fn what_leaves_before_it_is_used_is_in_vain_and_no_waste_beside() {
        let mut shadow = Shadow::new(100);
        (1..=3).for_each(|number| shadow.plan(key(number), 10, 1_000));
        shadow.used(&block(1, 1_050), false);
        assert_eq!([1, 2, 9].map(|number| shadow.evicted(&key(number))), [false, true, false]);
        assert_eq!([1, 2, 3].map(|number| shadow.is_waiting(&key(number))), [false, false, true]);
        shadow.settle(2_000);
        // It is wanted after all.
        shadow.used(&block(2, 1_060), false);
        let report = shadow.report();
        assert_eq!((report.planned, report.used, report.evicted, report.wasted, report.waiting), (3, 1, 1, 1, 0));
        assert_eq!((report.wasted_bytes, report.late, report.precision()), (20, 1, Some(1.0 / 3.0)));
    }

    #[test]
    fn a_block_is_planned_once_until_it_is_settled() {
        let mut shadow = Shadow::new(100);
        shadow.plan(key(1), 10, 0);
        shadow.plan(key(1), 10, 50);
        assert_eq!((shadow.report().planned, shadow.report().bytes), (1, 10));
    }

    #[test]
    fn the_line_says_go_or_no_go_once_enough_is_known() {
        let check = |used: u8, wasted: u8, expect: &str| {
            let mut shadow = Shadow::new(100);
            (0..used + wasted).for_each(|number| shadow.plan(key(number), 1, 0));
            (0..used).for_each(|number| shadow.used(&block(number, 10), false));
            shadow.settle(1_000);
            let line = shadow.report().to_string();
            assert!(line.starts_with(expect), "{line}");
        };
        check(0, 0, "too early to say: of 0 blocks");
        check(50, 49, "too early to say");
        check(30, 70, "GO: of 100 blocks (100 bytes) 30 were used, 70 were not, 0 may yet be; precision 30.0 %");
        check(29, 71, "NO-GO");
    }
}
