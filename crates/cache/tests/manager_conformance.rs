//! A cache of tiers keeps every promise of a backend.
#![expect(clippy::unwrap_used, reason = "tests")]

use async_trait::async_trait;
use prefix_indexer_cache::{
    CacheBackend, CacheManager, Clock, FilesystemBackend, FilesystemConfig, MemoryBackend, MemoryConfig, Result,
    conformance::{self, Subject},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::Instant;

/// Shows tokio's time, which the test moves.
#[derive(Debug, Clone)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now_ms(&self) -> u64 {
        1_700_000_000_000 + self.0.elapsed().as_millis() as u64
    }
}

struct Tiers {
    root: TempDir,
    made: AtomicU64,
    clock: TokioClock,
    files: bool,
}

#[async_trait]
impl Subject for Tiers {
    async fn fresh(&self) -> Result<Arc<dyn CacheBackend>> {
        let memory =
            || Ok::<_, prefix_indexer_cache::CacheError>(Arc::new(MemoryBackend::new(&MemoryConfig::default())?));
        let lower: Arc<dyn CacheBackend> = if self.files {
            let path = self.root.path().join(self.made.fetch_add(1, Relaxed).to_string());
            let config = FilesystemConfig { path, ..FilesystemConfig::default() };
            Arc::new(FilesystemBackend::open_with_clock(config, Arc::new(self.clock.clone())).await?)
        } else {
            memory()?
        };
        Ok(Arc::new(CacheManager::builder().default_ttl(None).tier(memory()?).tier(lower).build()?))
    }

    async fn pass(&self, time: Duration) {
        tokio::time::advance(time).await;
    }

    fn tick(&self) -> Duration {
        Duration::from_millis(100)
    }
}

async fn check(files: bool) {
    let root = tempfile::tempdir().unwrap();
    let tiers = Tiers { root, made: AtomicU64::new(0), clock: TokioClock(Instant::now()), files };
    let failures = conformance::run_all(&tiers).await;
    assert!(failures.is_empty(), "{failures:#?}");
}

#[tokio::test(start_paused = true)]
async fn memory_over_memory() {
    check(false).await;
}

#[tokio::test(start_paused = true)]
async fn memory_over_files() {
    check(true).await;
}
