//! Adaptive control of a block prefetcher: windows of evidence in, settings out.

use crate::{Adaptive, AdaptiveConfig, AdaptiveStats, Evidence, PrefetchConfig, Setting, ShadowReport};

/// How long evidence is gathered under one setting.
const WINDOW_MS: u64 = 60_000;
/// How long after it was fetched a use of a block counts for the controller: soon enough to learn from.
pub(crate) const FEEDBACK_HORIZON_MS: u64 = 300_000;

#[derive(Debug)]
pub(crate) struct Control {
    adaptive: Adaptive,
    began_ms: u64,
    before: ShadowReport,
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
        Control { adaptive: Adaptive::new(adaptive), began_ms: now_ms, before: ShadowReport::default() }
    }

    pub(crate) fn setting(&self) -> Setting {
        self.adaptive.setting()
    }

    pub(crate) fn stats(&self) -> AdaptiveStats {
        self.adaptive.stats()
    }

    /// The next setting, once a window has passed.
    pub(crate) fn turn(&mut self, report: ShadowReport, now_ms: u64) -> Option<Setting> {
        if now_ms.saturating_sub(self.began_ms) < WINDOW_MS {
            return None;
        }
        let before = std::mem::replace(&mut self.before, report);
        self.began_ms = now_ms;
        let evidence = Evidence {
            used: report.used - before.used,
            wasted: report.wasted - before.wasted,
            late: report.late - before.late,
            evicted: report.evicted - before.evicted,
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
        Some(setting)
    }
}
