//! What a use weighs at each half-life of a ladder: the arithmetic of folding, for all rungs at once.
//!
//! Events come roughly in the order of time, so the landmarks of one serve the next: a clock keeps them, and divides
//! only when time leaves their spans. Rungs lie side by side in pairs, which the compiler turns into vector instructions
//! that every 64-bit machine has.

use crate::{
    Ladder, MAX_RUNGS,
    exp2::{exp2_ratio, scale},
};
use std::ops::Range;

const PAIRS: usize = MAX_RUNGS / 2;

/// The weights at one moment, and what is needed to move to another: how sums over a [`Ladder`] are added to.
///
/// ```
/// use prefix_indexer_models::{Clock, Ladder};
/// let ladder: Ladder = "1m,5m".parse()?;
/// let mut clock = Clock::new(&ladder);
/// let mut sums = [0.0; 2];
/// clock.set(300_000);
/// clock.add(None, &mut sums, 1.0);
/// clock.set(600_000);
/// clock.add(Some(300_000), &mut sums, 1.0);
/// assert_eq!(ladder.score(1, 600_000, sums[1], 600_000), 1.5);
/// # Ok::<(), prefix_indexer_models::LadderError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Clock {
    rungs: usize,
    half_life: [[f64; 2]; PAIRS],
    /// 1 / half-life.
    per_ms: [[f64; 2]; PAIRS],
    /// From the landmark (start of the span that `now_ms` lies in) to the beginning of `same`.
    before_ms: [[f64; 2]; PAIRS],
    span_ms: [u64; MAX_RUNGS],
    half_lives_a_span: [i64; MAX_RUNGS],
    /// The times that have the same landmarks on every rung as `now_ms`.
    same: Range<u64>,
    now_ms: u64,
    unit: [[f64; 2]; PAIRS],
}

impl Clock {
    /// The weights of a ladder at time 0; to be [set](Self::set) first.
    pub fn new(ladder: &Ladder) -> Clock {
        let mut clock = Clock {
            rungs: ladder.len(),
            half_life: [[1.0; 2]; PAIRS],
            per_ms: [[1.0; 2]; PAIRS],
            before_ms: [[0.0; 2]; PAIRS],
            span_ms: [1; MAX_RUNGS],
            half_lives_a_span: [1; MAX_RUNGS],
            same: 0..0,
            now_ms: 0,
            unit: [[1.0; 2]; PAIRS],
        };
        for (rung, (half_life_ms, span_ms)) in ladder.spans_ms().enumerate() {
            let half_life = half_life_ms as f64;
            clock.half_life[rung / 2][rung % 2] = half_life;
            clock.per_ms[rung / 2][rung % 2] = 1.0 / half_life;
            clock.span_ms[rung] = span_ms;
            clock.half_lives_a_span[rung] = (span_ms / half_life_ms) as i64;
        }
        clock
    }

    /// Moves to `now_ms`, forwards or backwards.
    #[inline]
    pub fn set(&mut self, now_ms: u64) {
        if !self.same.contains(&now_ms) {
            self.enter_spans(now_ms);
        } else if self.now_ms == now_ms {
            return;
        }
        self.now_ms = now_ms;
        let within_ms = (now_ms - self.same.start) as i64 as f64; // signed: a single instruction
        for pair in 0..self.rungs.div_ceil(2).min(PAIRS) {
            let (half_life, per_ms, before_ms) = (self.half_life[pair], self.per_ms[pair], self.before_ms[pair]);
            self.unit[pair] = [
                exp2_ratio(before_ms[0] + within_ms, half_life[0], per_ms[0]),
                exp2_ratio(before_ms[1] + within_ms, half_life[1], per_ms[1]),
            ];
        }
    }

    #[cold]
    fn enter_spans(&mut self, now_ms: u64) {
        self.same = 0..u64::MAX;
        for span_ms in &self.span_ms[..self.rungs] {
            let start_ms = now_ms - now_ms % span_ms;
            self.same.start = self.same.start.max(start_ms);
            self.same.end = self.same.end.min(start_ms.saturating_add(*span_ms));
        }
        for (rung, span_ms) in self.span_ms.iter().enumerate().take(self.rungs) {
            self.before_ms[rung / 2][rung % 2] = (self.same.start % span_ms) as f64;
        }
    }

