//! What a forecast looks at: logarithms of what is known of a block, brought to the same scale.

use crate::policies::PrefixFacts;
use prefix_indexer_models::{Clock, MAX_RUNGS};
use serde::{Deserialize, Serialize};

/// Numbers that describe a block at a moment, each about from -3 to 3.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Features(pub(crate) [f32; COLUMNS]);

const AGE: usize = 1;
const USES: usize = 2;
const REUSE_HAZARD: usize = 3;
const HAS_GAP: usize = 4;
const GAP: usize = 5;
const SUMS: usize = 6;
const DIVERGENCE_HAZARD: usize = SUMS + MAX_RUNGS;
const AT_END: usize = DIVERGENCE_HAZARD + 1;
const BEFORE_END: usize = AT_END + 1;
const LEFT_BEHIND: usize = AT_END + 2;
const HAS_PACE: usize = AT_END + 3;
const PACE: usize = AT_END + 4;
/// Column 0 is 1.
pub(crate) const COLUMNS: usize = AT_END + 5;

/// Where each column is centred and how wide it is, as far as that follows from what it is: ages and gaps reach from a
/// second to some hours, hazards from 1e-5 to some units. Not fitted to any trace.
const CENTRES: [f32; COLUMNS] = {
    let mut centres = [0.0; COLUMNS];
    centres[AGE] = 5.0;
    centres[USES] = 1.0;
    centres[REUSE_HAZARD] = -4.0;
    centres[GAP] = 4.0;
    centres[DIVERGENCE_HAZARD] = -4.0;
    centres[PACE] = 2.5;
    let mut rung = 0;
    while rung < MAX_RUNGS {
        centres[SUMS + rung] = SUM_CENTRE;
        rung += 1;
    }
    centres
};
const WIDTHS: [f32; COLUMNS] = {
    let mut widths = [1.0; COLUMNS];
    widths[AGE] = 2.5;
    widths[REUSE_HAZARD] = 2.5;
    widths[GAP] = 2.0;
    widths[DIVERGENCE_HAZARD] = 2.5;
    let mut rung = 0;
    while rung < MAX_RUNGS {
        widths[SUMS + rung] = SUM_WIDTH;
        rung += 1;
    }
    widths
};
const SUM_CENTRE: f32 = -2.0;
const SUM_WIDTH: f32 = 3.0;

/// Beyond so many widths a feature says no more: what lies far out must not outweigh all else.
const LIMIT: f32 = 3.0;
/// Added to a decayed sum before its logarithm: below it a block is as good as forgotten.
const SUM_FLOOR: f64 = 1e-4;
/// Added to a hazard before its logarithm.
const HAZARD_FLOOR: f64 = 1e-5;

/// Columns that a row of an index has, over a ladder of so many rungs.
pub(crate) fn row_columns(rungs: usize) -> Vec<usize> {
    [0, AGE, USES, REUSE_HAZARD, HAS_GAP, GAP].into_iter().chain(sums(rungs)).collect()
}

/// The few columns that say most, where chains are known.
pub(crate) fn lean_columns(rungs: usize) -> Vec<usize> {
    [0, AGE, USES, REUSE_HAZARD, DIVERGENCE_HAZARD].into_iter().chain(sums(rungs)).collect()
}

/// All columns.
pub(crate) fn rich_columns(rungs: usize) -> Vec<usize> {
    row_columns(rungs).into_iter().chain(DIVERGENCE_HAZARD..COLUMNS).collect()
}

fn sums(rungs: usize) -> std::ops::Range<usize> {
    SUMS..SUMS + rungs.min(MAX_RUNGS)
}

/// Weights of a forecast that has learned nothing yet: odds proportional to the geometric mean of the decayed sums.
pub(crate) fn untaught_weights(columns: &[usize]) -> Vec<f64> {
    let is_sum = |column: usize| (SUMS..SUMS + MAX_RUNGS).contains(&column);
    let rungs = columns.iter().filter(|&&column| is_sum(column)).count().max(1) as f64;
    let weight = |&column: &usize| if is_sum(column) { f64::from(SUM_WIDTH) / rungs } else { 0.0 };
    columns.iter().map(weight).collect()
}

