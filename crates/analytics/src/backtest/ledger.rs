//! What each policy's plans have been worth so far, and which policy to trust.

mod cells;

pub use cells::Cell;

use serde::{Deserialize, Serialize};

/// By how much (as a share of the clairvoyant gain) another policy must lead the preferred one to be chosen instead. Choosing
/// by smaller differences follows noise.
const MARGIN: f64 = 0.02;
/// How much more it must lead after a single plan; the noise falls with the square root of their number.
const NOISE: f64 = 0.1;

/// Worth of frozen plans, by horizon, budget and policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    policies: Vec<String>,
    horizons_ms: Vec<u64>,
    budgets: usize,
    /// How many plans were judged, horizon after horizon, budget after budget; fades with time.
    plans: Vec<f64>,
    /// Sum of the shares of the clairvoyant gain, likewise, policy after policy.
    shares: Vec<f64>,
}

/// What a policy's plans were worth on average.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyShare {
    /// Which policy.
    pub policy: String,
    /// Share of what a clairvoyant plan would have gained, 0 to 1.
    pub share: f64,
}

/// Which policy a plan should follow, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Which policy.
    pub policy: String,
    /// A sentence for people.
    pub why: String,
    /// All policies, best first; empty without evidence.
    pub shares: Vec<PolicyShare>,
}

impl Ledger {
    /// Nothing judged yet. The first policy is the preferred one.
    pub fn new(policies: Vec<String>, horizons_ms: &[u64], budgets: usize) -> Ledger {
        let cells = horizons_ms.len() * budgets;
        let shares = vec![0.0; cells * policies.len()];
        Ledger { policies, horizons_ms: horizons_ms.to_vec(), budgets, plans: vec![0.0; cells], shares }
    }

    /// The policies that are compared, the preferred one first.
    pub fn policies(&self) -> &[String] {
        &self.policies
    }

    /// Counts the plans of one moment at one horizon: for each policy and budget the blocks used, and for each budget
    /// how many a clairvoyant plan would have hit. Budgets where that is none are left out.
    pub fn record(&mut self, horizon: usize, most: &[usize], used: &[Vec<usize>]) {
        for (budget, &most) in most.iter().enumerate().take(self.budgets) {
            let cell = horizon * self.budgets + budget;
            if most == 0 || cell >= self.plans.len() {
                continue;
            }
            self.plans[cell] += 1.0;
            let shares = &mut self.shares[cell * self.policies.len()..(cell + 1) * self.policies.len()];
            for (share, used) in shares.iter_mut().zip(used) {
                *share += used.get(budget).map_or(0.0, |&used| used as f64 / most as f64);
            }
        }
    }

    /// Halves the weight of all that was judged so far.
    pub fn fade(&mut self) {
        self.plans.iter_mut().chain(&mut self.shares).for_each(|weight| *weight /= 2.0);
    }

    /// Weight of all evidence: plans judged, the older ones counting less.
    pub fn evidence(&self) -> f64 {
        self.plans.iter().sum()
    }

    /// Mean share of a policy over the horizons and budgets that have evidence.
    pub fn share(&self, policy: usize) -> Option<f64> {
        let (mut sum, mut cells) = (0.0, 0);
        for (cell, &plans) in self.plans.iter().enumerate() {
            if plans > 0.0 {
                sum += self.shares.get(cell * self.policies.len() + policy)? / plans;
                cells += 1;
            }
        }
        (cells > 0).then(|| sum / f64::from(cells))
    }

    /// The number of the policy to follow, among those that `offered` says yes to: the preferred one unless another leads it by 2
    /// points of the clairvoyant gain, and by more while few plans have been judged.
    ///
    /// Over all horizons and budgets together: fewer plans decide less well than they fit better.
    pub fn best(&self, offered: impl Fn(usize) -> bool) -> usize {
        let Some(preferred) = self.share(0) else { return 0 };
        let rivals = (1..self.policies.len()).filter(|&policy| offered(policy));
        let rival = rivals.filter_map(|policy| Some((self.share(policy)?, policy))).fold(None, |best, rival| {
            // The first of equals.
            best.filter(|best: &(f64, usize)| best.0 >= rival.0).or(Some(rival))
        });
        let judged = self.plans.iter().filter(|&&plans| plans > 0.0);
        let plans = judged.clone().sum::<f64>() / judged.count().max(1) as f64;
        let margin = MARGIN + NOISE / plans.sqrt();
        rival.filter(|rival| rival.0 > preferred + margin).map_or(0, |rival| rival.1)
    }

