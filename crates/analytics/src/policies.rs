//! The one list of scoring policies: formulas that say which prefixes are worth having at hand.
//!
//! Help, documentation, tests and the simulator walk [`POLICIES`]. A new policy is one file and one line here. A formula is a
//! pure function of what an index knows of one prefix ([`PrefixFacts`]) at one time ([`Moment`]): it has no memory of
//! its own, so the same formula scores a row of an index and a block in a replayed history.
//!
//! No formula is the best everywhere. On conversations the decayed number of uses is hard to beat, on long agent sessions
//! the time of the last use alone; that is why there are several, and why their worth is measured by replay.

mod auto;
mod decay;
mod frequency_recency_size;
mod most_frequent;
mod most_recent;
mod recency_chain_model;
mod reuse;

pub use auto::AUTO;
pub use recency_chain_model::ModelDigest;
pub use reuse::REUSE;

use crate::Waiting;
use prefix_indexer_models::{Ladder, LadderError, Rank, Tally, parse_duration_ms};
use std::fmt;
use thiserror::Error;

/// What an index knows of one prefix, as far as formulas ask.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrefixFacts<'a> {
    /// Uses so far, at least 1.
    pub uses: u64,
    /// Time of the first use in milliseconds.
    pub first_seen_ms: u64,
    /// Time of the newest use in milliseconds.
    pub last_seen_ms: u64,
    /// Size in bytes.
    pub footprint_bytes: u64,
    /// Blocks before this one in its chain; none where nobody said.
    pub depth: Option<u32>,
    /// Whether the prefix belongs to the model that is being served ([`ModelDigest`]).
    pub active_model: bool,
    /// Distinct times of use, the last gap and the newest use: its class in a life table.
    pub waiting: Waiting,
    /// One decayed sum a rung of the moment's ladder, as of the landmark of the newest use.
    pub sums: &'a [f64],
}

impl<'a> PrefixFacts<'a> {
    /// The facts in a row of an index.
    pub fn new(tally: &Tally, sums: &'a [f64], active_model: bool) -> PrefixFacts<'a> {
        PrefixFacts {
            uses: tally.hit_count,
            first_seen_ms: tally.first_seen_ms,
            last_seen_ms: tally.last_seen_ms,
            footprint_bytes: tally.footprint_bytes,
            depth: tally.depth,
            active_model,
            waiting: Waiting::of(tally),
            sums,
        }
    }

    /// Milliseconds since the newest use; 0 for a use in the future (a clock that goes wrong).
    pub(crate) fn age_ms(&self, moment: &Moment<'_>) -> u64 {
        moment.now_ms.saturating_sub(self.last_seen_ms)
    }
}

/// When a score is asked for, and the half-lives of the sums.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// Now, in milliseconds of the time of events.
    pub now_ms: u64,
    /// The half-lives of [`PrefixFacts::sums`].
    pub ladder: &'a Ladder,
}

/// A scoring formula.
pub trait Formula: Send + Sync + fmt::Debug {
    /// What the prefix is worth now, at least 0. Only comparable with scores of the same formula at the same moment; may be
    /// 0 for what is merely very small.
    fn score(&self, prefix: &PrefixFacts<'_>, moment: &Moment<'_>) -> f64;

    /// The place of that score in the ranking: the order of the scores, without their underflow.
    fn rank(&self, prefix: &PrefixFacts<'_>, moment: &Moment<'_>) -> Rank;
}

/// A scoring policy, and what people are told of it.
#[derive(Debug)]
pub struct Policy {
    /// What it is called on the command line and in reports; a family of formulas is followed by `-` and its half-life.
    pub name: &'static str,
    /// One line for help texts.
    pub help: &'static str,
    /// The score. `now` is the time of asking, `t` the time of a use, `last` of the newest, `n` their number.
    pub formula: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    /// How it scores.
    pub scoring: Scoring,
}

/// How a policy scores.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Scoring {
    /// By one formula.
    Fixed(&'static dyn Formula),
    /// By one formula for each half-life of the ladder; another half-life is an error that lists them.
    PerHalfLife(MakeFormula),
    /// By what was learned from the uses so far ([`Model`](crate::Model), [`Forecaster`](crate::Forecaster)).
    Learned,
}

/// Makes the formula of one half-life (in milliseconds) of a ladder.
pub type MakeFormula = fn(&Ladder, u64) -> Result<Box<dyn Formula>, LadderError>;

/// All policies.
pub static POLICIES: &[Policy] = &[
    decay::POLICY,
    recency_chain_model::POLICY,
    frequency_recency_size::POLICY,
    most_recent::POLICY,
    most_frequent::POLICY,
    reuse::POLICY,
    auto::POLICY,
];

/// The half-lives that a replay compares, in milliseconds. They fit one [`Ladder`].
pub const REPLAY_HALF_LIVES_MS: [u64; 7] = [30_000, 60_000, 120_000, 300_000, 600_000, 1_200_000, 3_600_000];

/// Why there is no such policy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Not the name of a policy.
    #[error("`{name}` is not a policy: expected one of {known}")]
    Unknown {
        /// What was given.
        name: String,
        /// What there is.
        known: String,
    },
    /// A policy that learns, where a formula is asked for.
    #[error("policy `{name}` has no formula of its own: it learns from the uses before")]
    Learned {
        /// What was given.
        name: String,
    },
    /// A half-life that the sums were not made for, or not a duration.
    #[error("policy `{name}`: {source}")]
    HalfLife {
        /// What was given.
        name: String,
        /// What is wrong with it.
        source: LadderError,
    },
}

