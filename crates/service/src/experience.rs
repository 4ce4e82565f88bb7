//! What plans were worth, against what they had promised: whether their probabilities came true, and whether what they loaded was used.
//!
//! Life tables and weights are learned from every event, so a plan's outcome would teach them nothing that they do not know. What they
//! cannot know is in the outcomes alone: that the prefixes which a policy *picks* come less often than those of equal probability do
//! (who picks the highest of many estimates picks errors, too), and that blocks came too late or had to leave early. So there are
//! two figures, for each policy that chose:
//!
//! - by horizon, a *shift* of the logit of its probabilities: logistic recalibration by an intercept (D. R. Cox, 1958), one Newton
//!   step a plan from a normal prior around 0, with older plans fading;
//! - by horizon and budget, how much of its *promise* was kept: prefixes used over uses expected before any correction. `auto` counts
//!   with that share of what a policy's frozen plans were worth.
//!
//! The prefixes of a plan mostly come or stay away together, so a plan counts as a few prefixes, however many it has.

use prefix_indexer_analytics::{Estimate, backtest::Choice};
use serde::{Deserialize, Serialize};

/// Prefixes that a plan counts as, at most.
const PLAN: f64 = 16.0;
/// What a plan's evidence is worth a plan later.
const FADING: f64 = 0.95;
/// Precision of the prior of a shift: two thirds lie within 0.5 of none.
const PRIOR: f64 = 4.0;
/// Plans of random outcome are worth so much precision at most, of 16 prefixes at 50 %.
const PLAN_PRECISION: f64 = PLAN / 4.0;
/// A shift stays within that, and a step within a quarter of it: odds change at most 50-fold.
const MOST: f64 = 4.0;
/// Uses that are taken to have been expected, and to have come, before there was any plan.
const TRUST: f64 = 4.0;
/// By how much (as a share of the clairvoyant gain) another policy must lead to be chosen instead: as where no plan has been judged.
const MARGIN: f64 = 0.02;

/// What plans were worth, by the policy that chose.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Experience {
    shifts: Vec<Shift>,
    promises: Vec<Promise>,
}

/// How the probabilities of a policy's picks are corrected, for horizons from `horizon_ms` to twice that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shift {
    /// The policy.
    pub policy: String,
    /// The shortest horizon of these.
    pub horizon_ms: u64,
    /// Plans judged.
    pub plans: u64,
    /// What is added to the logit of a probability.
    pub shift: f64,
    precision: f64,
}

/// What a policy promised and kept, for horizons from `horizon_ms` to twice that and budgets from `budget_bytes` to four times that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Promise {
    /// The policy.
    pub policy: String,
    /// The shortest horizon of these.
    pub horizon_ms: u64,
    /// The smallest budget of these.
    pub budget_bytes: u64,
    /// Plans judged.
    pub plans: u64,
    /// Prefixes that were expected to be used, older plans counting less.
    pub expected: f64,
    /// Prefixes that were.
    pub used: f64,
}

impl Promise {
    /// Share of the promise that was kept, 0 to 1; 1 without evidence.
    pub fn kept(&self) -> f64 {
        f64::min(1.0, (self.used + TRUST) / (self.expected + TRUST))
    }
}

/// A plan whose horizon has ended, as far as it teaches anything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judged<'a> {
    pub(crate) policy: &'a str,
    pub(crate) horizon_ms: u64,
    pub(crate) budget_bytes: u64,
    /// What its probabilities had been corrected by.
    pub(crate) correction: Correction,
    /// Of each prefix whose fate is known.
    pub(crate) picks: &'a [Pick],
}

/// A planned prefix.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pick {
    /// As the plan had it.
    pub(crate) probability: f64,
    /// Whether it was asked for in time; none where it was not there long enough to tell.
    pub(crate) came: Option<bool>,
    /// Whether it was there then.
    pub(crate) used: bool,
}

/// What is added to the logit of probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Correction(f64);

impl Correction {
    pub(crate) fn is_none(self) -> bool {
        self.0 == 0.0
    }

    /// The corrected estimate; uses change as the probability does.
    pub(crate) fn of(self, estimate: Estimate) -> Estimate {
        if self.is_none() {
            return estimate;
        }
        let Estimate { probability, expected_uses } = estimate;
        let corrected = shifted(probability, self.0);
        let uses = if probability > 0.0 { expected_uses * corrected / probability } else { expected_uses };
        Estimate { probability: corrected, expected_uses: uses }
    }
}

