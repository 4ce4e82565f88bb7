//! Popularity that fades: the number of uses, each worth half as much after every half-life.

use super::{Formula, Moment, Policy, PrefixFacts, Scoring};
use prefix_indexer_models::{Ladder, LadderError, Rank};

pub(super) const POLICY: Policy = Policy {
    name: "decay",
    help: "uses (or bytes, or latency: the index's utility), each halved every half-life",
    formula: "sum over uses of utility * 0.5^((now - t) / half-life)",
    source: "Cormode, Shkapenyuk, Srivastava, Xu: Forward decay, ICDE 2009",
    scoring: Scoring::PerHalfLife(make),
};

#[derive(Debug)]
struct Decay {
    rung: usize,
}

fn make(ladder: &Ladder, half_life_ms: u64) -> Result<Box<dyn Formula>, LadderError> {
    Ok(Box::new(Decay { rung: ladder.rung(half_life_ms)? }))
}

impl Decay {
    fn sum(&self, prefix: &PrefixFacts<'_>) -> f64 {
        prefix.sums.get(self.rung).copied().unwrap_or(0.0)
    }
}

impl Formula for Decay {
    fn score(&self, prefix: &PrefixFacts<'_>, moment: &Moment<'_>) -> f64 {
        moment.ladder.score(self.rung, prefix.last_seen_ms, self.sum(prefix), moment.now_ms)
    }

    fn rank(&self, prefix: &PrefixFacts<'_>, moment: &Moment<'_>) -> Rank {
        moment.ladder.rank(self.rung, prefix.last_seen_ms, self.sum(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policies::formula;
    use prefix_indexer_models::Clock;

    #[test]
    fn a_use_is_worth_half_after_a_half_life() {
        let ladder: Ladder = "1m,5m".parse().unwrap();
        let mut sums = [0.0; 2];
        let mut clock = Clock::new(&ladder);
        clock.set(300_000);
        clock.add(None, &mut sums, 1.0);
        clock.set(600_000);
        clock.add(Some(300_000), &mut sums, 1.0);
        let prefix = PrefixFacts {
            uses: 2,
            first_seen_ms: 300_000,
            last_seen_ms: 600_000,
            footprint_bytes: 0,
            depth: None,
            active_model: false,
            waiting: crate::Waiting::first(600_000),
            sums: &sums,
        };
        let check = |name, now_ms, expect: f64| {
            let score = formula(name, &ladder).unwrap().score(&prefix, &Moment { now_ms, ladder: &ladder });
            assert!((score - expect).abs() < 1e-12, "{name} at {now_ms}: {score}");
        };
        check("decay-5m", 600_000, 1.5);
        check("decay-5m", 900_000, 0.75);
        check("decay-1m", 600_000, 1.0 + 1.0 / 32.0);
        check("decay-5m", 0, 1.5);
    }
}
