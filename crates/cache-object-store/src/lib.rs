//! S3, Google Cloud Storage and Azure Blob Storage as tiers of the cache.
//!
//! Plugins like anyone's: [`register`] puts them into a registry, and `backend = "s3"` (`gcs`, `azure`) names one in configuration.
//!
//! ```
//! use prefix_indexer_cache::BackendRegistry;
//!
//! let mut registry = BackendRegistry::with_defaults();
//! prefix_indexer_cache_object_store::register(&mut registry);
//! assert_eq!(registry.names().collect::<Vec<_>>(), ["azure", "filesystem", "gcs", "memory", "s3"]);
//! ```
//!
//! Credentials come from the environment and each provider's usual chain (`AWS_*`, web identities, instance roles; `GOOGLE_*`, service
//! accounts, application default credentials; `AZURE_*`, managed identities): configuration has no field for them.
//!
//! | file | what it knows |
//! |---|---|
//! | `config` | what can be set, and how a store is reached |
//! | `names` | which object holds a key |
//! | `attributes` | how time to live and metadata travel with an object |
//! | `upload` | how values are sent, in one request or in parts |
//! | `backend` | the requests of each call |

mod attributes;
mod backend;
mod config;
mod names;
mod upload;

pub use backend::ObjectStoreBackend;
pub use config::{AzureConfig, GcsConfig, S3Config, Settings};

use prefix_indexer_cache::{BackendRegistry, CacheBackend};
use std::sync::Arc;

/// Makes ring the provider of TLS of this process, unless it has one. What opens a tier does this by itself; who builds a client of
/// `object_store` by hand, for [`ObjectStoreBackend::over`], has to, since the client has no provider of its own here.
pub fn install_tls_provider() {
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// Registers `s3`, `gcs` and `azure`.
pub fn register(registry: &mut BackendRegistry) {
    registry.register("s3", async |config: S3Config| Ok(Arc::new(config.open()?) as Arc<dyn CacheBackend>));
    registry.register("gcs", async |config: GcsConfig| Ok(Arc::new(config.open()?) as Arc<dyn CacheBackend>));
    registry.register("azure", async |config: AzureConfig| Ok(Arc::new(config.open()?) as Arc<dyn CacheBackend>));
}