/// A probability with other odds: those times e^shift. 0 and 1 stay what they are.
fn shifted(probability: f64, shift: f64) -> f64 {
    let odds = shift.exp();
    probability * odds / (1.0 - probability + probability * odds)
}

/// The power of `base` at or below a number.
fn level(number: u64, base: u64) -> u64 {
    number.checked_ilog(base).map_or(0, |power| base.saturating_pow(power))
}

impl Experience {
    fn shift_of(&self, policy: &str, horizon_ms: u64) -> Option<&Shift> {
        let horizon_ms = level(horizon_ms, 2);
        self.shifts.iter().find(|shift| shift.horizon_ms == horizon_ms && shift.policy == policy)
    }

    /// How a policy's probabilities are corrected.
    pub(crate) fn correction(&self, policy: &str, horizon_ms: u64) -> Correction {
        Correction(self.shift_of(policy, horizon_ms).map_or(0.0, |shift| shift.shift))
    }

    /// Share of its promises that a policy kept at a horizon and budget; 1 where it has made none.
    pub fn kept(&self, policy: &str, horizon_ms: u64, budget_bytes: u64) -> f64 {
        let (horizon_ms, budget_bytes) = (level(horizon_ms, 2), level(budget_bytes, 4));
        let mut promises = self.promises.iter();
        let same = |promise: &&Promise| {
            promise.horizon_ms == horizon_ms && promise.budget_bytes == budget_bytes && promise.policy == policy
        };
        promises.find(same).map_or(1.0, Promise::kept)
    }

    /// The choice of `auto`, once it is counted what policies kept of their promises.
    pub(crate) fn choose(&self, choice: Choice, horizon_ms: u64, budget_bytes: u64) -> Choice {
        let worth = |policy: &str, share: f64| share * self.kept(policy, horizon_ms, budget_bytes);
        let of = |policy: &str| choice.shares.iter().find(|share| share.policy == policy);
        let Some(own) = of(&choice.policy) else { return choice };
        let own = worth(&own.policy, own.share);
        let mut best: Option<(f64, &str)> = None;
        for rival in choice.shares.iter().filter(|share| share.policy != choice.policy) {
            let worth = worth(&rival.policy, rival.share);
            if worth > own + MARGIN && best.is_none_or(|(best, _)| worth > best) {
                best = Some((worth, &rival.policy));
            }
        }
        let Some((_, rival)) = best else { return choice };
        let why = format!(
            "`{rival}`: for such plans `{}` kept {:.0} % of what it promised; counting with that, `{rival}` gains more",
            choice.policy,
            100.0 * self.kept(&choice.policy, horizon_ms, budget_bytes)
        );
        Choice { policy: rival.to_owned(), why, shares: choice.shares }
    }

    /// Learns from a plan.
    pub(crate) fn learn(&mut self, plan: &Judged<'_>) {
        if plan.picks.is_empty() {
            return;
        }
        let weight = f64::min(1.0, PLAN / plan.picks.len() as f64);
        let promise = self.promise(plan);
        (promise.expected, promise.used) = (promise.expected * FADING, promise.used * FADING);
        promise.plans += 1;
        for pick in plan.picks {
            promise.expected += weight * shifted(pick.probability, -plan.correction.0);
            promise.used += weight * f64::from(u8::from(pick.used));
        }
        let shift = self.shift(plan);
        shift.plans += 1;
        let (mut error, mut precision) = (0.0, 0.0);
        for pick in plan.picks {
            let Some(came) = pick.came else { continue };
            let probability = shifted(pick.probability, shift.shift - plan.correction.0);
            error += f64::from(u8::from(came)) - probability;
            precision += probability * (1.0 - probability);
        }
        let weight = f64::min(weight, PLAN_PRECISION / precision.max(f64::MIN_POSITIVE));
        shift.precision = PRIOR.max(shift.precision * FADING) + weight * precision;
        shift.step(weight * error);
    }

    /// Takes in that a prefix of a plan that was learned from came or was used after all, or was not: 1, 0 or -1.
    pub(crate) fn amend(&mut self, plan: &Judged<'_>, came: i8, used: i8) {
        if plan.picks.is_empty() {
            return;
        }
        let weight = f64::min(1.0, PLAN / plan.picks.len() as f64);
        let promise = self.promise(plan);
        promise.used = f64::max(0.0, promise.used + weight * f64::from(used));
        self.shift(plan).step(weight * f64::from(came));
    }

