//! How often a prefix is used within a window, when the first use makes the next more likely.
//!
//! After its first use in the window a prefix is in another class, at age 0, with the rest of the window before it. So the
//! expected number of uses is a renewal equation: m(class, window) = sum over the ages of the first use of its probability x
//! (1 + m(the class after it, what is left of the window)). It is solved for ever longer windows, a bin at a time.

use super::{
    ages::{self, AGE_BINS},
    classes::{self, CLASSES, GAP_CLASSES, USE_CLASSES, Waiting},
    model::ReuseModel,
};

/// Expected numbers of uses within windows of one length.
#[derive(Debug)]
pub struct Expectations<'a> {
    model: &'a ReuseModel,
    window: f64,
    /// For each class, the expected uses from age 0 until the edge of each bin up to the window.
    fresh: Vec<[f64; AGE_BINS + 1]>,
}

impl<'a> Expectations<'a> {
    pub(super) fn new(model: &'a ReuseModel, window_ms: u64) -> Expectations<'a> {
        let window = ages::exact_ticks(window_ms).min(ages::edge(AGE_BINS) as f64);
        let mut expectations = Expectations { model, window, fresh: vec![[0.0; AGE_BINS + 1]; CLASSES] };
        for edge in 1..=(ages::bin(window as u64) + 1).min(AGE_BINS) {
            for class in 0..CLASSES {
                let uses = expectations.uses(class, 0.0, ages::edge(edge) as f64, edge - 1);
                expectations.fresh[class][edge] = uses;
            }
        }
        expectations
    }

    /// Uses expected of a prefix in the window after `now_ms`; at least the probability of one. Below a microsecond for
    /// windows of minutes.
    pub fn of(&self, prefix: &Waiting, now_ms: u64) -> f64 {
        let age = ages::exact_ticks(now_ms.saturating_sub(prefix.last_use_ms));
        self.uses(prefix.class(), age, self.window, AGE_BINS)
    }

    /// Uses between an age and a window later; what follows the first use is looked up among the edges up to `known`.
    fn uses(&self, class: usize, age: f64, window: f64, known: usize) -> f64 {
        let Some(hazard) = self.model.hazards.get(class) else { return 0.0 };
        let (mut expected, mut alive, mut from) = (0.0, 1.0, age);
        let end = age + window;
        while from < end {
            let bin = ages::bin(from as u64);
            let to = if bin + 1 == AGE_BINS { end } else { end.min(ages::edge(bin + 1) as f64) };
            if to <= from {
                break;
            }
            let used = alive * -(hazard.at(from) - hazard.at(to)).exp_m1();
            alive -= used;
            let left = end - (from + to) / 2.0;
            let gap_ms = ages::middle_ms(bin) as u64;
            expected += used * (1.0 + self.after(class, gap_ms, left, known));
            from = to;
        }
        expected
    }

    /// Uses within `left` ticks after a use that ended a wait of this class.
    fn after(&self, class: usize, gap_ms: u64, left: f64, known: usize) -> f64 {
        let (uses, gap) = (class / GAP_CLASSES, classes::gap_class(Some(gap_ms)));
        let stays = self.model.stays[uses];
        let next = (uses + 1).min(USE_CLASSES - 1);
        let same = stays * self.fresh(classes::class(uses, gap), left, known);
        same + (1.0 - stays) * self.fresh(classes::class(next, gap), left, known)
    }

    /// Uses within the first ticks after a use; linear between edges, and proportional to time beyond the last one known.
    fn fresh(&self, class: usize, window: f64, known: usize) -> f64 {
        let Some(fresh) = self.fresh.get(class) else { return 0.0 };
        let bin = ages::bin(window as u64);
        if bin + 1 > known {
            let edge = known.min(AGE_BINS);
            return if edge == 0 { 0.0 } else { fresh[edge] * window / ages::edge(edge) as f64 };
        }
        let (from, to) = (ages::edge(bin) as f64, ages::edge(bin + 1) as f64);
        fresh[bin] + (fresh[bin + 1] - fresh[bin]) * (window - from) / (to - from)
    }
}
