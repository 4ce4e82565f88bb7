//! Events among those at risk, by class and age: the counts behind a life table, and the hazards that follow from them.

use super::{
    ages::{self, AGE_BINS},
    waiting::Waiting,
};
use serde::{Deserialize, Serialize};

/// Weight of the coarser class's hazard, in numbers at risk.
const PRIOR: f64 = 50.0;

/// For each class: how many waited until which age, and how their wait ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RiskTable {
    /// Waits that ended with the event, class after class.
    events: Vec<u64>,
    /// Waits that ended otherwise.
    censored: Vec<u64>,
    /// Waits going on.
    waiting: Waiting,
    /// What is to be added to events and numbers at risk, class after class, so that what was long ago counts less. Empty before the
    /// first [`fade`](Self::fade).
    faded: Vec<[f64; 2]>,
}

/// What came of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Event,
    Censored,
}

impl RiskTable {
    pub(crate) fn new(classes: usize) -> RiskTable {
        let cells = vec![0; classes * AGE_BINS];
        RiskTable { events: cells.clone(), censored: cells, waiting: Waiting::new(classes), faded: Vec::new() }
    }

    /// A wait begins.
    #[inline]
    pub(crate) fn begin(&mut self, class: usize, time_ms: u64) {
        self.waiting.add(class, ages::ticks(time_ms));
    }

    /// A wait that began at `since_ms` ends.
    #[inline]
    pub(crate) fn end(&mut self, class: usize, since_ms: u64, time_ms: u64, outcome: Outcome) {
        let (since, now) = (ages::ticks(since_ms), ages::ticks(time_ms));
        self.waiting.advance(now);
        self.waiting.remove(class, since);
        let cells = match outcome {
            Outcome::Event => &mut self.events,
            Outcome::Censored => &mut self.censored,
        };
        if let Some(count) = cells.get_mut(class * AGE_BINS + ages::bin(now.saturating_sub(since))) {
            *count = count.saturating_add(1);
        }
    }

    pub(crate) fn merge(&mut self, other: &RiskTable) {
        let add = |ours: &mut Vec<u64>, theirs: &[u64]| {
            ours.iter_mut().zip(theirs).for_each(|(count, more)| *count = count.saturating_add(*more));
        };
        add(&mut self.events, &other.events);
        add(&mut self.censored, &other.censored);
        self.waiting.merge(&other.waiting);
        self.faded.resize(self.faded.len().max(other.faded.len()), [0.0; 2]);
        for (ours, theirs) in self.faded.iter_mut().zip(&other.faded) {
            *ours = [ours[0] + theirs[0], ours[1] + theirs[1]];
        }
    }

    /// Halves the weight of all that has been until `now_ms`. Those who wait keep their full weight for what is still to come.
    pub(crate) fn fade(&mut self, now_ms: u64, classes: usize) {
        let counts = self.counts(now_ms, classes);
        self.faded.resize(classes * AGE_BINS, [0.0; 2]);
        for (faded, counts) in self.faded.chunks_mut(AGE_BINS).zip(&counts) {
            for (bin, faded) in faded.iter_mut().enumerate() {
                *faded = [faded[0] - counts.events[bin] / 2.0, faded[1] - counts.at_risk[bin] / 2.0];
            }
        }
    }

    /// Events and numbers at risk of each class as of `now_ms`.
    fn counts(&self, now_ms: u64, classes: usize) -> Vec<Counts> {
        let census = self.waiting.census(ages::ticks(now_ms));
        let counts = |class: usize| {
            let cells = class * AGE_BINS..(class + 1) * AGE_BINS;
            let events = self.events.get(cells.clone()).unwrap_or(&[]);
            let censored = self.censored.get(cells.clone()).unwrap_or(&[]);
            let mut counts = Counts::new(events, censored, census.get(class));
            for (bin, faded) in self.faded.get(cells).unwrap_or(&[]).iter().enumerate() {
                counts.events[bin] = (counts.events[bin] + faded[0]).max(0.0);
                counts.at_risk[bin] = (counts.at_risk[bin] + faded[1]).max(counts.events[bin]);
            }
            counts
        };
        (0..classes).map(counts).collect()
    }