/// The names of all policies over a ladder, in the order of the list: the formulas, then those that learn.
pub fn names(ladder: &Ladder) -> Vec<String> {
    let learned = POLICIES.iter().filter(|policy| matches!(policy.scoring, Scoring::Learned));
    formula_names(ladder).into_iter().chain(learned.map(|policy| policy.name.to_owned())).collect()
}

/// The names of all formulas over a ladder, in the order of the list: what [`formula`] accepts.
///
/// ```
/// use prefix_indexer_analytics::policies;
/// let names = policies::formula_names(&"1m,1h".parse()?);
/// assert_eq!(names[..3], ["decay-1m", "decay-1h", "recency-chain-model"]);
/// # Ok::<(), prefix_indexer_models::LadderError>(())
/// ```
pub fn formula_names(ladder: &Ladder) -> Vec<String> {
    let half_lives = ladder.to_string();
    let mut names = Vec::new();
    for policy in POLICIES {
        match policy.scoring {
            Scoring::Fixed(_) => names.push(policy.name.to_owned()),
            Scoring::Learned => {}
            Scoring::PerHalfLife(_) => {
                names.extend(half_lives.split(',').map(|half_life| format!("{}-{half_life}", policy.name)));
            }
        }
    }
    names
}

/// The formula of a name: that of a policy, or of a family and one of the ladder's half-lives, as in `decay-5m`.
///
/// # Errors
/// [`PolicyError`] lists what there is.
pub fn formula(name: &str, ladder: &Ladder) -> Result<Box<dyn Formula>, PolicyError> {
    for policy in POLICIES {
        match policy.scoring {
            Scoring::Fixed(formula) if policy.name == name => return Ok(Box::new(Shared(formula))),
            Scoring::Learned if policy.name == name => return Err(PolicyError::Learned { name: name.to_owned() }),
            Scoring::Fixed(_) | Scoring::Learned => {}
            Scoring::PerHalfLife(make) => {
                let half_life = name.strip_prefix(policy.name).and_then(|rest| rest.strip_prefix('-'));
                if let Some(half_life) = half_life {
                    let made = parse_duration_ms(half_life).and_then(|half_life_ms| make(ladder, half_life_ms));
                    return made.map_err(|source| PolicyError::HalfLife { name: name.to_owned(), source });
                }
            }
        }
    }
    Err(PolicyError::Unknown { name: name.to_owned(), known: names(ladder).join(", ") })
}

/// A formula of the list, in the box that one made for a half-life comes in.
#[derive(Debug)]
struct Shared(&'static dyn Formula);

impl Formula for Shared {
    fn score(&self, prefix: &PrefixFacts<'_>, moment: &Moment<'_>) -> f64 {
        self.0.score(prefix, moment)
    }

    fn rank(&self, prefix: &PrefixFacts<'_>, moment: &Moment<'_>) -> Rank {
        self.0.rank(prefix, moment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(sums: &[f64]) -> PrefixFacts<'_> {
        PrefixFacts {
            uses: 3,
            first_seen_ms: 0,
            last_seen_ms: 1_000,
            footprint_bytes: 1 << 20,
            depth: Some(2),
            active_model: false,
            waiting: Waiting::first(1_000),
            sums,
        }
    }

    #[test]
    fn every_name_is_found_and_says_what_it_is() {
        let ladder = Ladder::new(&REPLAY_HALF_LIVES_MS).unwrap();
        let names = formula_names(&ladder);
        assert_eq!(names.len(), 7 + POLICIES.len() - 3);
        assert_eq!(super::names(&ladder).len(), names.len() + 2);
        for name in &names {
            formula(name, &ladder).unwrap();
        }
        for policy in POLICIES {
            for text in [policy.name, policy.help, policy.formula, policy.source] {
                assert!(!text.is_empty() && !text.contains('\n'), "{}", policy.name);
            }
        }
    }

    #[test]
    fn unknown_names_are_told_what_there_is() {
        let ladder = Ladder::default();
        let check = |name, expect: &str| {
            let error = formula(name, &ladder).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        };
        check("hottest", "decay-1m, decay-5m, decay-20m, decay-1h, decay-6h, recency-chain-model");
        check("decay", "most-frequent");
        check("decay-7m", "1m,5m,20m,1h,6h");
        check("decay-soon", "soon");
        check("auto", "learns");
    }

    #[test]
    fn ranks_follow_scores() {
        let ladder = Ladder::default();
        let moment = Moment { now_ms: 7_000_000, ladder: &ladder };
        let prefixes: Vec<PrefixFacts<'_>> = (0..200u64)
            .map(|i| PrefixFacts {
                uses: 1 + i * i % 7,
                first_seen_ms: i * 1_000,
                last_seen_ms: i * 1_000 + i * i * 7_919 % 6_000_000,
                depth: (i % 3 > 0).then_some((i % 2) as u32),
                footprint_bytes: i * 512,
                active_model: i % 5 == 0,
                waiting: Waiting::first(i),
                sums: &[1.5, 1.25, 1.1, 1.05, 1.01],
            })
            .collect();
        for name in formula_names(&ladder) {
            let formula = formula(&name, &ladder).unwrap();
            for a in &prefixes {
                for b in &prefixes {
                    let scores = formula.score(a, &moment).total_cmp(&formula.score(b, &moment));
                    let ranks = formula.rank(a, &moment).cmp(&formula.rank(b, &moment));
                    // Scores divide by a power that rounds; ranks do not.
                    assert!(scores == ranks || scores.is_eq(), "{name}: {a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn facts_of_a_tally() {
        let tally = Tally { hit_count: 3, first_seen_ms: 0, last_seen_ms: 1_000, depth: Some(2), ..Tally::EMPTY };
        let tally = Tally { footprint_bytes: 1 << 20, ..tally };
        assert_eq!(PrefixFacts::new(&tally, &[1.0], false), facts(&[1.0]));
    }
}
