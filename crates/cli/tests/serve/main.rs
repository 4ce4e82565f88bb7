//! `prefix-indexer serve`, over real connections.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod client;
mod documented;
mod hostile;
mod life;
mod older_contract;
mod page;
mod prefetching;
mod security;
mod server;
mod v1;
