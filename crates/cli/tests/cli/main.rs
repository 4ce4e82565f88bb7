//! The command, from outside.
#![expect(clippy::unwrap_used, reason = "tests")]

mod advise;
mod bad_input;
mod cache;
mod common;
mod follow;
mod learned;
mod look_after;
mod main_job;
mod plan;
mod prefetch_metrics;
mod replay;
mod resume;
mod usage;
mod warm;
