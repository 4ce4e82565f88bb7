//! When prefixes come back, learned from when they came back: life tables of reuse.
//!
//! Between two uses a prefix waits. How long, depends on how often it has been used and on its last gap: these make
//! its *class*. For each class and age (time since the last use) the table counts how many waited that long and how many
//! were used then. The ratio is the hazard of the actuarial life table (as of Cutler and Ederer, 1958; Kaplan and Meier's
//! product limit of the same year in bins), and from it follows the probability of a use within any window. Prefixes that still
//! wait count as long as they have waited, so neither short histories nor the dead bias it.
//!
//! A class with few prefixes borrows from coarser ones: hazard = (events + 50 x the coarser class's hazard) / (at risk + 50).
//!
//! A use costs a few shifts and four counters, whatever came before it ([`LifeTable::reuse`]); the table has 36 classes x 84
//! ages and takes about 100 KiB in memory and 20 to 40 KiB on disk in a compact codec.

mod ages;
mod classes;
mod expectation;
mod model;
mod reliability;
mod risk;
mod waiting;

pub use classes::Waiting;
pub use expectation::Expectations;
pub use model::ReuseModel;
pub use reliability::{Reliability, ReliabilityRow};
pub(crate) use risk::{Outcome, RiskTable};

use classes::{CLASSES, USE_CLASSES, use_class};
use serde::{Deserialize, Serialize};

/// How long prefixes waited for their next use, by class and age.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LifeTable {
    risk: RiskTable,
    /// For each class by uses: reuses that stayed in it, reuses that left it.
    steps: [[u64; 2]; USE_CLASSES],
}

impl Default for LifeTable {
    fn default() -> LifeTable {
        LifeTable { risk: RiskTable::new(CLASSES), steps: [[0; 2]; USE_CLASSES] }
    }
}

impl LifeTable {
    /// Counts the first use of a prefix, which waits from now on.
    #[inline]
    pub fn first_use(&mut self, time_ms: u64) -> Waiting {
        let waiting = Waiting::first(time_ms);
        self.risk.begin(waiting.class(), time_ms);
        waiting
    }

    /// Counts a further use of a prefix, and says what it is now. One that is not later than its last use changes nothing.
    ///
    /// Prefixes may come in any order, and an event a little older than the newest is no problem. Some 20 ns.
    #[inline]
    pub fn reuse(&mut self, before: &Waiting, time_ms: u64) -> Waiting {
        if time_ms <= before.last_use_ms {
            return *before;
        }
        let after = before.used(time_ms);
        self.risk.end(before.class(), before.last_use_ms, time_ms, Outcome::Event);
        self.risk.begin(after.class(), time_ms);
        let (from, to) = (use_class(before.uses), use_class(after.uses));
        let step = &mut self.steps[from][usize::from(from != to)];
        *step = step.saturating_add(1);
        after
    }

    /// Takes out a prefix that is no longer watched, for instance because the index forgets it: until now it had not been
    /// used again, and what comes later nobody will know.
    pub fn forget(&mut self, waiting: &Waiting, time_ms: u64) {
        self.risk.end(waiting.class(), waiting.last_use_ms, time_ms.max(waiting.last_use_ms), Outcome::Censored);
    }

    /// Halves the weight of all that was counted until `now_ms`, which is not before the newest use: how prefixes come back changes, and
    /// what is asked about is yet to come.
    pub fn fade(&mut self, now_ms: u64) {
        self.risk.fade(now_ms, CLASSES);
        self.steps.iter_mut().flatten().for_each(|count| *count /= 2);
    }

    /// Adds what another table counted.
    ///
    /// Exact for tables that counted different prefixes (shards, tenants, machines). Where both counted uses of one prefix, the
    /// gap between the two parts is missing, and the prefix waits twice.
    pub fn merge(&mut self, other: &LifeTable) {
        self.risk.merge(&other.risk);
        for (ours, theirs) in self.steps.iter_mut().zip(&other.steps) {
            ours.iter_mut().zip(theirs).for_each(|(count, more)| *count = count.saturating_add(*more));
        }
    }

    /// What the counts say as of `now_ms`, the time until which those who wait have waited (at least until the newest event).
    /// Some 50 us.
    pub fn model(&self, now_ms: u64) -> ReuseModel {
        ReuseModel::new(self.risk.hazards(now_ms, &classes::groups()), &self.steps)
    }
}