    /// Adds a use of `weight` now to the sums of a prefix last used at `last_ms`, none if this is its first use; its last
    /// use is then the later of the two.
    #[inline]
    pub fn add(&self, last_ms: Option<u64>, sums: &mut [f64], weight: f64) {
        match last_ms {
            Some(last_ms) if !self.same.contains(&last_ms) => self.add_across_spans(last_ms, sums, weight),
            _ => {
                for (sum, unit) in sums.iter_mut().zip(self.unit.as_flattened()) {
                    *sum += weight * unit;
                }
            }
        }
    }

    /// The moment it was set to, in milliseconds.
    #[inline]
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The decayed sums as of now of a prefix last used at `last_ms`, not after now: for each rung what [`Ladder::score`] says, to
    /// the last bit.
    #[inline]
    pub fn scores(&self, last_ms: u64, sums: &[f64]) -> [f64; MAX_RUNGS] {
        let mut scores = [0.0; MAX_RUNGS];
        for ((score, sum), unit) in scores.iter_mut().zip(sums).zip(self.unit.as_flattened()) {
            *score = sum / unit;
        }
        if !self.same.contains(&last_ms) {
            self.shifts(last_ms).zip(&mut scores).for_each(|(shift, score)| *score = scale(*score, -shift));
        }
        scores
    }

    /// Half-lives from the landmark of `last_ms` to that of now, rung by rung.
    #[inline]
    fn shifts(&self, last_ms: u64) -> impl Iterator<Item = i64> {
        let (mut span_ms, mut spans) = (0, 0);
        let rungs = self.span_ms.iter().zip(&self.half_lives_a_span).take(self.rungs);
        rungs.map(move |(&rung_ms, half_lives)| {
            if rung_ms != span_ms {
                span_ms = rung_ms;
                spans = (self.now_ms / span_ms) as i64 - (last_ms / span_ms) as i64;
            }
            spans * half_lives
        })
    }

    #[inline(never)]
    fn add_across_spans(&self, last_ms: u64, sums: &mut [f64], weight: f64) {
        for ((sum, shift), unit) in sums.iter_mut().zip(self.shifts(last_ms)).zip(self.unit.as_flattened()) {
            let added = weight * unit;
            *sum = if shift >= 0 { scale(*sum, -shift) + added } else { *sum + scale(added, shift) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MAX_INTEGER;

    /// The clock and a score agree to the last bit, forwards, backwards and across spans.
    #[test]
    fn a_use_at_now_scores_one_exactly() {
        for ladder in [Ladder::default(), Ladder::new(&[777, 30_000, 3_600_001]).unwrap(), Ladder::new(&[1]).unwrap()] {
            let mut clock = Clock::new(&ladder);
            let times = (0..129).map(|step| step * 777_777_777);
            for t in times.clone().chain(times.rev()).chain([0, 1, 21_599_999, 21_600_000, i64::MAX as u64, u64::MAX]) {
                clock.set(t);
                for (rung, unit) in clock.unit.as_flattened().iter().enumerate().take(ladder.len()) {
                    assert_eq!(ladder.score(rung, t, *unit, t), 1.0, "{ladder} at {t}");
                }
                let sums = [0.7, 1.0, 3e9, 1e-9, 5.0];
                for last_ms in [t, t.saturating_sub(1), t / 2, 0].map(|ms| ms.min(MAX_INTEGER)) {
                    clock.set(t.min(MAX_INTEGER));
                    let scores = clock.scores(last_ms, &sums[..ladder.len()]);
                    let expected = (0..ladder.len()).map(|rung| ladder.score(rung, last_ms, sums[rung], t));
                    assert!(expected.eq(scores[..ladder.len()].iter().copied()), "{ladder} at {t} from {last_ms}");
                }
            }
        }
    }
}
