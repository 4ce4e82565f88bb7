//! Adaptive control of a block prefetcher: windows of evidence in, settings out.

use crate::{Adaptive, AdaptiveConfig, AdaptiveStats, Evidence, PrefetchConfig, PrefetchError, Setting, ShadowReport};

/// How long evidence is gathered under one setting.
const WINDOW_MS: u64 = 60_000;
/// How long after it was fetched a use of a block counts for the controller: soon enough to learn from.
pub(crate) const FEEDBACK_HORIZON_MS: u64 = 300_000;

#[derive(Debug)]
pub(crate) struct Control {
    adaptive: Adaptive,
    began_ms: u64,
    before: ShadowReport,
    reported_before: Option<Evidence>,
}

impl Control {
    /// Control within the limits of the configuration, beginning with its settings. Without a limit of bytes, only the minimum
    /// probability is moved.
    pub(crate) fn new(config: &PrefetchConfig, now_ms: u64) -> Control {
        let most = config.fetch.max_bytes_per_second.map(|bytes| bytes as f64);
        let mut adaptive = AdaptiveConfig::below(most.unwrap_or(1.0));
        adaptive.start.min_probability = config.schedule.min_probability;
        if most.is_none() {
            adaptive.bytes_per_second = [1.0, 1.0];
        }
        let adaptive = Adaptive::new(adaptive);
        Control { adaptive, began_ms: now_ms, before: ShadowReport::default(), reported_before: None }
    }

    pub(crate) fn setting(&self) -> Setting {
        self.adaptive.setting()
    }

    pub(crate) fn stats(&self) -> AdaptiveStats {
        self.adaptive.stats()
    }

    /// The next setting, once a window has passed: from what was seen of what this prefetcher loaded, and what others `reported` to the
    /// index of blocks that came too late, or had to leave before they were used.
    pub(crate) fn turn(
        &mut self,
        report: ShadowReport,
        reported: impl FnOnce() -> Result<Evidence, PrefetchError>,
        now_ms: u64,
    ) -> Result<Option<Setting>, PrefetchError> {
        if now_ms.saturating_sub(self.began_ms) < WINDOW_MS {
            return Ok(None);
        }
        let reported = reported()?;
        // What was reported before this prefetcher ran is not of its making.
        let reported_before = self.reported_before.replace(reported).unwrap_or(reported);
        let before = std::mem::replace(&mut self.before, report);
        self.began_ms = now_ms;
        let evidence = Evidence {
            used: report.used - before.used,
            wasted: report.wasted - before.wasted,
            // Others may see more of it, and see the same.
            late: (report.late - before.late).max(reported.late.saturating_sub(reported_before.late)),
            evicted: (report.evicted - before.evicted).max(reported.evicted.saturating_sub(reported_before.evicted)),
            saved_ms: report.saved_ms - before.saved_ms,
            wasted_bytes: report.wasted_bytes - before.wasted_bytes,
        };
        let setting = self.adaptive.learn(&evidence);
        let stats = self.adaptive.stats();
        tracing::info!(
            min_probability = setting.min_probability,
            bytes_per_second = setting.bytes_per_second,
            value_ms = stats.value_ms,
            windows = stats.windows,
            explored = stats.explored,
            changes = stats.changes,
            "adaptive control"
        );
        Ok(Some(setting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FetchPolicy;

    /// In the first window everything is as it should be. In the second one many blocks are reported as evicted: the controller
    /// fetches more slowly, though this prefetcher's own blocks were all used.
    #[test]
    fn reports_are_evidence() {
        let fetch = FetchPolicy { max_bytes_per_second: Some(1 << 30), ..FetchPolicy::default() };
        let config = PrefetchConfig { adaptive: true, fetch, ..PrefetchConfig::default() };
        let rate = |evicted: u64| {
            let mut control = Control::new(&config, 0);
            let used = |used| ShadowReport { used, saved_ms: 10.0 * used as f64, ..ShadowReport::default() };
            let told = |evicted| move || Ok(Evidence { evicted, ..Evidence::default() });
            assert_eq!(control.turn(used(10), told(7), WINDOW_MS - 1).unwrap(), None);
            control.turn(used(100), told(7), WINDOW_MS).unwrap().unwrap();
            control.turn(used(200), told(7 + evicted), 2 * WINDOW_MS).unwrap().unwrap().bytes_per_second
        };
        assert!(rate(100) < rate(0), "{} {}", rate(100), rate(0));
    }
}
