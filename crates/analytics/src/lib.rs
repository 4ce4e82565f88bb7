//! From batches of events to statistics, and what can be said about them: aggregation, freshness, metrics,
//! scores.
//!
//! Pure: no file, no network, no clock; input comes as iterators and functions, `now` as an argument. An
//! [`AggregationEngine`] turns pieces of input into [`PrefixTable`](prefix_indexer_models::PrefixTable)s on as many threads
//! as it has; [`Freshness`] says how far the newest event lies back and how much of an index is in use; [`Metrics`]
//! is what a planner's telemetry wants to know; [`policies`] score prefixes.

mod engine;
mod freshness;
mod metrics;
pub mod policies;

pub use engine::{Aggregate, AggregationEngine, native::NativeEngine};
pub use freshness::Freshness;
pub use metrics::{Metrics, PlanPrecision};
