//! Redis as a tier of the cache.
//!
//! A plugin like anyone's: [`register`] puts it into a registry, and `backend = "redis"` names it in configuration.
//!
//! ```
//! use prefix_indexer_cache::BackendRegistry;
//!
//! let mut registry = BackendRegistry::with_defaults();
//! prefix_indexer_cache_redis::register(&mut registry);
//! assert!(registry.names().any(|name| name == "redis"));
//! ```
//!
//! | file | what it knows |
//! |---|---|
//! | `config` | what can be set, and how a server is reached |
//! | `connection` | one connection for all, and when to give it up for a new one |
//! | `layout` | how entries are held by Redis, so that an engine reads what it wrote |
//! | `backend` | the commands of each call |
//! | `news` | what nodes tell each other of their changes |
//! | `redis_server` | feature `test-kit`: a server for as long as a test or a bench lasts |

mod backend;
mod config;
mod connection;
mod layout;
mod news;
#[cfg(feature = "test-kit")]
mod redis_server;

pub use backend::RedisBackend;
pub use config::RedisConfig;
#[cfg(feature = "test-kit")]
pub use redis_server::RedisServer;

use prefix_indexer_cache::{BackendRegistry, CacheBackend};
use std::sync::Arc;

/// The name in configuration.
pub(crate) const NAME: &str = "redis";

/// Registers `redis`.
pub fn register(registry: &mut BackendRegistry) {
    registry.register(NAME, async |config: RedisConfig| {
        Ok(Arc::new(RedisBackend::open(config).await?) as Arc<dyn CacheBackend>)
    });
}
