//! Servers and configurations that the tests share.

use prefix_indexer_cache_redis::{RedisConfig, RedisServer};
use std::net::SocketAddr;

const PLAIN: [&str; 2] = ["--port", "{port}"];

pub(crate) fn start() -> RedisServer {
    RedisServer::start(&PLAIN).unwrap()
}

/// On the port that another one had.
pub(crate) fn start_again(address: SocketAddr) -> RedisServer {
    RedisServer::start_at(address, &PLAIN).unwrap()
}

/// A connection of the bare client.
pub(crate) async fn bare(server: &RedisServer) -> redis::aio::MultiplexedConnection {
    redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

pub(crate) fn url(address: SocketAddr) -> String {
    format!("redis://{address}/0")
}

pub(crate) fn config(url: String) -> RedisConfig {
    RedisConfig { url, prefix: "test/".into(), ..RedisConfig::default() }
}
