//! The bounded controller: which way is up, by rule of thumb.

use super::{Evidence, Step};

/// Shares of the used blocks from which lateness and eviction call for a change.
const MANY: f64 = 0.25;
/// Waste is little below this share of what is saved.
const LITTLE: f64 = 0.1;

/// The step that the evidence calls for, none where it calls for none. `may` says whether a step stays within bounds.
pub(super) fn step(evidence: &Evidence, waste_ms: f64, may: impl Fn(Step) -> bool) -> Option<Step> {
    let Evidence { used, late, evicted, saved_ms, .. } = *evidence;
    let many = |count: u64| count as f64 > MANY * used as f64;
    let wishes: &[Step] = if waste_ms > saved_ms {
        &[Step::Choosier, Step::Slower]
    } else if evicted > 0 && many(evicted) {
        &[Step::Slower, Step::Choosier]
    } else if late > 0 && many(late) {
        &[Step::Faster, Step::Choosier]
    } else if waste_ms < LITTLE * saved_ms {
        &[Step::LessChoosy, Step::Faster]
    } else {
        &[]
    };
    wishes.iter().copied().find(|step| may(*step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_says_which_way() {
        let check = |evidence: Evidence, waste_ms, expect: [Option<Step>; 2]| {
            assert_eq!(step(&evidence, waste_ms, |_| true), expect[0], "{evidence:?}");
            // At the bound of the first wish the second one counts.
            assert_eq!(step(&evidence, waste_ms, |step| Some(step) != expect[0]), expect[1], "{evidence:?}");
        };
        let base = Evidence { used: 100, saved_ms: 1_000.0, ..Evidence::default() };
        check(base, 2_000.0, [Some(Step::Choosier), Some(Step::Slower)]);
        check(Evidence { evicted: 30, ..base }, 200.0, [Some(Step::Slower), Some(Step::Choosier)]);
        check(Evidence { late: 30, ..base }, 200.0, [Some(Step::Faster), Some(Step::Choosier)]);
        check(base, 50.0, [Some(Step::LessChoosy), Some(Step::Faster)]);
        check(base, 200.0, [None, None]);
        check(Evidence::default(), 0.0, [None, None]);
    }
}
