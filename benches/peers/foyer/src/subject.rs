//! The caches under test, with the same budgets.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use foyer::{
    BlockEngineConfig, DeviceBuilder, EvictionConfig, FsDeviceBuilder, HybridCache, HybridCacheBuilder,
    HybridCachePolicy, LruConfig, S3FifoConfig,
};
use prefix_indexer_cache::{
    ByteSize, CacheManager, Entry, FilesystemBackend, FilesystemConfig, MemoryBackend, MemoryConfig,
};
use std::{path::Path, sync::Arc};

const MEMORY: usize = 64 << 20;
const DISK: usize = 512 << 20;

/// What our memory tier reckons for an entry beside key and value; foyer is told to reckon the same.
const ENTRY_OVERHEAD: usize = 160;

/// What foyer may hold of writes that are not on disk yet. Its default (16 MiB) drops writes of this stream.
const WRITE_BUFFER: usize = 64 << 20;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Ours,
    /// As it comes: LRU, and what leaves memory is written to disk.
    Foyer,
    /// As near to ours as it gets: S3-FIFO, and everything is written to disk.
    FoyerLikeOurs,
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Ours, Kind::Foyer, Kind::FoyerLikeOurs];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Ours => "ours",
            Kind::Foyer => "foyer",
            Kind::FoyerLikeOurs => "foyer, S3-FIFO, written on insertion",
        }
    }

    pub(crate) async fn open(self, directory: &Path) -> Result<Subject> {
        let (eviction, policy): (EvictionConfig, _) = match self {
            Kind::Ours => {
                let memory = MemoryBackend::new(&MemoryConfig { max_size: ByteSize(MEMORY as u64) })?;
                let files = FilesystemConfig {
                    path: directory.to_owned(),
                    max_size: ByteSize(DISK as u64),
                    ..FilesystemConfig::default()
                };
                let files = FilesystemBackend::open(files).await?;
                return Ok(Subject::Ours(
                    CacheManager::builder().tier(Arc::new(memory)).tier(Arc::new(files)).build()?,
                ));
            }
            Kind::Foyer => (LruConfig::default().into(), HybridCachePolicy::WriteOnEviction),
            Kind::FoyerLikeOurs => (S3FifoConfig::default().into(), HybridCachePolicy::WriteOnInsertion),
        };
        let device = FsDeviceBuilder::new(directory).with_capacity(DISK).build()?;
        let engine = BlockEngineConfig::new(device)
            .with_buffer_pool_size(WRITE_BUFFER)
            .with_submit_queue_size_threshold(2 * WRITE_BUFFER);
        let cache = HybridCacheBuilder::new()
            .with_policy(policy)
            .with_flush_on_close(false)
            .memory(MEMORY)
            .with_eviction_config(eviction)
            .with_weighter(|key: &String, value: &Bytes| key.len() + value.len() + ENTRY_OVERHEAD)
            .storage()
            .with_engine_config(engine)
            .build()
            .await?;
        Ok(Subject::Foyer(cache))
    }
}

pub(crate) enum Subject {
    Ours(CacheManager),
    Foyer(HybridCache<String, Bytes>),
}

impl Subject {
    pub(crate) async fn get(&self, key: &String) -> Result<Option<Bytes>> {
        Ok(match self {
            Subject::Ours(cache) => cache.get(key).await.map(|entry| entry.value),
            Subject::Foyer(cache) => cache.get(key).await?.map(|entry| entry.value().clone()),
        })
    }

    pub(crate) async fn set(&self, key: &str, value: Bytes) -> Result<()> {
        match self {
            Subject::Ours(cache) => cache.set(key, Entry::new(value)).await.into_result().map(drop)?,
            Subject::Foyer(cache) => drop(cache.insert(key.to_owned(), value)),
        }
        Ok(())
    }

    /// Whether memory has it, told without touching it.
    pub(crate) async fn is_in_memory(&self, key: &String) -> Result<bool> {
        Ok(match self {
            Subject::Ours(cache) => cache.tier("memory").context("no memory tier")?.exists(key).await?,
            Subject::Foyer(cache) => cache.memory().contains(key),
        })
    }

    /// Waits until all is where it belongs.
    pub(crate) async fn settle(&self) -> Result<()> {
        match self {
            Subject::Ours(cache) => {
                cache.settle().await;
                let stats = cache.stats().await;
                if let Some(tier) = stats.tiers.iter().find(|tier| tier.write_errors + tier.errors + tier.timeouts > 0)
                {
                    bail!("a tier failed: {tier:?}");
                }
            }
            Subject::Foyer(cache) => cache.storage().wait().await,
        }
        Ok(())
    }

    pub(crate) async fn close(self) -> Result<()> {
        match self {
            Subject::Ours(cache) => drop(cache),
            Subject::Foyer(cache) => cache.close().await?,
        }
        Ok(())
    }
}
