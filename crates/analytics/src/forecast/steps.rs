//! When to look, in the time of events, with no knowledge of the end.

use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// Steps before the time between them doubles; half as many an octave of time after that.
const MOST_STEPS: u64 = 512;
/// Time between the first steps, in milliseconds.
const FIRST_MS: u64 = 1_000;

/// The part of the uses so far that a step stands for, within bounds.
const SHARE_A_STEP: u64 = 64;

/// The clock of learning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Steps {
    /// When learning began; none before the first use.
    start_ms: Option<u64>,
    every_ms: u64,
    next_ms: u64,
    doubled: bool,
    uses: u64,
    step_uses: u64,
    plan_uses: u64,
    steps_since_plan: u32,
}

impl Default for Steps {
    fn default() -> Steps {
        Steps {
            start_ms: None,
            every_ms: FIRST_MS,
            next_ms: 0,
            doubled: false,
            uses: 0,
            step_uses: 0,
            plan_uses: 0,
            steps_since_plan: 0,
        }
    }
}

impl Steps {
    pub(super) fn is_due(&self, time_ms: u64) -> bool {
        time_ms >= self.next_ms
    }

    /// When the next step is due.
    pub(super) fn next_ms(&self) -> u64 {
        self.next_ms
    }

    #[inline]
    pub(super) fn count(&mut self, uses: u64) {
        self.uses += uses;
    }

    /// The time of the step that is due by `time_ms`, if there have been enough uses since the last one.
    pub(super) fn step(&mut self, time_ms: u64, uses_a_step: &RangeInclusive<u64>) -> Option<u64> {
        let Some(start_ms) = self.start_ms else {
            self.start_ms = Some(time_ms);
            self.next_ms = time_ms.saturating_add(self.every_ms);
            return None;
        };
        // The blocks are as they were at the time that the step was due: nothing has come since.
        let at_ms = self.next_ms;
        while time_ms.saturating_sub(start_ms) / self.every_ms >= MOST_STEPS {
            self.every_ms = self.every_ms.saturating_mul(2);
            self.doubled = true;
        }
        let missed = time_ms.saturating_sub(at_ms) / self.every_ms;
        self.next_ms = at_ms.saturating_add((missed + 1).saturating_mul(self.every_ms));
        let enough = (self.uses / SHARE_A_STEP).min(*uses_a_step.end()).max(*uses_a_step.start());
        if self.uses - self.step_uses < enough {
            return None;
        }
        self.step_uses = self.uses;
        self.steps_since_plan = self.steps_since_plan.saturating_add(1);
        Some(at_ms)
    }

    /// Whether the time between steps has become longer since this was last asked.
    pub(super) fn take_doubled(&mut self) -> bool {
        std::mem::take(&mut self.doubled)
    }

    /// Whether plans are to be frozen: after so many steps, and so many uses or as many as there had been before the last.
    pub(super) fn plan_is_due(&mut self, steps_a_plan: u32, uses_a_plan: f64) -> bool {
        let due = self.steps_since_plan >= steps_a_plan
            && (self.uses - self.plan_uses) as f64 >= uses_a_plan.min(self.plan_uses as f64);
        if due {
            self.steps_since_plan = 0;
            self.plan_uses = self.uses;
        }
        due
    }
}

/// Numbers that look random and are the same every time (Steele, Lea, Flood: SplitMix, 2014).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Random(u64);

impl Random {
    /// A number below `bound`, which is above 0.
    #[inline]
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        ((u128::from(mixed) * u128::from(bound)) >> 64) as u64
    }
}
