//! The tier against a real redis-server, which the tests start themselves. `cargo xtask test` runs them where there is one.
#![expect(clippy::unwrap_used, reason = "tests")]

mod conformance;
mod faults;
mod layout;
mod nodes;
mod server;
mod tls;
