//! Moves blocks to where they will be wanted, before they are wanted.
//!
//! A [`PrefetchRequest`] waits in a [`PrefetchQueue`], the most urgent first. The threads of a [`PrefetchWorker`] take it and fetch it by
//! way of [`Attempts`]: within [rate limits](RateLimits), with further tries, leaving a source alone that only fails. A [`Fetcher`] gets the
//! thing from where it is; [`TierFetcher`] is the one that moves values from the lower tiers of a cache to its first.
//!
//! A [`PrefetchScheduler`] fills the queue from predictions. A [`BlockPrefetcher`] goes down the ranking of a [`CandidateSource`], an index, and
//! keeps what matters now at hand; in a dry run its [`Shadow`] says what that would have gained. [`Adaptive`]
//! control learns how choosy and how fast to be. A [`Warmup`] executes a plan.
//!
//! A missed or failed prefetch is harmless: nothing here is on the path of a live request.

mod adaptive;
mod attempts;
mod block_prefetcher;
mod blocks;
mod bridge;
mod cancel;
mod candidates;
mod config;
mod control;
mod cycle;
mod error;
mod fetcher;
mod known;
mod meter;
mod metrics;
mod mover;
mod queue;
mod quiet;
mod rate;
mod request;
mod retry;
mod roster;
mod scheduler;
mod shadow;
mod sync;
mod warm;
mod worker;

pub use adaptive::{Adaptive, AdaptiveConfig, AdaptiveStats, Evidence, Setting};
pub use attempts::{Attempts, FetchPolicy, Outcome};
pub use block_prefetcher::{BlockPrefetcher, BlockPrefetcherParts, OnCycle};
pub use blocks::{BlockExtent, BlockKeys, BlockName, BlocksSection, DEFAULT_TEMPLATE, hash_key};
pub use bridge::{BlockValue, TierFetcher};
pub use cancel::{Cancel, Cancelled};
pub use candidates::{Ask, BlockUse, Candidate, CandidateSource, Candidates};
pub use config::{
    DEFAULT_FETCH_DEADLINE, DEFAULT_INTERVAL, DEFAULT_POLICY, DEFAULT_RECHECK, DEFAULT_SCAN_LIMIT,
    DEFAULT_SCORE_HORIZON, DEFAULT_TOP_K, DRY_RUN_VARIABLE, PROFILES, PrefetchConfig, PrefetchSection, Profile, Rate,
    STANDARD, is_truthy,
};
pub use cycle::{Cycle, CycleOutcome, CyclePlan};
pub use error::PrefetchError;
pub use fetcher::{Destination, Dress, FetchCtx, Fetched, Fetcher, SOURCE};
pub use meter::{PrefetchMeter, PrefetchTotals};
pub use metrics::{PrefetchMetrics, PrefetchStats};
pub use queue::{Accepted, DEFAULT_CAPACITY, PrefetchQueue, QueueStats, Refusal, Refused};
pub use quiet::quiet_runtime;
pub use rate::{RateLimits, TokenBucket};
pub use request::{PrefetchRequest, SourcePrediction, Urgency};
pub use retry::{Breaker, BreakerConfig, RetryPolicy};
pub use scheduler::{PrefetchScheduler, ScheduleStats};
pub use shadow::{DEFAULT_HORIZON_MS, Shadow, ShadowReport};
pub use warm::{WARM_PATIENCE, WarmBlock, WarmOptions, WarmProgress, WarmReport, Warmup, warm_blocks};
pub use worker::{DEFAULT_REQUESTS_PER_SECOND, DEFAULT_WORKERS, OnOutcome, PrefetchWorker, StopReport};
