//! Every promise of a backend, alone and below a memory tier.

use crate::server::{self, config};
use async_trait::async_trait;
use prefix_indexer_cache::{
    CacheBackend, CacheManager, MemoryBackend, MemoryConfig, Result,
    conformance::{self, Subject},
};
use prefix_indexer_cache_redis::{RedisBackend, RedisConfig, RedisServer};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

struct Redis {
    server: RedisServer,
    made: AtomicU64,
    below_memory: bool,
}

#[async_trait]
impl Subject for Redis {
    async fn fresh(&self) -> Result<Arc<dyn CacheBackend>> {
        // Characters that mean something to Redis in a pattern.
        let prefix = format!("[{}]*?\\/", self.made.fetch_add(1, Relaxed));
        let redis = Arc::new(RedisBackend::open(RedisConfig { prefix, ..config(self.server.url()) }).await?);
        if !self.below_memory {
            return Ok(redis);
        }
        let memory = Arc::new(MemoryBackend::new(&MemoryConfig::default())?);
        Ok(Arc::new(CacheManager::builder().default_ttl(None).tier(memory).tier(redis).build()?))
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn tick(&self) -> Duration {
        Duration::from_millis(50)
    }
}

async fn check(below_memory: bool) {
    let subject = Redis { server: server::start(), made: AtomicU64::new(0), below_memory };
    let failures = conformance::run_all(&subject).await;
    assert!(failures.is_empty(), "{failures:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server: cargo xtask test"]
async fn alone() {
    check(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server: cargo xtask test"]
async fn below_memory() {
    check(true).await;
}
