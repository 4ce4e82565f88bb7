//! The stores from outside: one scenario a module.
#![expect(clippy::unwrap_used, reason = "tests")]

mod compatibility;
mod conformance;
mod crash;
mod damage;
mod full_disk;
mod readers;
mod support;
