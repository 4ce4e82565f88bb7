//! The `[cache]` section and its `[[cache.tiers]]`.

use crate::{BackendRegistry, CacheBackend, Codec, Compression, Period, Result, TierOptions, manager::DEFAULT_TTL};
use serde::Deserialize;
use std::sync::Arc;

/// The `[cache]` section.
///
/// ```
/// # use prefix_indexer_cache::*;
/// let table = toml::toml! {
///     default_ttl = "30m"
///     [[tiers]]
///     backend = "memory"
///     max_size = "64MiB"
///     [[tiers]]
///     backend = "filesystem"
///     path = "flat"
///     timeout = "500ms"
/// };
/// let config: CacheConfig = parse_section("[cache]", table)?;
/// assert_eq!(config.tiers[1].backend, "filesystem");
/// # Ok::<(), CacheError>(())
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// How long an entry lives for which nobody says how long. Default 1 h.
    pub default_ttl: Period,
    /// How framed values are compressed; raw values never are. Default lz4.
    pub compression: Compression,
    /// How typed values are written. Default bincode.
    pub format: Codec,
    /// The tiers, in the order in which they are asked.
    pub tiers: Vec<TierConfig>,
}

impl Default for CacheConfig {
    fn default() -> CacheConfig {
        CacheConfig {
            default_ttl: Period(DEFAULT_TTL),
            compression: Compression::Lz4,
            format: Codec::Bincode,
            tiers: Vec::new(),
        }
    }
}

/// One tier: what every tier has, and the fields of its backend.
#[derive(Debug, Clone, Deserialize)]
pub struct TierConfig {
    /// The name of the backend in the registry.
    pub backend: String,
    /// See [`TierOptions::name`].
    pub name: Option<String>,
    /// See [`TierOptions::timeout`].
    pub timeout: Option<Period>,
    /// See [`TierOptions::clear_timeout`].
    pub clear_timeout: Option<Period>,
    /// See [`TierOptions::retry_after`].
    pub retry_after: Option<Period>,
    /// See [`TierOptions::max_failures`].
    pub max_failures: Option<u32>,
    /// What only the backend knows.
    #[serde(flatten)]
    pub fields: toml::Table,
}

/// The fields that a tier has whatever its backend.
const OF_ANY_TIER: [&str; 6] = ["backend", "name", "timeout", "clear_timeout", "retry_after", "max_failures"];

impl TierConfig {
    /// Creates the backend.
    ///
    /// # Errors
    /// As [`BackendRegistry::create`].
    pub async fn create(&self, registry: &BackendRegistry) -> Result<Arc<dyn CacheBackend>> {
        registry.create_tier(&self.backend, self.fields.clone(), &OF_ANY_TIER).await
    }

    /// How the tier is to be treated.
    pub fn options(&self) -> TierOptions {
        let default = TierOptions::default();
        TierOptions {
            name: self.name.clone(),
            timeout: self.timeout.map_or(default.timeout, |period| period.0),
            clear_timeout: self.clear_timeout.map_or(default.clear_timeout, |period| period.0),
            retry_after: self.retry_after.map_or(default.retry_after, |period| period.0),
            max_failures: self.max_failures.unwrap_or(default.max_failures),
        }
    }
}
