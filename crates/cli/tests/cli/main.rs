//! The command, from outside.
#![expect(clippy::unwrap_used, reason = "tests")]

mod bad_input;
mod cache;
mod common;
mod follow;
mod look_after;
mod main_job;
mod plan;
mod resume;
mod usage;
