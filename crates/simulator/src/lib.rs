//! Replays a trace against tiers, eviction and scoring policies on a virtual clock.
//!
//! A [`Trace`] holds requests over densely numbered blocks. An [`Eviction`] says which of them a full tier drops. The
//! simulator knows no file, no index and no wall clock: batches of events come in, rows go out, and the same trace, questions
//! and seed give the same rows.

mod bootstrap;
mod costs;
mod error;
mod eviction;
mod history;
mod ranking;
mod rng;
pub mod scenarios;
mod share;
mod stack;
mod tiers;
mod trace;
mod window;

pub use costs::Costs;
pub use error::SimulatorError;
pub use eviction::{EVICTIONS, Eviction, EvictionPolicy, Hits, Lru, Setup};
pub use history::History;
pub use ranking::{AutoRanker, FormulaRanker, Question, Ranker, ReuseRanker, Scope, rankers};
pub use share::{Capacity, Share};
pub use tiers::{Access, TierSpec};
pub use trace::{Request, Trace, TraceBuilder};
