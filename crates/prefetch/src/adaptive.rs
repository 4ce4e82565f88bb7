//! How choosy and how fast to prefetch, learned from what was used and what was wasted.
//!
//! The goal of each window of time is the milliseconds saved less the cost of the bytes wasted. A bounded [controller](rules) makes the first
//! moves: it knows which way is up (waste: be choosier; late: be faster). Where it comes to rest a [bandit] takes over and compares
//! the setting with its neighbours by what they really brought. When that breaks its pattern the workload has changed: what was learned
//! is forgotten, and the controller moves again. Pure: no clock, and equal evidence gives equal choices.

mod bandit;
mod rules;

use bandit::Bandit;
use serde::Serialize;

/// What the controller may move, and where to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Setting {
    /// Blocks that are less probable to be used are not fetched.
    pub min_probability: f64,
    /// Bytes a second.
    pub bytes_per_second: f64,
}

/// The bounds that an operator sets, and what waste costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaptiveConfig {
    /// Least and greatest minimum probability. Default 0.05 to 0.85.
    pub min_probability: [f64; 2],
    /// Least and greatest rate in bytes a second.
    pub bytes_per_second: [f64; 2],
    /// Where to begin.
    pub start: Setting,
    /// What a gibibyte moved in vain costs, in milliseconds saved elsewhere. Default 1000: as if it took a second of the line.
    pub ms_per_wasted_gib: f64,
}

impl AdaptiveConfig {
    /// The default bounds below a greatest rate, starting from that rate and a probability of 0.3.
    pub fn below(bytes_per_second: f64) -> AdaptiveConfig {
        AdaptiveConfig {
            min_probability: [0.05, 0.85],
            bytes_per_second: [bytes_per_second / 64.0, bytes_per_second],
            start: Setting { min_probability: 0.3, bytes_per_second },
            ms_per_wasted_gib: 1_000.0,
        }
    }
}

/// What became of prefetches in a window of time.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Evidence {
    /// Blocks that were used.
    pub used: u64,
    /// Blocks that were not.
    pub wasted: u64,
    /// Blocks that were wanted before they had come.
    pub late: u64,
    /// Blocks that had to go before they were used.
    pub evicted: u64,
    /// Milliseconds saved.
    pub saved_ms: f64,
    /// Bytes of what was wasted or evicted.
    pub wasted_bytes: u64,
}

/// What the controller did so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AdaptiveStats {
    /// What holds now.
    pub setting: Setting,
    /// Windows seen.
    pub windows: u64,
    /// Windows in which something was tried that was not the best known.
    pub explored: u64,
    /// Times that the workload was found to have changed.
    pub changes: u64,
    /// Whether the bandit decides, and not yet the controller alone.
    pub has_evidence: bool,
    /// What the newest window was worth, in milliseconds.
    pub value_ms: f64,
}

/// Levels of the minimum probability.
const PROBABILITIES: usize = 9;
/// Most levels of the rate, each twice the one before.
const RATES: usize = 8;

/// A place on the grid of settings: level of probability, level of rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    probability: usize,
    rate: usize,
}

/// A move on the grid, a level at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Choosier,
    LessChoosy,
    Faster,
    Slower,
}

/// Moves a setting within bounds.
#[derive(Debug, Clone)]
pub struct Adaptive {
    config: AdaptiveConfig,
    rates: usize,
    place: Place,
    /// The step that led here; none once the controller has come to rest.
    moving: Option<Option<Step>>,
    bandit: Bandit,
    stats: AdaptiveStats,
}

impl Adaptive {
    /// Begins at the setting of the grid that is nearest to the start.
    pub fn new(config: AdaptiveConfig) -> Adaptive {
        let [slow, fast] = config.bytes_per_second;
        let doublings = (fast / slow.max(1.0)).log2();
        let rates =
            if doublings.is_finite() && doublings > 0.0 { (doublings.ceil() as usize + 1).min(RATES) } else { 1 };
        let mut adaptive = Adaptive {
            config,
            rates,
            place: Place { probability: 0, rate: 0 },
            moving: Some(None),
            bandit: Bandit::default(),
            stats: AdaptiveStats {
                setting: config.start,
                windows: 0,
                explored: 0,
                changes: 0,
                has_evidence: false,
                value_ms: 0.0,
            },
        };
        let distance = |place: &Place| {
            let setting = adaptive.setting_of(*place);
            let probability = (setting.min_probability - config.start.min_probability).abs();
            let rate = (setting.bytes_per_second / config.start.bytes_per_second.max(1.0)).log2().abs();
            probability * PROBABILITIES as f64 + rate
        };
        let places = (0..PROBABILITIES).flat_map(|probability| (0..rates).map(move |rate| Place { probability, rate }));
        if let Some(nearest) = places.min_by(|a, b| distance(a).total_cmp(&distance(b))) {
            adaptive.place = nearest;
        }
        adaptive.stats.setting = adaptive.setting_of(adaptive.place);
        adaptive
    }

