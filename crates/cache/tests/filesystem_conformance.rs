//! The flat tier keeps every promise of the suite in both layouts, with each eviction and with fsync.
#![expect(clippy::unwrap_used, reason = "tests")]

use async_trait::async_trait;
use prefix_indexer_cache::{
    CacheBackend, Eviction, FilesystemBackend, FilesystemConfig, Layout, ManualClock, Result,
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

struct Files {
    root: TempDir,
    made: AtomicU64,
    clock: ManualClock,
    config: FilesystemConfig,
}

#[async_trait]
impl Subject for Files {
    async fn fresh(&self) -> Result<Arc<dyn CacheBackend>> {
        let path = self.root.path().join(self.made.fetch_add(1, Relaxed).to_string());
        let config = FilesystemConfig { path, ..self.config.clone() };
        Ok(Arc::new(FilesystemBackend::open_with_clock(config, Arc::new(self.clock.clone())).await?))
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    fn tick(&self) -> Duration {
        Duration::from_millis(1)
    }
}

async fn check(config: FilesystemConfig) {
    let root = tempfile::tempdir().unwrap();
    let files = Files { root, made: AtomicU64::new(0), clock: ManualClock::at(1_700_000_000_000), config };
    let failures = conformance::run_all(&files).await;
    assert!(failures.is_empty(), "{failures:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hashed() {
    check(FilesystemConfig::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hashed_fifo() {
    check(FilesystemConfig { eviction: Eviction::Fifo, ..FilesystemConfig::default() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain() {
    check(FilesystemConfig { layout: Layout::Plain, ..FilesystemConfig::default() }).await;
}

#[tokio::test]
async fn with_fsync() {
    let root = tempfile::tempdir().unwrap();
    let config = FilesystemConfig { fsync: true, ..FilesystemConfig::default() };
    let files = Files { root, made: AtomicU64::new(0), clock: ManualClock::at(1), config };
    let check = conformance::CHECKS.iter().find(|check| check.name == "a_set_replaces_everything").unwrap();
    check.run(&files).await.unwrap();
}
