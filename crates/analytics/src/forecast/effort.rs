//! How much work goes into learning.

use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// How often and how widely a [`Forecaster`](super::Forecaster) looks at what it knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effort {
    /// Windows after a moment that probabilities are learned for, in milliseconds, ascending.
    pub horizons_ms: Vec<u64>,
    /// Sizes of the plans that are judged, as shares of the blocks known, ascending.
    pub budgets: Vec<f64>,
    /// Blocks looked at a step and horizon.
    pub rows: usize,
    /// Uses between two steps: a 64th of those so far, but at least and at most so many. So what an event
    /// costs falls as the history grows.
    pub uses_a_step: RangeInclusive<u64>,
    /// Blocks that judged plans choose from: a sample of those known, when there are more.
    pub planned_blocks: usize,
    /// Steps from one judged plan to the next.
    pub steps_a_plan: u32,
    /// Uses between two judged plans, as a multiple of the blocks known, unless the uses have doubled before that.
    pub uses_a_block_a_plan: f64,
    /// Whether life tables forget: when the steps become longer, what came before counts half.
    pub tables_fade: bool,
    /// Whether requests are whole chains, root first, so that it can be learned where in the tree they go on.
    pub chains: bool,
}

impl Effort {
    /// For a replay, where all blocks are at hand and exactness is worth some seconds.
    pub fn replay() -> Effort {
        Effort {
            horizons_ms: vec![60_000, 300_000],
            budgets: vec![0.01, 0.02, 0.05, 0.1, 0.25],
            rows: 1_000,
            uses_a_step: 1..=1,
            planned_blocks: usize::MAX,
            steps_a_plan: 8,
            uses_a_block_a_plan: 0.0,
            tables_fade: false,
            chains: true,
        }
    }

    /// For learning beside ingestion.
    pub fn ingestion() -> Effort {
        Effort {
            horizons_ms: vec![60_000, 300_000, 1_800_000],
            rows: 64,
            uses_a_step: 512..=65_536,
            planned_blocks: 2_048,
            steps_a_plan: 1,
            uses_a_block_a_plan: 128.0,
            tables_fade: true,
            chains: false,
            ..Effort::replay()
        }
    }
}