    /// The cumulative hazard of each class as of `now_ms`. Classes with the same number in `groups` are shrunk towards what
    /// they have in common, and that towards what all have in common.
    pub(crate) fn hazards(&self, now_ms: u64, groups: &[usize]) -> Vec<CumulativeHazard> {
        let classes = self.counts(now_ms, groups.len());
        let mut all = Counts::default();
        let mut grouped = vec![Counts::default(); groups.iter().max().map_or(0, |most| most + 1)];
        for (class, &group) in classes.iter().zip(groups) {
            all.add(class);
            grouped[group].add(class);
        }
        let all = all.hazard_of_all();
        let grouped: Vec<Hazard> = grouped.iter().map(|counts| counts.shrunk_to(&all)).collect();
        classes
            .iter()
            .zip(groups)
            .map(|(class, &group)| CumulativeHazard::new(&class.shrunk_to(&grouped[group])))
            .collect()
    }
}

/// Probability, for each age bin, that the event comes in it, given that it had not come before.
type Hazard = [f64; AGE_BINS];

#[derive(Debug, Clone)]
struct Counts {
    events: [f64; AGE_BINS],
    at_risk: [f64; AGE_BINS],
}

impl Default for Counts {
    fn default() -> Counts {
        Counts { events: [0.0; AGE_BINS], at_risk: [0.0; AGE_BINS] }
    }
}

impl Counts {
    fn new(events: &[u64], censored: &[u64], waiting: Option<&[f64; AGE_BINS]>) -> Counts {
        let mut counts = Counts::default();
        let mut entering = 0.0;
        for bin in (0..AGE_BINS).rev() {
            let count = |cells: &[u64]| cells.get(bin).map_or(0.0, |&count| count as f64);
            let lost = count(censored) + waiting.map_or(0.0, |waiting| waiting[bin]);
            counts.events[bin] = count(events);
            entering += counts.events[bin] + lost;
            // Who left without an event within the bin was at risk for half of it, on average: the actuarial estimator.
            counts.at_risk[bin] = entering - lost / 2.0;
        }
        counts
    }

    fn add(&mut self, other: &Counts) {
        for bin in 0..AGE_BINS {
            self.events[bin] += other.events[bin];
            self.at_risk[bin] += other.at_risk[bin];
        }
    }

    fn shrunk_to(&self, parent: &Hazard) -> Hazard {
        std::array::from_fn(|bin| (self.events[bin] + PRIOR * parent[bin]) / (self.at_risk[bin] + PRIOR))
    }

    /// The coarsest class has no parent. An age that nobody has reached yet behaves like the age before: a hazard
    /// inversely proportional to age, as quarter-octaves are.
    fn hazard_of_all(&self) -> Hazard {
        let mut before = 0.0;
        std::array::from_fn(|bin| {
            before = (self.events[bin] + before) / (self.at_risk[bin] + 1.0);
            before
        })
    }
}

/// -ln(1 - x), for x from 0 to below 1. Most are small, and their series takes a fifth of the time: to x^9 it leaves less than 3e-14 of x.
#[inline]
fn minus_ln_of_rest(x: f64) -> f64 {
    if x > 0.04 {
        return -(1.0 - x).ln();
    }
    let terms = [1.0 / 9.0, 1.0 / 8.0, 1.0 / 7.0, 1.0 / 6.0, 0.2, 0.25, 1.0 / 3.0, 0.5, 1.0];
    x * terms.iter().fold(0.0, |sum, term| sum * x + term)
}

/// The hazard added up from age 0: the probability of no event until an age is exp(-it).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CumulativeHazard {
    at_edge: [f64; AGE_BINS + 1],
}

impl CumulativeHazard {
    fn new(hazard: &Hazard) -> CumulativeHazard {
        let mut at_edge = [0.0; AGE_BINS + 1];
        for bin in 0..AGE_BINS {
            at_edge[bin + 1] = at_edge[bin] + minus_ln_of_rest(hazard[bin].clamp(0.0, 0.999_999));
        }
        CumulativeHazard { at_edge }
    }

    /// At an age in ticks; linear inside bins, on with the slope of the last bin behind it.
    #[inline]
    pub(crate) fn at(&self, age: f64) -> f64 {
        let bin = ages::bin(age as u64);
        let (from, to) = (ages::edge(bin) as f64, ages::edge(bin + 1) as f64);
        self.at_edge[bin] + (self.at_edge[bin + 1] - self.at_edge[bin]) * (age - from) / (to - from)
    }

    /// Hazard from one age to another, in milliseconds.
    #[inline]
    pub(crate) fn between(&self, age_ms: u64, window_ms: u64) -> f64 {
        let end = age_ms.saturating_add(window_ms);
        (self.at(ages::exact_ticks(end)) - self.at(ages::exact_ticks(age_ms))).max(0.0)
    }
}
