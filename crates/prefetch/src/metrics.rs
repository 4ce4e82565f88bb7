//! What a pool of fetching threads counts.

use serde::Serialize;
use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Live counts, shared by the threads of a pool.
#[derive(Debug, Default)]
pub struct PrefetchMetrics {
    pub(crate) processed: AtomicU64,
    pub(crate) succeeded: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) retried: AtomicU64,
    pub(crate) expired: AtomicU64,
    pub(crate) resident: AtomicU64,
    pub(crate) missing: AtomicU64,
    pub(crate) cancelled: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) in_flight: AtomicU64,
    pub(crate) latency: Latencies,
}

/// The counts of a pool at a moment.
///
/// `processed = succeeded + failed + expired + skipped_resident + missing + cancelled`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct PrefetchStats {
    /// Requests that were taken and are done with, whatever became of them.
    pub processed: u64,
    /// Fetched and stored.
    pub succeeded: u64,
    /// Given up on.
    pub failed: u64,
    /// Further tries.
    pub retried: u64,
    /// Dropped because they had grown too old.
    pub expired: u64,
    /// Not fetched because they were there already.
    pub skipped_resident: u64,
    /// Not there where they were fetched from.
    pub missing: u64,
    /// Called off by a stop.
    pub cancelled: u64,
    /// Bytes of all values stored.
    pub bytes: u64,
    /// Requests that are under way.
    pub in_flight: u64,
    /// Half of the fetches took at most so many milliseconds (to 6 %). Waiting for rate limits does not count.
    pub latency_p50_ms: f64,
    /// 90 % did.
    pub latency_p90_ms: f64,
    /// 99 % did.
    pub latency_p99_ms: f64,
    /// Failures since the last success.
    pub consecutive_errors: u32,
    /// How long the pool leaves its source alone at a time; 0 while it does not.
    pub back_off_ms: u64,
}

impl PrefetchMetrics {
    pub(crate) fn stats(&self, consecutive_errors: u32, back_off: Duration) -> PrefetchStats {
        let get = |counter: &AtomicU64| counter.load(Relaxed);
        PrefetchStats {
            processed: get(&self.processed),
            succeeded: get(&self.succeeded),
            failed: get(&self.failed),
            retried: get(&self.retried),
            expired: get(&self.expired),
            skipped_resident: get(&self.resident),
            missing: get(&self.missing),
            cancelled: get(&self.cancelled),
            bytes: get(&self.bytes),
            in_flight: get(&self.in_flight),
            latency_p50_ms: self.latency.quantile_ms(0.5),
            latency_p90_ms: self.latency.quantile_ms(0.9),
            latency_p99_ms: self.latency.quantile_ms(0.99),
            consecutive_errors,
            back_off_ms: back_off.as_millis() as u64,
        }
    }
}

/// Sixteen buckets an octave of microseconds: a quantile is off by at most 6 %.
const PER_OCTAVE: u32 = 16;
const BUCKETS: usize = 40 * PER_OCTAVE as usize;

/// A histogram of times with logarithmic buckets, as HdrHistogram (Tene) has them.
#[derive(Debug)]
pub(crate) struct Latencies {
    buckets: Box<[AtomicU64]>,
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies { buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Latencies {
    pub(crate) fn observe(&self, took: Duration) {
        if let Some(bucket) = self.buckets.get(bucket(took.as_micros() as u64)) {
            bucket.fetch_add(1, Relaxed);
        }
    }

    /// The upper end of the bucket that holds the quantile; 0 without observations.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
        let wanted = (counts.iter().sum::<u64>() as f64 * quantile).ceil() as u64;
        let mut seen = 0;
        for (index, count) in counts.iter().enumerate() {
            seen += count;
            if wanted > 0 && seen >= wanted {
                return upper_micros(index) as f64 / 1e3;
            }
        }
        0.0
    }
}

/// Below 16 us each microsecond has its bucket; above, the four bits after the leading one count.
fn bucket(micros: u64) -> usize {
    if micros < u64::from(PER_OCTAVE) {
        return micros as usize;
    }
    let octave = micros.ilog2() - 4;
    let within = (micros >> octave) as u32 - PER_OCTAVE;
    (((octave + 1) * PER_OCTAVE + within) as usize).min(BUCKETS - 1)
}

fn upper_micros(bucket: usize) -> u64 {
    let (octave, within) = (bucket as u32 / PER_OCTAVE, u64::from(bucket as u32 % PER_OCTAVE));
    match octave {
        0 => within,
        _ => ((within + u64::from(PER_OCTAVE) + 1) << (octave - 1)) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_what_they_say() {
        for micros in (0..5_000).chain((10..39).map(|bit| 1 << bit)).chain([1_234_567, 99_999_999]) {
            let upper = upper_micros(bucket(micros));
            assert!(upper >= micros && upper as f64 <= micros as f64 * 1.0626, "{micros}: {upper}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_of_a_ramp() {
        let latencies = Latencies::default();
        assert_eq!(latencies.quantile_ms(0.5), 0.0);
        (1..=1000).for_each(|millis| latencies.observe(Duration::from_millis(millis)));
        for (quantile, expect) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = latencies.quantile_ms(quantile);
            assert!((expect..=expect * 1.07).contains(&found), "{quantile}: {found}");
        }
    }
}