    /// Adds what plans of another index taught: promises add up, and of two estimates of a shift comes the one that all plans together
    /// would have given (the product of two normal posteriors that share one prior).
    pub(crate) fn merge(&mut self, other: Experience) {
        for theirs in other.shifts {
            let own = self.shift_at(&theirs.policy, theirs.horizon_ms);
            let precision = PRIOR.max(own.precision + theirs.precision - PRIOR);
            let weighed = own.shift * own.precision + theirs.shift * theirs.precision;
            own.shift = (weighed / precision).clamp(-MOST, MOST);
            own.precision = precision;
            own.plans += theirs.plans;
        }
        for theirs in other.promises {
            let own = self.promise_at(&theirs.policy, theirs.horizon_ms, theirs.budget_bytes);
            own.plans += theirs.plans;
            own.expected += theirs.expected;
            own.used += theirs.used;
        }
    }

    fn shift(&mut self, plan: &Judged<'_>) -> &mut Shift {
        self.shift_at(plan.policy, level(plan.horizon_ms, 2))
    }

    fn shift_at(&mut self, policy: &str, horizon_ms: u64) -> &mut Shift {
        let known = self.shifts.iter().position(|shift| shift.horizon_ms == horizon_ms && shift.policy == policy);
        let place = known.unwrap_or_else(|| {
            let policy = policy.to_owned();
            self.shifts.push(Shift { policy, horizon_ms, plans: 0, shift: 0.0, precision: PRIOR });
            self.shifts.len() - 1
        });
        &mut self.shifts[place]
    }

    fn promise(&mut self, plan: &Judged<'_>) -> &mut Promise {
        self.promise_at(plan.policy, level(plan.horizon_ms, 2), level(plan.budget_bytes, 4))
    }

    fn promise_at(&mut self, policy: &str, horizon_ms: u64, budget_bytes: u64) -> &mut Promise {
        let known = self.promises.iter().position(|promise| {
            (promise.horizon_ms, promise.budget_bytes) == (horizon_ms, budget_bytes) && promise.policy == policy
        });
        let place = known.unwrap_or_else(|| {
            let policy = policy.to_owned();
            self.promises.push(Promise { policy, horizon_ms, budget_bytes, plans: 0, expected: 0.0, used: 0.0 });
            self.promises.len() - 1
        });
        &mut self.promises[place]
    }

    /// How probabilities are corrected, in the order in which policies and horizons were met.
    pub fn shifts(&self) -> &[Shift] {
        &self.shifts
    }

    /// What was promised and kept, likewise.
    pub fn promises(&self) -> &[Promise] {
        &self.promises
    }
}

