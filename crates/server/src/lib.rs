//! The index over HTTP.
//!
//! [`Server`] listens, and answers two contracts from one [`PrefixIndexer`](prefix_indexer::PrefixIndexer): the one that planners of
//! the older offline index speak (`/ingest`, `/suggest`, `/snapshot`, `/healthz`), kept to the letter, and `/v1` with what that one
//! could not say. docs/http.md shows every call.
//!
//! What holds for every request: a bearer token says which tenants it may see and what it may do (`tokens`); its body is read
//! under limits of size, memory and time (`body`), and what is too much is refused at once, so that no client can make others
//! wait. Ingestion never waits for the index: a full queue is 429. Only who asks for durability waits for the disk, and then on no
//! thread. Queries read an immutable view and take microseconds, so they run where they arrive.
//!
//! This crate knows HTTP and TLS. It does not know where the index lies, what is in it, or what a command line is.

mod access;
mod answer;
mod app;
mod body;
mod book;
mod config;
mod connection;
mod describe;
mod error;
mod events;
mod ingest;
mod legacy;
mod metrics_server;
mod observe;
mod page;
mod params;
mod rank;
mod server;
mod stall;
mod tls;
mod tokens;
mod v1;

pub use config::ServerConfig;
pub use error::ServerError;
pub use metrics_server::MetricsServer;
pub use server::Server;
pub use tokens::token_hash;