    /// What holds now.
    pub fn setting(&self) -> Setting {
        self.stats.setting
    }

    /// What it did so far.
    pub fn stats(&self) -> AdaptiveStats {
        self.stats
    }

    /// All settings that it may choose.
    pub fn settings(&self) -> impl Iterator<Item = Setting> {
        let places =
            (0..PROBABILITIES).flat_map(|probability| (0..self.rates).map(move |rate| Place { probability, rate }));
        places.map(|place| self.setting_of(place))
    }

    /// What a window was worth, in milliseconds.
    pub fn value_ms(&self, evidence: &Evidence) -> f64 {
        evidence.saved_ms - self.waste_ms(evidence)
    }

    fn waste_ms(&self, evidence: &Evidence) -> f64 {
        evidence.wasted_bytes as f64 / (1_u64 << 30) as f64 * self.config.ms_per_wasted_gib
    }

    /// Learns from a window that the current setting held for, and chooses the next one.
    pub fn learn(&mut self, evidence: &Evidence) -> Setting {
        let value = self.value_ms(evidence);
        self.stats.windows += 1;
        self.stats.value_ms = value;
        if self.bandit.saw(self.place, value) {
            self.stats.changes += 1;
            self.bandit = Bandit::default();
            self.moving = Some(None);
        }
        self.place = self.next(evidence);
        self.stats.has_evidence = self.moving.is_none();
        self.stats.setting = self.setting_of(self.place);
        self.stats.setting
    }

    fn next(&mut self, evidence: &Evidence) -> Place {
        if let Some(before) = self.moving {
            let step = rules::step(evidence, self.waste_ms(evidence), |step| self.after(self.place, step).is_some());
            let place = step.and_then(|step| self.after(self.place, step));
            match (place, step) {
                // On, as long as it does not go back where it came from.
                (Some(place), Some(step)) if before != Some(step.back()) => {
                    self.moving = Some(Some(step));
                    return place;
                }
                _ => self.moving = None,
            }
        }
        let leader = self.bandit.leader().unwrap_or(self.place);
        let near: Vec<Place> = Step::ALL.iter().filter_map(|step| self.after(leader, *step)).collect();
        let next = self.bandit.choose(leader, &near);
        self.stats.explored += u64::from(next != leader);
        next
    }

    /// The place after a step, unless it leaves the bounds.
    fn after(&self, place: Place, step: Step) -> Option<Place> {
        let Place { probability, rate } = place;
        let place = match step {
            Step::Choosier => Place { probability: probability + 1, rate },
            Step::LessChoosy => Place { probability: probability.checked_sub(1)?, rate },
            Step::Faster => Place { probability, rate: rate + 1 },
            Step::Slower => Place { probability, rate: rate.checked_sub(1)? },
        };
        (place.probability < PROBABILITIES && place.rate < self.rates).then_some(place)
    }

    fn setting_of(&self, place: Place) -> Setting {
        let [least, most] = self.config.min_probability;
        let [slow, fast] = self.config.bytes_per_second;
        let share = place.probability as f64 / (PROBABILITIES - 1) as f64;
        let halvings = (self.rates - 1 - place.rate) as i32;
        Setting {
            min_probability: least + (most - least) * share,
            bytes_per_second: (fast / 2_f64.powi(halvings)).max(slow.min(fast)),
        }
    }
}

impl Step {
    const ALL: [Step; 4] = [Step::Choosier, Step::LessChoosy, Step::Faster, Step::Slower];

    fn back(self) -> Step {
        match self {
            Step::Choosier => Step::LessChoosy,
            Step::LessChoosy => Step::Choosier,
            Step::Faster => Step::Slower,
            Step::Slower => Step::Faster,
        }
    }
}