    /// The choice with its reasons.
    pub fn choice(&self) -> Choice {
        let best = self.best(|_| true);
        let name = |policy: usize| self.policies.get(policy).cloned().unwrap_or_default();
        let mut shares: Vec<PolicyShare> = (0..self.policies.len())
            .filter_map(|policy| Some(PolicyShare { policy: name(policy), share: self.share(policy)? }))
            .collect();
        shares.sort_by(|a, b| b.share.total_cmp(&a.share));
        let percent = |policy: usize| self.share(policy).unwrap_or(0.0) * 100.0;
        let why = if shares.is_empty() {
            format!("`{}`, because no plan has been judged yet", name(best))
        } else if best == 0 {
            let rival = shares.iter().find(|share| share.policy != name(0));
            let rival = rival.map_or(String::new(), |rival| {
                format!("; the best other policy, `{}`, {:.1} %", rival.policy, rival.share * 100.0)
            });
            format!("`{}`: its plans so far gained {:.1} % of what a clairvoyant gains{rival}", name(0), percent(0))
        } else {
            format!(
                "`{}`: its plans so far gained {:.1} % of what a clairvoyant gains, those of `{}` only {:.1} %",
                name(best),
                percent(best),
                name(0),
                percent(0)
            )
        };
        Choice { policy: name(best), why, shares }
    }

    /// Whether both compare the same policies over the same horizons and as many budgets.
    pub(crate) fn has_shape_of(&self, other: &Ledger) -> bool {
        self.policies == other.policies
            && self.horizons_ms == other.horizons_ms
            && self.budgets == other.budgets
            && self.plans.len() == other.plans.len()
            && self.shares.len() == other.shares.len()
    }

    /// The evidence of two histories together, as far as they compared the same policies over the same horizons; otherwise
    /// the one with more of it stays.
    pub fn merge(&mut self, other: &Ledger) {
        if self.has_shape_of(other) {
            self.plans.iter_mut().zip(&other.plans).for_each(|(ours, theirs)| *ours += theirs);
            self.shares.iter_mut().zip(&other.shares).for_each(|(ours, theirs)| *ours += theirs);
        } else if other.evidence() > self.evidence() {
            self.clone_from(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        Ledger::new(["learned", "recent", "frequent"].map(str::to_owned).to_vec(), &[60_000, 300_000], 2)
    }

    #[test]
    fn the_preferred_policy_stays_until_another_leads_it_clearly() {
        let check = |learned, recent, frequent, expect: &str| {
            let mut ledger = ledger();
            ledger.record(1, &[100, 0], &[vec![learned, 0], vec![recent, 0], vec![frequent, 0]]);
            let choice = ledger.choice();
            assert_eq!(choice.policy, expect, "{}", choice.why);
            assert!(choice.why.contains(expect));
        };
        check(50, 40, 45, "learned");
        check(50, 40, 51, "learned");
        check(50, 40, 61, "learned");
        check(50, 40, 63, "frequent");
        check(50, 90, 63, "recent");
        // The more plans, the less is noise.
        let mut often = ledger();
        (0..400).for_each(|_| often.record(1, &[100, 0], &[vec![50, 0], vec![40, 0], vec![53, 0]]));
        assert_eq!(often.choice().policy, "frequent");
        assert!(ledger().choice().why.contains("no plan"));
    }

    #[test]
    fn evidence_fades_and_merges() {
        let mut old = ledger();
        old.record(0, &[10, 20], &[vec![10, 20], vec![0, 0], vec![5, 10]]);
        old.fade();
        old.record(0, &[10, 20], &[vec![0, 0], vec![10, 20], vec![5, 10]]);
        assert_eq!([0, 1, 2].map(|policy| old.share(policy)), [Some(1.0 / 3.0), Some(2.0 / 3.0), Some(0.5)]);
        let mut both = old.clone();
        both.merge(&old);
        assert_eq!((both.evidence(), both.share(0)), (2.0 * old.evidence(), old.share(0)));
        let mut other = Ledger::new(vec!["one".to_owned()], &[1], 1);
        other.merge(&old);
        assert_eq!(other, old);
    }
}
