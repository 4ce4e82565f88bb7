//! What to schedule of what was predicted: a pure decision, which a scheduler acts on.

use serde::{Deserialize, Serialize};

/// What a scheduler lets through.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScheduleLimits {
    /// Predictions below this probability are refused. Default 0.3.
    pub min_probability: f64,
    /// At most so many a round. Default 10.
    pub max_per_round: usize,
    /// From this share of the cache's budget on nothing more is let in. Default 0.8.
    pub space_threshold: f64,
}

impl Default for ScheduleLimits {
    fn default() -> ScheduleLimits {
        ScheduleLimits { min_probability: 0.3, max_per_round: 10, space_threshold: 0.8 }
    }
}

/// Something that may be wanted soon.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction<T> {
    /// What.
    pub what: T,
    /// How probable it is, 0 to 1.
    pub probability: f64,
    /// Bytes it takes; 0 where nobody knows.
    pub bytes: u64,
}

/// How full a cache is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheRoom {
    /// Bytes in use.
    pub used: u64,
    /// The budget; `None`: no end to it.
    pub budget: Option<u64>,
}

/// Why predictions were not scheduled, each refused one counted once, by the first reason that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct RefusedPredictions {
    /// Not probable enough.
    pub improbable: u64,
    /// In the cache already.
    pub cached: u64,
    /// The round is full.
    pub round_full: u64,
    /// The cache has no room for it.
    pub no_room: u64,
}

/// The predictions to act on, most probable first (equally probable ones in the order given), and why the others are left out.
///
/// Sorts the predictions: O(n log n). `is_cached` is asked only about those that are probable enough.
pub fn prefetch_candidates<'p, T>(
    predictions: &'p [Prediction<T>],
    limits: &ScheduleLimits,
    room: CacheRoom,
    is_cached: impl Fn(&T) -> bool,
) -> (Vec<&'p Prediction<T>>, RefusedPredictions) {
    let mut refused = RefusedPredictions::default();
    let mut order: Vec<&Prediction<T>> = predictions.iter().collect();
    order.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    let limit = room.budget.map_or(f64::INFINITY, |budget| budget as f64 * limits.space_threshold);
    let (mut chosen, mut used) = (Vec::new(), room.used as f64);
    for prediction in order {
        // One that is no number is not probable either.
        if prediction.probability < limits.min_probability || prediction.probability.is_nan() {
            refused.improbable += 1;
        } else if is_cached(&prediction.what) {
            refused.cached += 1;
        } else if chosen.len() >= limits.max_per_round {
            refused.round_full += 1;
        } else if used >= limit || used + prediction.bytes as f64 > limit {
            refused.no_room += 1;
        } else {
            used += prediction.bytes as f64;
            chosen.push(prediction);
        }
    }
    (chosen, refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDLESS: CacheRoom = CacheRoom { used: 0, budget: None };

    fn check(predictions: &[(&'static str, f64, u64)], room: CacheRoom, expect: &[&str], refused: RefusedPredictions) {
        let predictions: Vec<_> =
            predictions.iter().map(|&(what, probability, bytes)| Prediction { what, probability, bytes }).collect();
        let limits = ScheduleLimits { max_per_round: 3, ..ScheduleLimits::default() };
        let (chosen, found) = prefetch_candidates(&predictions, &limits, room, |what| what.starts_with("cached"));
        assert_eq!(chosen.iter().map(|prediction| prediction.what).collect::<Vec<_>>(), expect);
        assert_eq!(found, refused);
    }

    #[test]
    fn defaults() {
        let limits = ScheduleLimits::default();
        assert_eq!((limits.min_probability, limits.max_per_round, limits.space_threshold), (0.3, 10, 0.8));
    }

    #[test]
    fn the_most_probable_that_are_not_cached_are_chosen() {
        check(
            &[
                ("d", 0.3, 0),
                ("a", 0.9, 0),
                ("cached", 0.8, 0),
                ("low", 0.29, 0),
                ("b", 0.5, 0),
                ("c", 0.5, 0),
                ("nan", f64::NAN, 0),
            ],
            ENDLESS,
            &["a", "b", "c"],
            RefusedPredictions { improbable: 2, cached: 1, round_full: 1, no_room: 0 },
        );
    }

    #[test]
    fn nothing_goes_in_beyond_the_threshold() {
        let room = CacheRoom { used: 60, budget: Some(100) };
        check(
            &[("a", 0.9, 15), ("b", 0.8, 10), ("c", 0.7, 5)],
            room,
            &["a", "c"],
            RefusedPredictions { no_room: 1, ..Default::default() },
        );
        let full = CacheRoom { used: 80, budget: Some(100) };
        check(&[("a", 0.9, 0)], full, &[], RefusedPredictions { no_room: 1, ..Default::default() });
    }
}
