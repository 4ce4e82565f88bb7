//! The long-lived whole: events in, from many threads or from files; ranked prefixes out.
//!
//! [`PrefixIndexer`] runs a store behind a bounded queue: ingestion never waits, queries never lock. [`ingest_pieces`] reads traces
//! in bulk, on all cores and around the log. [`Query`] asks, [`merge_into`] joins whole indexes, [`FeedbackLedger`] keeps what
//! became of loaded prefixes, [`TelemetrySink`]s take the numbers.
//!
//! [`IndexCandidates`] is the index as a prefetcher sees it.
//!
//! This crate knows threads and clocks, but no network and no command line.

mod active;
mod bulk;
mod cache_metrics;
mod candidates;
mod error;
mod experience;
mod export;
mod feedback;
mod forget;
mod habits;
mod hot;
mod indexer;
mod learning;
mod merge;
mod metrics;
mod mover_metrics;
mod plan_book;
mod plans;
mod predictor;
mod prefetch_metrics;
mod query;
mod receipts;
mod telemetry;
mod tuning;
mod writer;

pub use active::{ActivePrefix, ActiveSet, ActiveSetError};
pub use bulk::{IngestReport, follow_pieces, ingest_pieces};
pub use candidates::IndexCandidates;
pub use error::{ServiceError, TryIngestError};
pub use experience::{Experience, Promise, Shift};
pub use export::{ExportFormat, export};
pub use feedback::{FeedbackError, FeedbackLedger, FeedbackReport, Outcome, OutcomeCount};
pub use forget::forget;
pub use hot::{HotPrefix, hot_prefixes};
pub use indexer::{IndexerOptions, PrefixIndexer, Receipt};
pub use learning::{LEARNING, learned, learned_by, learning};
pub use merge::merge_into;
pub use metrics::Metrics;
pub use mover_metrics::MoverMetrics;
pub use plan_book::{Outcomes, PlanBook, PlanOutcome, Written, experience};
pub use plans::{PAGE_TOKENS, PlanQuery, plan_policies};
pub use predictor::{PredictAfter, PredictedPrefix};
pub use query::{Query, now_of};
pub use telemetry::{JsonLinesSink, TelemetrySink, TracingSink, measure};
pub use tuning::{Calibration, TunedCell, Tuning, tuning};