/// What the chain says of a block, beside its own uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Place {
    /// Hazard that the next requests go on from here or below.
    pub(crate) hazard: f64,
    /// Blocks to the end of the last request through it (0, 1, 2 for more), 3 for left behind.
    pub(crate) place: u8,
    /// How lively the conversation is: 0 unknown, then from 1 the slower, the higher.
    pub(crate) pace: u8,
}

impl Features {
    /// Of a block's own uses: what a row of an index knows. `hazard` is that of its life table within the horizon.
    pub(crate) fn of(facts: &PrefixFacts<'_>, now: &Clock, hazard: f64) -> Features {
        let mut values = [0.0_f32; COLUMNS];
        values[AGE] = ln_seconds(now.now_ms().saturating_sub(facts.last_seen_ms));
        values[USES] = (facts.uses.max(1) as f32).ln();
        values[REUSE_HAZARD] = ((hazard + HAZARD_FLOOR) as f32).ln();
        let gap = facts.waiting.last_gap_ms;
        values[HAS_GAP] = f32::from(u8::from(gap.is_some()));
        values[GAP] = gap.map_or(CENTRES[GAP], ln_seconds);
        for (value, score) in values[SUMS..].iter_mut().zip(scores(facts, now)).take(facts.sums.len()) {
            *value = ((score + SUM_FLOOR) as f32).ln();
        }
        values[DIVERGENCE_HAZARD] = CENTRES[DIVERGENCE_HAZARD];
        values[PACE] = CENTRES[PACE];
        for ((value, centre), width) in values.iter_mut().zip(CENTRES).zip(WIDTHS) {
            *value = ((*value - centre) / width).clamp(-LIMIT, LIMIT);
        }
        values[0] = 1.0;
        Features(values)
    }

    /// Adds what the chain says.
    pub(crate) fn placed(mut self, place: &Place) -> Features {
        let flag = |yes| f32::from(u8::from(yes));
        self.0[DIVERGENCE_HAZARD] = ((place.hazard + HAZARD_FLOOR) as f32).ln();
        self.scale(DIVERGENCE_HAZARD);
        self.0[AT_END] = flag(place.place == 0);
        self.0[BEFORE_END] = flag(place.place == 1);
        self.0[LEFT_BEHIND] = flag(place.place == 3);
        self.0[HAS_PACE] = flag(place.pace > 0);
        if place.pace > 0 {
            self.0[PACE] = f32::from(place.pace);
            self.scale(PACE);
        }
        self
    }

    fn scale(&mut self, column: usize) {
        let value = &mut self.0[column];
        *value = ((*value - CENTRES[column]) / WIDTHS[column]).clamp(-LIMIT, LIMIT);
    }
}

fn ln_seconds(ms: u64) -> f32 {
    (1.0 + ms as f32 / 1e3).ln()
}

/// The sum of the logarithms of the decayed sums: a formula that needs no training, to look where the likely blocks are.
pub(crate) fn popularity(facts: &PrefixFacts<'_>, now: &Clock) -> f64 {
    scores(facts, now).iter().take(facts.sums.len()).map(|score| score + SUM_FLOOR).product()
}

/// The decayed sums; of a use in the future (a clock that goes wrong) as of then.
#[inline]
pub(crate) fn scores(facts: &PrefixFacts<'_>, now: &Clock) -> [f64; MAX_RUNGS] {
    if facts.last_seen_ms <= now.now_ms() {
        return now.scores(facts.last_seen_ms, facts.sums);
    }
    let mut then = now.clone();
    then.set(facts.last_seen_ms);
    then.scores(facts.last_seen_ms, facts.sums)
}
