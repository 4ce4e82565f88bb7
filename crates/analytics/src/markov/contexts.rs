//! What followed which context, in decayed counts and bounded memory.

use super::{Claim, MarkovConfig, Scope, beyond_share};
use serde::{Deserialize, Serialize};
use std::{cmp::Reverse, collections::BTreeMap};

/// The counts of all contexts of all tenants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound(serialize = "S: Serialize", deserialize = "S: Deserialize<'de> + Ord + Clone"))]
pub(super) struct Contexts<S> {
    pub(super) config: MarkovConfig,
    /// Observations so far.
    observed: u64,
    #[serde(with = "super::lists")]
    clocks: BTreeMap<Scope, Clock>,
    pairs: usize,
    /// Contexts newest symbol first, so that those which end alike lie together.
    #[serde(with = "super::lists")]
    after: BTreeMap<(Scope, Vec<S>), Vec<Successor<S>>>,
}

/// What time it is for one tenant: the observations of others make nothing of its own fade.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Clock {
    /// Observations of this tenant: the clock of the decay.
    own: u64,
    /// How many there had been of all at its last.
    last: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Successor<S> {
    symbol: S,
    count: f64,
    /// When the count was last brought up to date.
    clock: u64,
}

impl<S: Ord + Clone> Contexts<S> {
    pub(super) fn new(config: MarkovConfig) -> Contexts<S> {
        Contexts { config, observed: 0, clocks: BTreeMap::new(), pairs: 0, after: BTreeMap::new() }
    }

    pub(super) fn pairs(&self) -> usize {
        self.pairs
    }

    pub(super) fn observe(&mut self, scope: Scope, context: &[S], next: &S) {
        self.observed += 1;
        let clock = self.clocks.entry(scope).or_default();
        *clock = Clock { own: clock.own + 1, last: self.observed };
        let decay = Decay { clock: clock.own, half_life: self.config.half_life };
        for length in 0..=context.len().min(self.config.order()) {
            let key = (scope, last(context, length));
            let successors = self.after.entry(key).or_default();
            if let Some(known) = successors.iter_mut().find(|successor| successor.symbol == *next) {
                known.count = decay.now(known) + 1.0;
                known.clock = decay.clock;
                continue;
            }
            let new = Successor { symbol: next.clone(), count: 1.0, clock: decay.clock };
            if successors.len() < self.config.max_successors.max(1) {
                successors.push(new);
                self.pairs += 1;
            } else if let Some(least) = successors.iter_mut().min_by(|a, b| decay.order(a, b)) {
                *least = new;
            }
        }
        if self.pairs > self.config.max_pairs {
            self.evict();
        }
    }

    /// Names the symbols anew, each its own; those that have no new name are forgotten, with the contexts that they are in.
    pub(super) fn rename(&mut self, name: impl Fn(&S) -> Option<S>) {
        let renamed = std::mem::take(&mut self.after).into_iter().filter_map(|((scope, context), successors)| {
            let context: Option<Vec<S>> = context.iter().map(&name).collect();
            let known =
                successors.into_iter().filter_map(|known| Some(Successor { symbol: name(&known.symbol)?, ..known }));
            let successors: Vec<Successor<S>> = known.collect();
            Some(((scope, context?), successors)).filter(|(_, successors)| !successors.is_empty())
        });
        self.after = renamed.collect();
        self.pairs = self.after.values().map(Vec::len).sum();
    }

    fn decay(&self, scope: &Scope) -> Decay {
        Decay { clock: self.clocks.get(scope).map_or(0, |clock| clock.own), half_life: self.config.half_life }
    }

    /// Drops contexts until an eighth of the room is free: those with the least evidence, of the tenants that have more than their
    /// share. Ties: longer contexts first, which shorter ones can stand in for.
    fn evict(&mut self) {
        let keep = self.config.max_pairs - self.config.max_pairs / 8;
        let claims = self.after.iter().map(|((scope, context), successors)| {
            let decay = self.decay(scope);
            let total: f64 = successors.iter().map(|successor| decay.now(successor)).sum();
            let silence = self.observed - self.clocks.get(scope).map_or(0, |clock| clock.last);
            // Not negative, so that the order of the bits is that of the numbers.
            let worth = (total.to_bits(), Reverse(context.len()));
            Claim { owner: *scope, worth, size: successors.len(), silence }
        });
        let mut gone = beyond_share(&claims.collect::<Vec<_>>(), keep).into_iter().peekable();
        let mut next = 0;
        self.after.retain(|_, _| {
            next += 1;
            gone.next_if_eq(&(next - 1)).is_none()
        });
        self.pairs = self.after.values().map(Vec::len).sum();
        let after = &self.after;
        self.clocks
            .retain(|scope, _| after.range((*scope, Vec::new())..).next().is_some_and(|((of, _), _)| of == scope));
    }

    pub(super) fn predict(&self, scope: Scope, context: &[S], count: usize) -> Vec<(S, f64)> {
        let decay = self.decay(&scope);
        let mut probabilities: BTreeMap<&S, f64> = BTreeMap::new();
        for length in 0..=context.len().min(self.config.order()) {
            // A context that was never seen says nothing, and neither do those that end with it.
            let Some(successors) = self.after.get(&(scope, last(context, length))) else { continue };
            let counts = successors.iter().map(|successor| (&successor.symbol, decay.now(successor)));
            let (mut total, mut distinct) = (0.0, 0.0);
            for (_, count) in counts.clone() {
                total += count;
                distinct += f64::min(count, 1.0);
            }
            probabilities.values_mut().for_each(|probability| *probability *= distinct / (total + distinct));
            for (symbol, count) in counts {
                *probabilities.entry(symbol).or_default() += count / (total + distinct);
            }
        }
        let mut best: Vec<(&S, f64)> =
            probabilities.into_iter().filter(|(_, probability)| *probability > 0.0).collect();
        best.sort_by(|a, b| b.1.total_cmp(&a.1));
        best.into_iter().take(count).map(|(symbol, probability)| (symbol.clone(), probability)).collect()
    }
}

/// The last symbols of a context, the newest first.
fn last<S: Clone>(context: &[S], length: usize) -> Vec<S> {
    context.iter().rev().take(length).cloned().collect()
}

#[derive(Clone, Copy)]
struct Decay {
    clock: u64,
    half_life: u32,
}

impl Decay {
    fn now<S>(self, successor: &Successor<S>) -> f64 {
        let age = self.clock.saturating_sub(successor.clock) as f64;
        successor.count * (-age / f64::from(self.half_life.max(1))).exp2()
    }

    fn order<S: Ord>(self, a: &Successor<S>, b: &Successor<S>) -> std::cmp::Ordering {
        self.now(a).total_cmp(&self.now(b)).then_with(|| a.clock.cmp(&b.clock)).then_with(|| a.symbol.cmp(&b.symbol))
    }
}
