//! What was loaded and waits for its first use, looked at in turn: has it left the tier again?

use prefix_indexer_models::PrefixKey;
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// Each block is looked at about so often.
const ROUND: Duration = Duration::from_secs(60);
/// Blocks looked at a cycle at least.
const LEAST: usize = 64;

/// Blocks in the order in which they are to be looked at, with the keys that they lie under.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    blocks: VecDeque<(PrefixKey, Arc<str>)>,
    /// Blocks of this round that have not been looked at.
    left: usize,
    /// Blocks a cycle in this round.
    pace: usize,
}

impl Roster {
    /// A block that is there now.
    pub(crate) fn add(&mut self, key: PrefixKey, lies_under: Arc<str>) {
        self.blocks.push_back((key, lies_under));
    }

    /// The blocks to look at in this cycle, which are taken out: those that nothing has become of yet.
    pub(crate) fn take(
        &mut self,
        interval: Duration,
        is_waiting: impl Fn(&PrefixKey) -> bool,
    ) -> Vec<(PrefixKey, Arc<str>)> {
        if self.left == 0 {
            let share = interval.as_secs_f64() / ROUND.as_secs_f64();
            self.left = self.blocks.len();
            self.pace = ((self.left as f64 * share).ceil() as usize).max(LEAST);
        }
        let due = self.pace.min(self.left);
        self.left -= due;
        self.blocks.drain(..due).filter(|(key, _)| is_waiting(key)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_looked_at_within_a_round_and_what_is_decided_goes() {
        let mut roster = Roster::default();
        let key = |number: u16| PrefixKey([&number.to_le_bytes()[..], &[0; 14]].concat().try_into().unwrap());
        (0..30_000).for_each(|number| roster.add(key(number), number.to_string().into()));
        let mut seen = 0;
        for _ in 0..120 {
            for (found, name) in roster.take(Duration::from_millis(500), |found| found.0[0] % 2 == 0) {
                assert_eq!(name.parse::<u16>().unwrap() % 2, 0);
                seen += 1;
                roster.add(found, name);
            }
        }
        assert_eq!((seen, roster.blocks.len()), (15_000, 15_000));
        assert_eq!(Roster::default().take(ROUND, |_| true), []);
    }
}
