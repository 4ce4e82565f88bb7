//! What an index's own history recommends: which policy at which horizon and budget, and which half-lives.

use prefix_indexer_analytics::{Effort, Learner, backtest::PolicyShare};
use serde::Serialize;

/// What was learned, for whoever chooses settings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tuning {
    /// What `auto` does now: `learned` (the learned probability), the name of a policy, or `untrained`.
    pub policy: String,
    /// Why, in a sentence.
    pub why: String,
    /// Of all horizons and budgets together, each policy's share of what a clairvoyant plan would have gained; best first, empty
    /// without evidence.
    pub shares: Vec<PolicyShare>,
    /// The same horizon by horizon and budget by budget.
    pub cells: Vec<TunedCell>,
    /// The half-life whose plans were worth most, of those that the index keeps; none without evidence.
    pub half_life: Option<String>,
    /// What to make of that: whether a shorter or longer one may be worth keeping.
    pub half_life_advice: String,
    /// Predicted probabilities against what happened, for each learned horizon.
    pub calibration: Vec<Calibration>,
    /// Prefixes that are followed to learn from.
    pub followed: usize,
    /// Share of all prefixes that is followed, 0 to 1.
    pub followed_share: f64,
}

/// What was judged at one horizon and budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TunedCell {
    /// How long uses counted, in milliseconds.
    pub horizon_ms: u64,
    /// Size of the plans, as a share of the prefixes known.
    pub budget_share: f64,
    /// Weight of the plans judged, the older ones counting less.
    pub plans: f64,
    /// The policy that was best.
    pub policy: String,
    /// Its share of what a clairvoyant plan would have gained.
    pub share: f64,
}

/// How well probabilities held.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    /// Of uses within so many milliseconds.
    pub horizon_ms: u64,
    /// Uses that were predicted.
    pub expected: f64,
    /// Uses that came.
    pub observed: u64,
}

/// The recommendations of what an index has learned.
pub fn tuning(learner: &Learner) -> Tuning {
    let model = learner.model();
    let choice = model.choice();
    let budgets = Effort::ingestion().budgets;
    let cells = model.ledger().cells().into_iter().filter_map(|cell| {
        let best = cell.shares.first()?.clone();
        let budget_share = *budgets.get(cell.budget)?;
        let (horizon_ms, plans) = (cell.horizon_ms, cell.plans);
        Some(TunedCell { horizon_ms, budget_share, plans, policy: best.policy, share: best.share })
    });
    let half_life = |share: &PolicyShare| share.policy.strip_prefix("decay-").map(str::to_owned);
    let best = choice.shares.iter().find_map(half_life);
    let kept = model.ladder().to_string();
    let kept: Vec<&str> = kept.split(',').collect();
    let advice = match best.as_deref() {
        None => "no plan has been judged yet",
        Some(best) if kept.len() > 1 && kept.first() == Some(&best) => {
            "the shortest that this index keeps: a new index may gain by a shorter one"
        }
        Some(best) if kept.len() > 1 && kept.last() == Some(&best) => {
            "the longest that this index keeps: a new index may gain by a longer one"
        }
        Some(_) => "there is a shorter and a longer one, and it was worth more than both",
    };
    let advice = if kept.len() == 1 { "the only one that this index keeps" } else { advice };
    let calibration = model.reliability().map(|(horizon_ms, reliability)| Calibration {
        horizon_ms,
        expected: reliability.total().expected,
        observed: reliability.total().observed,
    });
    let (policy, why) = match choice.shares.is_empty() {
        true => {
            ("untrained".to_owned(), "its safe default, all decayed sums alike: no plan has been judged yet".to_owned())
        }
        false => (choice.policy, choice.why),
    };
    Tuning {
        policy,
        why,
        shares: choice.shares,
        cells: cells.collect(),
        half_life_advice: advice.to_owned(),
        half_life: best,
        calibration: calibration.collect(),
        followed: learner.followed(),
        followed_share: learner.share(),
    }
}
