//! Plans that are frozen at a moment and judged by the uses that follow: the core that replays and learners have in common.
//!
//! What a plan is worth is the number of its blocks that are used at least once within the horizon, over the number that a
//! clairvoyant plan of the same size would hit. A block that comes back ten times counts once: the first use brings it
//! back anyway. A [`Ledger`] adds such shares up by policy, horizon and budget, and says which policy has done best.

mod ledger;
mod warmup;

pub use ledger::{Cell, Choice, Ledger, PolicyShare};
pub use warmup::Warmup;

/// How many of the first blocks of a plan were used, for each budget (in blocks, ascending). A plan is closed under
/// ancestors when it lists roots first, and then so is any beginning of it.
pub fn used_within(plan: &[u32], budgets: &[usize], used: impl Fn(u32) -> bool) -> Vec<usize> {
    let mut counts = Vec::with_capacity(budgets.len());
    let (mut hits, mut from) = (0, 0);
    for &budget in budgets {
        let to = budget.min(plan.len());
        hits += plan.get(from..to).unwrap_or(&[]).iter().filter(|&&block| used(block)).count();
        from = to.max(from);
        counts.push(hits);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_used_blocks_by_budget() {
        let used = |block: u32| block.is_multiple_of(2);
        assert_eq!(used_within(&[0, 1, 2, 4, 5], &[1, 3, 4, 9], used), [1, 2, 3, 3]);
        assert_eq!(used_within(&[], &[1, 2], used), [0, 0]);
    }
}
