//! The ledger cell by cell: what plans of one size for one horizon were worth.

use super::{Ledger, PolicyShare};
use serde::Serialize;

/// What was judged at one horizon and budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cell {
    /// How long uses counted, in milliseconds.
    pub horizon_ms: u64,
    /// Number of the budget, ascending.
    #[serde(skip)]
    pub budget: usize,
    /// Weight of the plans judged, the older ones counting less.
    pub plans: f64,
    /// All policies, best first.
    pub shares: Vec<PolicyShare>,
}

impl Ledger {
    /// The cells that have evidence: by horizon, then budget.
    pub fn cells(&self) -> Vec<Cell> {
        let cell = |(number, &plans): (usize, &f64)| {
            let horizon_ms = *self.horizons_ms.get(number / self.budgets.max(1))?;
            let from = number * self.policies.len();
            let sums = self.shares.get(from..from + self.policies.len())?;
            let share = |(policy, sum): (&String, &f64)| PolicyShare { policy: policy.clone(), share: sum / plans };
            let mut shares: Vec<PolicyShare> = self.policies.iter().zip(sums).map(share).collect();
            shares.sort_by(|a, b| b.share.total_cmp(&a.share));
            Some(Cell { horizon_ms, budget: number % self.budgets.max(1), plans, shares })
        };
        self.plans.iter().enumerate().filter(|(_, plans)| **plans > 0.0).filter_map(cell).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_with_evidence() {
        let mut ledger = Ledger::new(vec!["a".into(), "b".into()], &[60, 300], 2);
        assert!(ledger.cells().is_empty());
        ledger.record(1, &[0, 4], &[vec![0, 1], vec![0, 3]]);
        ledger.record(1, &[0, 4], &[vec![0, 1], vec![0, 4]]);
        let share = |policy: &str, share| PolicyShare { policy: policy.into(), share };
        let expect = Cell { horizon_ms: 300, budget: 1, plans: 2.0, shares: vec![share("b", 0.875), share("a", 0.25)] };
        assert_eq!(ledger.cells(), [expect]);
    }
}
