//! The bandit: compares a setting with its neighbours by what they brought.
//!
//! Optimal sampling for unimodal bandits (Combes and Proutiere, ICML 2014): the best known place, the leader, is compared with its neighbours
//! only, each taken as it might be at best (an upper confidence bound), so that little is spent on what is probably worse. Evidence
//! fades (discounted UCB: Garivier and Moulines, ALT 2011), and a leader that brings something quite different all of a sudden says that the
//! workload has changed.

use super::Place;
use std::collections::BTreeMap;

/// What a window's evidence is worth a window later.
const FADE: f64 = 0.995;
/// Values that many deviations from the mean are no chance.
const SURPRISE: f64 = 4.0;
/// So many surprises in a row are a change.
const SURPRISES: u32 = 2;
/// Windows at a place before a surprise there can be told.
const KNOWN: f64 = 4.0;
/// Deviations are taken to be at least this share of the mean.
const LEAST_DEVIATION: f64 = 0.03;

#[derive(Debug, Clone, Default)]
pub(super) struct Bandit {
    arms: BTreeMap<Place, Arm>,
    surprises: u32,
}

/// Faded count, sum and sum of squares of the values of a place.
#[derive(Debug, Clone, Copy, Default)]
struct Arm {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Arm {
    fn mean(&self) -> f64 {
        self.sum / self.count
    }
}

impl Bandit {
    /// Takes in what a window at `place` was worth. Whether the workload has changed.
    pub(super) fn saw(&mut self, place: Place, value: f64) -> bool {
        if let Some(arm) = self.arms.get(&place).filter(|arm| arm.count >= KNOWN) {
            let is_surprise = (value - arm.mean()).abs() > SURPRISE * self.deviation();
            self.surprises = if is_surprise { self.surprises + 1 } else { 0 };
            if self.surprises >= SURPRISES {
                return true;
            }
            if is_surprise {
                // Perhaps chance; it must not blur what is known until the next one says.
                return false;
            }
        }
        for arm in self.arms.values_mut() {
            arm.count *= FADE;
            arm.sum *= FADE;
            arm.squares *= FADE;
        }
        let arm = self.arms.entry(place).or_default();
        arm.count += 1.0;
        arm.sum += value;
        arm.squares += value * value;
        false
    }

    /// The place with the greatest mean.
    pub(super) fn leader(&self) -> Option<Place> {
        self.arms.iter().max_by(|a, b| a.1.mean().total_cmp(&b.1.mean())).map(|(place, _)| *place)
    }

    /// The leader, or the neighbour that might be better than it.
    pub(super) fn choose(&self, leader: Place, near: &[Place]) -> Place {
        let count = |place: &Place| self.arms.get(place).map_or(0.0, |arm| arm.count);
        // What the others are compared with must be known well enough itself.
        let compared: f64 = near.iter().map(count).sum();
        if count(&leader) < 2.0 || count(&leader) * near.len() as f64 <= compared {
            return leader;
        }
        let total: f64 = self.arms.values().map(|arm| arm.count).sum();
        let deviation = self.deviation();
        let bound = |place: &Place| match self.arms.get(place) {
            Some(arm) if arm.count >= 0.5 => arm.mean() + deviation * (total.max(2.0).ln() / arm.count).sqrt(),
            _ => f64::INFINITY,
        };
        let best = near.iter().copied().max_by(|a, b| bound(a).total_cmp(&bound(b)));
        best.filter(|place| bound(place) > bound(&leader)).unwrap_or(leader)
    }

    /// The deviation of a window's value from its place's mean, pooled over places.
    fn deviation(&self) -> f64 {
        let (mut squares, mut freedom, mut greatest) = (0.0, 0.0, 0.0_f64);
        for arm in self.arms.values() {
            squares += (arm.squares - arm.sum * arm.mean()).max(0.0);
            freedom += (arm.count - 1.0).max(0.0);
            greatest = greatest.max(arm.mean().abs());
        }
        let found = if freedom > 0.0 { (squares / freedom).sqrt() } else { 0.0 };
        found.max(LEAST_DEVIATION * greatest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place = Place { probability: 3, rate: 2 };
    const NEAR: Place = Place { probability: 4, rate: 2 };

    #[test]
    fn a_better_neighbour_becomes_the_leader_and_a_worse_one_is_left_alone() {
        for (value, expect) in [(120.0, NEAR), (60.0, HERE)] {
            let mut bandit = Bandit::default();
            let mut tried = 0;
            for _ in 0..100 {
                let leader = bandit.leader().unwrap_or(HERE);
                let other = if leader == HERE { NEAR } else { HERE };
                let place = bandit.choose(leader, &[other]);
                tried += u32::from(place == NEAR);
                bandit.saw(place, if place == NEAR { value } else { 100.0 });
            }
            assert_eq!(bandit.leader(), Some(expect));
            assert_eq!(tried > 50, expect == NEAR, "{tried}");
        }
    }

    #[test]
    fn a_leap_of_the_leader_is_a_change_and_a_single_one_is_not() {
        let mut bandit = Bandit::default();
        for round in 0..20 {
            assert!(!bandit.saw(HERE, 100.0 + f64::from(round % 3)));
        }
        assert!(!bandit.saw(HERE, 10.0));
        assert!(!bandit.saw(HERE, 101.0));
        assert!(!bandit.saw(HERE, 10.0));
        assert!(bandit.saw(HERE, 12.0));
    }
}
