//! The facade: everything a program that embeds the index needs, from one crate.
//!
#![doc = include_str!("../../../README.md")]

pub use prefix_indexer_analytics as analytics;
pub use prefix_indexer_cache as cache;
pub use prefix_indexer_cache_object_store as cache_object_store;
pub use prefix_indexer_cache_redis as cache_redis;
pub use prefix_indexer_models as models;
pub use prefix_indexer_prefetch as prefetch;
pub use prefix_indexer_service as service;
pub use prefix_indexer_simulator as simulator;
pub use prefix_indexer_storage as storage;
pub use prefix_indexer_traces as traces;

pub use prefix_indexer_analytics::{AggregationEngine, Freshness, NativeEngine};
pub use prefix_indexer_models::*;
pub use prefix_indexer_service::*;
pub use prefix_indexer_storage::*;
pub use prefix_indexer_traces::*;
