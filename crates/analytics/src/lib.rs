//! From batches of events to statistics, and what can be said about them: aggregation, freshness, metrics, how prefixes
//! come back, and scores.
//!
//! Pure: no file, no network, no clock; input comes as iterators and functions, `now` as an argument. An
//! [`AggregationEngine`] turns pieces of input into [`PrefixTable`](prefix_indexer_models::PrefixTable)s on as many threads
//! as it has; [`Freshness`] says how far the newest event lies back and how much of an index is in use; [`Metrics`]
//! is what a planner's telemetry wants to know. [`AccessPattern`] says how often a prefix is used, when next and at what
//! period, and [`CacheWarmer`] plans from that for caches of anything. A [`LifeTable`] learns the probability of a use within
//! a window, [`Divergence`] where in the tree of prefixes requests will go on from, [`PrefixMarkov`] which prefix a session asks for next.
//! The [`policies`] score prefixes, [`prefetch_candidates`] says which predictions to act
//! on, and [`next_blocks()`] which blocks of a ranking to load next.

pub mod backtest;
mod divergence;
mod engine;
mod forecast;
mod freshness;
mod gap_model;
mod lifetable;
mod markov;
mod metrics;
mod next_blocks;
mod patterns;
mod period;
pub mod planner;
pub mod policies;
mod schedule;
#[cfg(test)]
mod used_at;
mod warmer;

pub use divergence::Divergence;
pub use engine::{Aggregate, AggregationEngine, native::NativeEngine};
pub use forecast::{Effort, FOLLOWED, Forecaster, LEARNED, Learner, LearnerError, Model, Outlook};
pub use freshness::Freshness;
pub use gap_model::{Estimate, GapForecast, GapModel};
pub use lifetable::{Expectations, LifeTable, Reliability, ReliabilityRow, ReuseModel, Waiting};
pub use markov::{Claim, MAX_ORDER, Markov, MarkovConfig, PrefixMarkov, Runs, beyond_share};
pub use metrics::{Metrics, PlanPrecision};
pub use next_blocks::{NextBlocks, NextLimits, Presence, RankedBlock, next_blocks};
pub use patterns::{AccessPattern, HotKey, UseTimes, known_period, next_use_ms, top_hot, uses_per_hour};
pub use period::{MAX_PERIOD_POINTS, MIN_PERIOD_MS, MIN_PERIOD_POINTS, Period, dominant_period};
pub use schedule::{CacheRoom, Prediction, RefusedPredictions, ScheduleLimits, prefetch_candidates};
pub use warmer::{CacheWarmer, WarmEntry, WarmPlan, WarmerConfig};