impl Shift {
    fn step(&mut self, error: f64) {
        let step = (error / self.precision).clamp(-MOST / 4.0, MOST / 4.0);
        self.shift = (self.shift + step).clamp(-MOST, MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prefix_indexer_analytics::backtest::PolicyShare;

    const HORIZON_MS: u64 = 300_000;
    const BUDGET: u64 = 1 << 20;

    fn judged<'a>(policy: &'a str, correction: Correction, picks: &'a [Pick]) -> Judged<'a> {
        Judged { policy, horizon_ms: HORIZON_MS, budget_bytes: BUDGET, correction, picks }
    }

    /// Plans of ten prefixes that say `predicted` and of which `share` come, the corrections of each made known to the next.
    fn learned(policy: &str, plans: usize, predicted: f64, share: f64) -> Experience {
        let mut experience = Experience::default();
        for _ in 0..plans {
            let correction = experience.correction(policy, HORIZON_MS);
            let said = correction.of(Estimate { probability: predicted, expected_uses: predicted }).probability;
            let picks: Vec<Pick> = (0..10)
                .map(|place| f64::from(place) < 10.0 * share)
                .map(|came| Pick { probability: said, came: Some(came), used: came })
                .collect();
            experience.learn(&judged(policy, correction, &picks));
        }
        experience
    }

    #[test]
    fn probabilities_come_to_mean_what_they_say() {
        let check = |predicted, share, expect: f64| {
            let experience = learned("reuse", 40, predicted, share);
            let correction = experience.correction("reuse", HORIZON_MS);
            let said = correction.of(Estimate { probability: predicted, expected_uses: 2.0 * predicted });
            assert!((said.probability - expect).abs() < 0.06, "{predicted} {share}: {said:?}");
            assert!((said.expected_uses - 2.0 * said.probability).abs() < 1e-12);
        };
        check(0.8, 0.4, 0.4);
        check(0.1, 0.5, 0.5);
        check(0.3, 0.3, 0.3);
        let untouched = learned("reuse", 40, 0.8, 0.4);
        assert!(untouched.correction("reuse", 4 * HORIZON_MS).is_none());
        assert!(untouched.correction("learned", HORIZON_MS).is_none());
    }

    #[test]
    fn plans_that_were_made_at_once_are_not_counted_twice_over() {
        let mut experience = Experience::default();
        let picks: Vec<Pick> =
            (0..10).map(|place| Pick { probability: 0.8, came: Some(place < 4), used: place < 4 }).collect();
        for _ in 0..200 {
            experience.learn(&judged("reuse", Correction::default(), &picks));
        }
        let said = experience.correction("reuse", HORIZON_MS).of(Estimate { probability: 0.8, expected_uses: 1.0 });
        assert!((said.probability - 0.4).abs() < 0.05, "{said:?}");
    }

    #[test]
    fn auto_turns_from_a_policy_that_breaks_its_promises_and_back() {
        let share = |policy: &str, share| PolicyShare { policy: policy.to_owned(), share };
        let choice = || Choice {
            policy: "learned".into(),
            why: "first".into(),
            shares: vec![share("learned", 0.6), share("reuse", 0.5)],
        };
        let check = |experience: &Experience, horizon_ms, expect: &str| {
            let chosen = experience.choose(choice(), horizon_ms, BUDGET);
            assert_eq!(chosen.policy, expect, "{}", chosen.why);
        };
        check(&Experience::default(), HORIZON_MS, "learned");
        let broken = learned("learned", 20, 0.8, 0.2);
        assert!(broken.kept("learned", HORIZON_MS, BUDGET) < 0.5);
        check(&broken, HORIZON_MS, "reuse");
        check(&broken, 4 * HORIZON_MS, "learned");
        check(&learned("learned", 20, 0.5, 0.8), HORIZON_MS, "learned");
        // The other one is no better.
        let mut both = broken;
        both.promises.extend(learned("reuse", 20, 0.8, 0.2).promises);
        check(&both, HORIZON_MS, "learned");
    }

    #[test]
    fn merged_experience_is_that_of_all_plans() {
        let (a, b, c) = (learned("reuse", 9, 0.8, 0.4), learned("reuse", 4, 0.3, 0.6), learned("learned", 3, 0.5, 0.1));
        let merged = |parts: &[&Experience]| {
            let mut all = Experience::default();
            parts.iter().for_each(|part| all.merge((*part).clone()));
            all
        };
        assert_eq!(merged(&[&a]), a, "nothing known before changes nothing");
        assert_eq!(merged(&[&a, &c]), merged(&[&merged(&[&a, &c])]));
        let close = |a: &Experience, b: &Experience| {
            assert_eq!((a.shifts.len(), a.promises.len()), (b.shifts.len(), b.promises.len()));
            for shift in &a.shifts {
                let other = b.shift_of(&shift.policy, shift.horizon_ms).unwrap();
                assert!((shift.shift - other.shift).abs() < 1e-9 && (shift.precision - other.precision).abs() < 1e-9);
                assert_eq!(shift.plans, other.plans);
            }
            for promise in &a.promises {
                let kept = b.kept(&promise.policy, promise.horizon_ms, promise.budget_bytes);
                assert!((promise.kept() - kept).abs() < 1e-9);
            }
        };
        close(&merged(&[&a, &b, &c]), &merged(&[&c, &b, &a]));
        close(&merged(&[&merged(&[&a, &b]), &c]), &merged(&[&a, &merged(&[&b, &c])]));
        let both = merged(&[&a, &b]);
        let between = |low: f64, high: f64, value: f64| low < value && value < high;
        assert!(between(a.shifts[0].shift, b.shifts[0].shift, both.shifts[0].shift), "{both:?}");
        assert_eq!((both.shifts[0].plans, both.promises[0].plans), (13, 13));
        assert_eq!(both.promises[0].used, a.promises[0].used + b.promises[0].used);
    }

    #[test]
    fn what_is_known_later_amends() {
        let mut experience = learned("reuse", 1, 0.5, 0.5);
        let before = experience.clone();
        let picks = [Pick { probability: 0.5, came: Some(true), used: true }; 10];
        let judged = judged("reuse", Correction::default(), &picks);
        experience.amend(&judged, -1, -1);
        assert_eq!(experience.promises[0].used, before.promises[0].used - 1.0);
        assert!(experience.shifts[0].shift < before.shifts[0].shift);
        experience.learn(&Judged { picks: &[], ..judged });
        assert_eq!(experience.promises[0].plans, 1, "nothing is known");
    }
}
