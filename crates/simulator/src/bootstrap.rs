//! How sure the shares of the clairvoyant gain are: moments drawn again, with replacement (Efron: Bootstrap methods, 1979).
//!
//! Neighbouring moments see some of the same requests, so the intervals are, if anything, too narrow.

use crate::{
    rng::Rng,
    scenarios::restart::{BEST, Summary},
};

/// Draws of the bootstrap.
const DRAWS: usize = 1_000;
/// Part of the draws left out at either end.
const TAIL: f64 = 0.025;

/// Hits by policy and cell, moment by moment.
#[derive(Debug, Clone)]
pub(crate) struct Samples {
    cells: usize,
    policies: usize,
    /// Moment after moment, policy after policy, cell after cell.
    hits: Vec<u64>,
}

impl Samples {
    pub(crate) fn new(policies: usize, cells: usize) -> Samples {
        Samples { cells, policies, hits: Vec::new() }
    }

    fn width(&self) -> usize {
        self.policies * self.cells
    }

    pub(crate) fn next_moment(&mut self) {
        self.hits.resize(self.hits.len() + self.width(), 0);
    }

    /// Adds hits of the current moment; `place` is the policy times the number of cells plus the cell.
    pub(crate) fn add(&mut self, place: usize, hits: u64) {
        let current = self.hits.len() - self.width();
        self.hits[current + place] += hits;
    }
}

/// Shares of the clairvoyant gain: as they came out, and in each draw.
#[derive(Debug, Clone)]
pub(crate) struct Draws {
    cells: usize,
    /// Policy after policy, cell after cell; none where nothing could be gained.
    measured: Vec<Option<f64>>,
    drawn: Vec<Vec<Option<f64>>>,
}

/// Draws moments and computes all shares. O(draws x moments x policies x cells).
pub(crate) fn draws(samples: &Samples, none: usize, clairvoyant: usize, seed: u64) -> Draws {
    let width = samples.width();
    let moments: Vec<&[u64]> = if width == 0 { Vec::new() } else { samples.hits.chunks_exact(width).collect() };
    let shares = |sums: &[u64]| -> Vec<Option<f64>> {
        let gain = |policy: usize, cell: usize| {
            sums[policy * samples.cells + cell] as f64 - sums[none * samples.cells + cell] as f64
        };
        let share = |place: usize| {
            let (policy, cell) = (place / samples.cells, place % samples.cells);
            let most = gain(clairvoyant, cell);
            (most != 0.0).then(|| gain(policy, cell) / most)
        };
        (0..width).map(share).collect()
    };
    let sum = |chosen: &mut dyn Iterator<Item = usize>| {
        let mut sums = vec![0; width];
        for moment in chosen {
            sums.iter_mut().zip(moments[moment]).for_each(|(sum, hits)| *sum += hits);
        }
        sums
    };
    let measured = shares(&sum(&mut (0..moments.len())));
    let mut rng = Rng::new(seed);
    let count = moments.len() as u64;
    let drawn = (0..if moments.is_empty() { 0 } else { DRAWS })
        .map(|_| shares(&sum(&mut (0..moments.len()).map(|_| rng.below(count) as usize))))
        .collect();
    Draws { cells: samples.cells, measured, drawn }
}

impl Draws {
    /// Share of the clairvoyant gain as measured.
    pub(crate) fn recovered(&self, policy: usize, cell: usize) -> Option<f64> {
        self.measured[policy * self.cells + cell]
    }

    /// Where the middle 95 % of its draws lie.
    pub(crate) fn interval(&self, policy: usize, cell: usize) -> (Option<f64>, Option<f64>) {
        interval(self.drawn.iter().filter_map(|draw| draw[policy * self.cells + cell]))
    }

    /// One policy over all cells, compared with the best of the `fixed` ones in each.
    pub(crate) fn summary(&self, name: &str, policy: usize, fixed: &[usize]) -> Summary {
        let own = |shares: &[Option<f64>], cell: usize| shares[policy * self.cells + cell];
        let gaps = (0..self.cells)
            .filter_map(|cell| Some(self.best(&self.measured, fixed, cell)? - own(&self.measured, cell)?));
        self.summarise(name, own, gaps.reduce(f64::max))
    }

    /// The best of the `fixed` policies of each cell, chosen when the outcome of all moments was known.
    pub(crate) fn summary_of_best(&self, fixed: &[usize]) -> Summary {
        self.summarise(BEST, |shares, cell| self.best(shares, fixed, cell), None)
    }

    fn best(&self, shares: &[Option<f64>], fixed: &[usize], cell: usize) -> Option<f64> {
        fixed.iter().filter_map(|policy| shares[policy * self.cells + cell]).reduce(f64::max)
    }

    fn summarise(
        &self,
        name: &str,
        share: impl Fn(&[Option<f64>], usize) -> Option<f64>,
        worst_gap: Option<f64>,
    ) -> Summary {
        let mean = |shares: &[Option<f64>]| {
            let known: Vec<f64> = (0..self.cells).filter_map(|cell| share(shares, cell)).collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        };
        let (recovered_low, recovered_high) = interval(self.drawn.iter().filter_map(|draw| mean(draw)));
        Summary { policy: name.to_owned(), recovered: mean(&self.measured), recovered_low, recovered_high, worst_gap }
    }
}

/// The bounds of the middle 95 %.
pub(crate) fn interval(values: impl Iterator<Item = f64>) -> (Option<f64>, Option<f64>) {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let cut = (values.len() as f64 * TAIL) as usize;
    (values.get(cut).copied(), values.iter().rev().nth(cut).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_the_gain_and_their_spread() {
        // Policies: one formula, none, clairvoyant; one cell; in half of the moments all is gained, in the others half.
        let mut samples = Samples::new(3, 1);
        for moment in 0..40 {
            samples.next_moment();
            samples.add(0, if moment % 2 == 0 { 20 } else { 15 });
            samples.add(1, 10);
            samples.add(2, 20);
        }
        let draws = draws(&samples, 1, 2, 7);
        assert_eq!([0, 1, 2].map(|policy| draws.recovered(policy, 0)), [Some(0.75), Some(0.0), Some(1.0)]);
        let (low, high) = draws.interval(0, 0);
        // The standard error is 0.25 / sqrt(40) = 0.04, so the bounds lie near 0.75 -+ 0.08.
        assert!((0.64..0.70).contains(&low.unwrap()) && (0.80..0.86).contains(&high.unwrap()), "{low:?} {high:?}");
        let summary = draws.summary("formula", 0, &[0]);
        assert_eq!((summary.recovered, summary.worst_gap), (Some(0.75), Some(0.0)));
        assert_eq!(draws.summary_of_best(&[0]).recovered, Some(0.75));
    }

    #[test]
    fn nothing_to_gain_is_no_share() {
        let mut samples = Samples::new(2, 1);
        assert_eq!(draws(&samples, 0, 1, 0).interval(1, 0), (None, None));
        samples.next_moment();
        let draws = draws(&samples, 0, 1, 0);
        assert_eq!((draws.recovered(1, 0), draws.interval(1, 0)), (None, (None, None)));
        assert_eq!(draws.summary("x", 1, &[1]).recovered, None);
    }
}
