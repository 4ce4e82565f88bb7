//! Events of prefix use, the statistics they add up to, and the algebra that merges them.
//!
//! Everything else in prefix-indexer is built on this crate, and it is built on nothing of ours: it knows no file, no
//! thread and no clock. The story in one breath: an [`EventBatch`] holds [events](EventRef) in columns; each event
//! names a prefix whose [`PrefixKey`] is a digest; a [`PrefixTable`] interns the prefixes of many batches and folds
//! their events into a [`Tally`] and one decayed sum per rung of a [`Ladder`] of half-lives; tallies and sums of the
//! same prefix [merge](Tally::merge), whatever batch, day or machine they came from.

mod batch;
mod clock;
mod error;
mod event;
mod exp2;
mod gaps;
mod key;
mod ladder;
mod plan;
mod recommendation;
mod source;
mod spec;
mod stats;
mod table;
mod tally;
mod utility;

pub use batch::{EventBatch, EventColumns, EventSlices, NO_DEPTH, ScopeSpans, Span};
pub use clock::Clock;
pub use error::{EventError, LadderError, SpecError};
pub use event::{EventRef, MAX_INTEGER, PrefixEvent};
pub use exp2::{exp2, exp2_parts};
pub use gaps::{GAP_BOUNDS_MS, GAP_SMOOTHING, Gaps};
pub use key::{KeyPolicy, PrefixKey};
pub use ladder::{Ladder, MAX_RUNGS, Rank, parse_duration_ms};
pub use plan::{Plan, PlanEntry, PlanError};
pub use recommendation::PrefixRecommendation;
pub use smol_str::SmolStr;
pub use source::{SourceId, SourcePosition};
pub use spec::IndexSpec;
pub use stats::PrefixStats;
pub use table::{PrefixTable, Shard, TableRow, Totals};
pub use tally::Tally;
pub use utility::Utility;
