//! The stores from outside: one scenario a module.
#![expect(clippy::unwrap_used, reason = "tests")]

mod compaction;
mod compatibility;
mod conformance;
mod crash;
mod damage;
mod follower;
mod full_disk;
mod index_reader;
mod readers;
mod support;
