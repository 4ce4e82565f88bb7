//! How many uses to expect of a prefix that is used at all within a horizon.
//!
//! Behind the first use others may follow, at a rate of the prefix's own. As long as nothing is known of it, that is what the life
//! tables say of its class after a use; its own uses then speak for themselves: the mean of a gamma posterior, whose prior has
//! the shape 1 and that mean, after as many uses as its decayed sum holds in as long as that sum looks back (Poisson counts
//! with a conjugate prior: Gelman et al., Bayesian Data Analysis, 2.6). So a prefix that is used a thousand times in each
//! horizon is expected a thousand times, however coarse its class is.
//!
//! What is left over in the mean (bursts, workloads that end) is learned: further uses that came, over those expected, by how many were
//! expected.

use super::ratio::Ratio;
use serde::{Deserialize, Serialize};

/// Bands of expected further uses: the first up to 1/16 use, each next one up to four times as many.
const BANDS: usize = 14;
/// Further uses, as many as expected, that each band begins with.
const PRIOR: f64 = 4.0;
/// The least that a prior expects, in further uses: it must not rule out what nobody has seen yet.
const LEAST: f64 = 1e-3;

/// What the rate of a prefix says of the uses that follow its first one within a horizon.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Further {
    /// Uses at one time, 1 or more: the layers and pages of a request.
    pub(crate) at_once: f64,
    /// Further times of use.
    times: f64,
}

impl Further {
    /// `prior` are the further times of use that are expected of the class; `sum` are the decayed uses after the first one ever, and `exposure`
    /// is how long that sum looks back, in horizons.
    pub(crate) fn new(at_once: f64, prior: f64, sum: f64, exposure: f64) -> Further {
        let at_once = at_once.max(1.0);
        Further { at_once, times: (1.0 + sum.max(0.0) / at_once) / (1.0 / prior.max(LEAST) + exposure) }
    }

    fn uses(&self) -> f64 {
        self.at_once * self.times
    }

    fn band(&self) -> usize {
        // 2^-4 to 2^-2 is band 1.
        ((self.times.log2() / 2.0 + 3.0).floor().max(0.0) as usize).min(BANDS - 1)
    }
}

/// How many further uses came for each that the rates said.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct FurtherUses {
    bands: [Ratio; BANDS],
}

impl FurtherUses {
    /// Counts a prefix that was used so often within the horizon, at least once.
    pub(super) fn record(&mut self, further: Further, uses: u64) {
        self.bands[further.band()].record(further.uses(), uses as f64 - further.at_once);
    }

    /// Uses to expect of a prefix that is used at all; at least 1.
    pub(crate) fn of_one(&self, further: Further) -> f64 {
        further.at_once + self.bands[further.band()].value(PRIOR) * further.uses()
    }

    /// What came before counts half.
    pub(super) fn fade(&mut self) {
        self.bands.iter_mut().for_each(Ratio::fade);
    }

    /// Adds what another index has counted.
    pub(super) fn merge(&mut self, other: &FurtherUses) {
        self.bands.iter_mut().zip(&other.bands).for_each(|(ours, theirs)| ours.merge(theirs));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_uses_outweigh_the_class() {
        let check = |prior, sum, exposure, expect: f64| {
            let of_one = FurtherUses::default().of_one(Further::new(1.0, prior, sum, exposure));
            assert!((of_one - expect).abs() < 0.01 * expect, "{prior} {sum} {exposure}: {of_one}");
        };
        // Nothing known: the class.
        check(0.5, 0.0, 0.0, 1.5);
        // A thousand uses in each of the last one and a half horizons.
        check(28.0, 1_500.0, 1.5, 978.5);
        check(0.1, 1_500.0, 1.5, 131.5);
        // A class that comes often, and a prefix that does not.
        check(28.0, 0.0, 10.0, 1.1);
    }

    #[test]
    fn the_layers_of_a_request_come_together() {
        let one_layer = FurtherUses::default().of_one(Further::new(1.0, 2.0, 30.0, 1.5));
        let four_layers = FurtherUses::default().of_one(Further::new(4.0, 2.0, 120.0, 1.5));
        assert!((four_layers - 4.0 * one_layer).abs() < 1e-9);
    }

    #[test]
    fn what_comes_more_often_than_expected_is_learned() {
        let mut uses = FurtherUses::default();
        let further = Further::new(1.0, 3.0, 0.0, 0.0);
        (0..1_000).for_each(|_| uses.record(further, 7));
        assert!((uses.of_one(further) - 7.0).abs() < 0.01, "{}", uses.of_one(further));
        let mut both = uses.clone();
        both.merge(&uses);
        both.fade();
        assert_eq!(both, uses);
        // Other bands are left alone.
        assert_eq!(uses.of_one(Further::new(1.0, 100.0, 0.0, 0.0)), 101.0);
    }
}
