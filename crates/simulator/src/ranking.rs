//! Who says which blocks to load, and the order that follows from it.

mod learned;

pub use learned::{AutoRanker, ReuseRanker};

use crate::{History, Request};
use prefix_indexer_analytics::policies::{self, AUTO, Formula, PolicyError, REUSE};
use prefix_indexer_models::{Ladder, Rank};

/// What a plan is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// When, in milliseconds.
    pub now_ms: u64,
    /// For the uses of how many milliseconds from then on.
    pub horizon_ms: u64,
    /// How many blocks may be loaded.
    pub budget_blocks: u64,
}

/// What of a [`Question`] an order depends on; the less, the less often it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The time alone.
    Moment,
    /// Time and horizon.
    Horizon,
    /// Time, horizon and budget.
    Cell,
}

/// A scoring policy in a replay. It may learn as the trace goes by.
pub trait Ranker {
    /// What it is called in reports.
    fn name(&self) -> &str;

    /// What its order depends on.
    fn scope(&self) -> Scope;

    /// Sees a request, in the order of the trace, before the history counts it.
    fn observe(&mut self, request: &Request<'_>, history: &History<'_>);

    /// Appends the rank of each block of the history, in the [order](History::order) that breaks ties.
    fn rank(&mut self, question: &Question, history: &History<'_>, ranks: &mut Vec<Rank>);
}

/// The rankers of policies by name, as [`policies::names`] lists them, over the ladder of a history.
///
/// # Errors
/// [`PolicyError`] for a name that no policy has.
pub fn rankers<N: AsRef<str>>(names: &[N], ladder: &Ladder) -> Result<Vec<Box<dyn Ranker>>, PolicyError> {
    let ranker = |name: &N| -> Result<Box<dyn Ranker>, PolicyError> {
        Ok(match name.as_ref() {
            AUTO => Box::new(AutoRanker::new(ladder)),
            REUSE => Box::new(ReuseRanker::default()),
            name => Box::new(FormulaRanker::new(name, ladder)?),
        })
    };
    names.iter().map(ranker).collect()
}

/// A formula as a ranker: the history knows all it asks.
#[derive(Debug)]
pub struct FormulaRanker {
    name: String,
    formula: Box<dyn Formula>,
}

impl FormulaRanker {
    /// The ranker of a formula's name, over the ladder of a history.
    ///
    /// # Errors
    /// [`PolicyError`] for a name that no formula has.
    pub fn new(name: &str, ladder: &Ladder) -> Result<FormulaRanker, PolicyError> {
        Ok(FormulaRanker { name: name.to_owned(), formula: policies::formula(name, ladder)? })
    }
}

impl Ranker for FormulaRanker {
    fn name(&self) -> &str {
        &self.name
    }

    fn scope(&self) -> Scope {
        Scope::Moment
    }

    fn observe(&mut self, _: &Request<'_>, _: &History<'_>) {}

    fn rank(&mut self, question: &Question, history: &History<'_>, ranks: &mut Vec<Rank>) {
        let moment = history.moment(question.now_ms);
        ranks.extend(history.order().iter().map(|&block| self.formula.rank(&history.facts(block), &moment)));
    }
}

/// Sorts blocks by rank, best first, again and again, with the memory of the last time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sorter {
    keys: Vec<(u64, u32)>,
    spare: Vec<(u64, u32)>,
}

impl Sorter {
    /// The places of `ranks`, highest rank first, equal ones in the order they come in.
    ///
    /// Sorted by the coarse rank, a machine word, a byte at a time (a byte that all have in common is skipped); the few
    /// that only the full rank tells apart are sorted by it afterwards. O(ranks).
    pub(crate) fn sort(&mut self, ranks: &[Rank], sorted: &mut Vec<u32>) {
        self.keys.clear();
        // Ascending by the complement is descending, and stable.
        self.keys.extend(ranks.iter().zip(0..).map(|(rank, place)| (!rank.coarse(), place)));
        let differing = self.keys.iter().fold(0, |bits, (key, _)| bits | (key ^ self.keys[0].0));
        for shift in (0..u64::BITS).step_by(8) {
            if (differing >> shift) & 0xff != 0 {
                self.pass(shift);
            }
        }
        let rank = |place: u32| ranks[place as usize];
        for run in self.keys.chunk_by_mut(|a, b| a.0 == b.0) {
            if !run.is_sorted_by(|a, b| rank(a.1) >= rank(b.1)) {
                run.sort_by_key(|&(_, place)| std::cmp::Reverse(rank(place)));
            }
        }
        sorted.clear();
        sorted.extend(self.keys.iter().map(|&(_, place)| place));
    }

    /// One pass of a radix sort, by the byte at `shift`.
    fn pass(&mut self, shift: u32) {
        let byte = |key: u64| (key >> shift) as usize & 0xff;
        let mut starts = [0_usize; 257];
        for &(key, _) in &self.keys {
            starts[byte(key) + 1] += 1;
        }
        for index in 1..starts.len() {
            starts[index] += starts[index - 1];
        }
        self.spare.resize(self.keys.len(), (0, 0));
        for &entry in &self.keys {
            let start = &mut starts[byte(entry.0)];
            self.spare[*start] = entry;
            *start += 1;
        }
        std::mem::swap(&mut self.keys, &mut self.spare);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sorts_like_a_stable_sort(scores in prop::collection::vec((0.0..4.0_f64, -3_i64..3, any::<bool>()), 0..300)) {
            let ranks: Vec<Rank> = scores
                .iter()
                // Every other score differs from a round one only in its last digits, below the coarse rank.
                .map(|&(value, exponent, fine)| {
                    let value = if fine { value.round() * (1.0 + value * f64::EPSILON) } else { value.round() };
                    Rank::of_score(value, exponent)
                })
                .collect();
            let mut expected: Vec<u32> = (0..ranks.len() as u32).collect();
            expected.sort_by_key(|&place| std::cmp::Reverse(ranks[place as usize]));
            let mut sorted = vec![7];
            Sorter::default().sort(&ranks, &mut sorted);
            prop_assert_eq!(sorted, expected);
        }
    }
}
