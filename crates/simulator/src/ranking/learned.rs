//! The policies that learn as the trace goes by.

use super::{Question, Ranker, Scope};
use crate::{History, Request};
use prefix_indexer_analytics::{
    Effort, Forecaster, LifeTable, Waiting,
    policies::{AUTO, REUSE},
};
use prefix_indexer_models::{Ladder, Rank};

/// The probability of reuse by life tables alone.
#[derive(Debug, Default)]
pub struct ReuseRanker {
    table: LifeTable,
}

impl Ranker for ReuseRanker {
    fn name(&self) -> &str {
        REUSE
    }

    fn scope(&self) -> Scope {
        Scope::Horizon
    }

    fn observe(&mut self, request: &Request<'_>, history: &History<'_>) {
        for &block in request.blocks {
            if history.knows(block) {
                self.table.reuse(&history.facts(block).waiting, request.time_ms);
            } else {
                self.table.first_use(request.time_ms);
            }
        }
    }

    fn rank(&mut self, question: &Question, history: &History<'_>, ranks: &mut Vec<Rank>) {
        let model = self.table.model(question.now_ms);
        let hazard = |waiting: &Waiting| model.hazard(waiting, question.now_ms, question.horizon_ms);
        ranks.extend(history.order().iter().map(|&block| Rank::of_score(hazard(&history.facts(block).waiting), 0)));
    }
}

/// What has been learned from the history, or the policy that has planned better.
#[derive(Debug)]
pub struct AutoRanker {
    forecaster: Forecaster,
    by_number: Vec<Rank>,
}

impl AutoRanker {
    /// Over the ladder of a history.
    pub fn new(ladder: &Ladder) -> AutoRanker {
        AutoRanker { forecaster: Forecaster::new(ladder, Effort::replay()), by_number: Vec::new() }
    }

    /// What it has learned so far.
    pub fn forecaster(&self) -> &Forecaster {
        &self.forecaster
    }
}

impl Ranker for AutoRanker {
    fn name(&self) -> &str {
        AUTO
    }

    fn scope(&self) -> Scope {
        Scope::Horizon
    }

    fn observe(&mut self, request: &Request<'_>, history: &History<'_>) {
        let trace = history.trace();
        let parent = request.blocks.first().and_then(|&block| trace.parent(block));
        self.forecaster.observe(request.time_ms, parent, request.blocks, |block| trace.bytes(block));
    }

    fn rank(&mut self, question: &Question, history: &History<'_>, ranks: &mut Vec<Rank>) {
        self.forecaster.rank(question.now_ms, question.horizon_ms, &mut self.by_number);
        let rank = |&block: &u32| self.by_number.get(block as usize).copied().unwrap_or(Rank::LAST);
        ranks.extend(history.order().iter().map(rank));
    }
}
