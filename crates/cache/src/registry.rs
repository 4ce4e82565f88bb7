//! Backends by name, created from configuration.

use crate::{
    CacheBackend, CacheError, FilesystemBackend, FilesystemConfig, MemoryBackend, MemoryConfig, Result,
    config::fields::{field_names, nearest, refuse_unknown},
};
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, fmt, sync::Arc};

/// The backends that configuration can name. Network backends, and anyone's own, are registered from outside:
///
/// ```
/// # use prefix_indexer_cache::*;
/// # use std::sync::Arc;
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// #[derive(serde::Deserialize)]
/// struct SmallConfig { entries: u64 }
///
/// let mut registry = BackendRegistry::with_defaults();
/// registry.register("small", async |config: SmallConfig| {
///     let memory = MemoryBackend::new(&MemoryConfig { max_size: ByteSize(config.entries * 1024) })?;
///     Ok(Arc::new(memory) as Arc<dyn CacheBackend>)
/// });
/// let small = registry.create("small", toml::toml! { entries = 64 }).await?;
/// small.set("key", Entry::new("value")).await?;
///
/// let error = registry.create("smal", toml::Table::new()).await.unwrap_err();
/// assert!(error.to_string().contains("perhaps `small` is meant"));
/// # Ok::<(), CacheError>(()) }).unwrap();
/// ```
#[derive(Clone, Default)]
pub struct BackendRegistry {
    factories: BTreeMap<String, Arc<dyn Factory>>,
}

/// Makes a backend of one kind from its own fields of configuration.
trait Factory: Send + Sync {
    fn fields(&self) -> Option<Vec<&'static str>>;
    fn create(&self, section: &str, table: toml::Table) -> BoxFuture<'static, Result<Arc<dyn CacheBackend>>>;
}

struct FactoryFn<C, F> {
    make: F,
    config: std::marker::PhantomData<fn() -> C>,
}

impl<C, F, Fut> Factory for FactoryFn<C, F>
where
    C: DeserializeOwned + Send + 'static,
    F: Fn(C) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Arc<dyn CacheBackend>>> + Send + 'static,
{
    fn fields(&self) -> Option<Vec<&'static str>> {
        field_names::<C>()
    }

    fn create(&self, section: &str, table: toml::Table) -> BoxFuture<'static, Result<Arc<dyn CacheBackend>>> {
        match table.try_into::<C>() {
            Ok(config) => Box::pin((self.make)(config)),
            Err(error) => {
                let error = CacheError::config(section, error.message());
                Box::pin(async move { Err(error) })
            }
        }
    }
}

impl BackendRegistry {
    /// A registry that knows no backend.
    pub fn new() -> BackendRegistry {
        BackendRegistry::default()
    }

    /// A registry of the backends of this crate.
    pub fn with_defaults() -> BackendRegistry {
        let mut registry = BackendRegistry::new();
        registry.register("memory", async |config: MemoryConfig| {
            Ok(Arc::new(MemoryBackend::new(&config)?) as Arc<dyn CacheBackend>)
        });
        registry.register("filesystem", async |config: FilesystemConfig| {
            Ok(Arc::new(FilesystemBackend::open(config).await?) as Arc<dyn CacheBackend>)
        });
        registry
    }

    /// Registers `name`, in place of what had it before. `make` gets the tier's own fields read as a `C`; which those are is
    /// asked of `C` itself, so that an unknown one is an error that lists them.
    pub fn register<C, F, Fut>(&mut self, name: &str, make: F)
    where
        C: DeserializeOwned + Send + 'static,
        F: Fn(C) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Arc<dyn CacheBackend>>> + Send + 'static,
    {
        let factory = FactoryFn { make, config: std::marker::PhantomData };
        self.factories.insert(name.to_owned(), Arc::new(factory));
    }

    /// The known names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.factories.keys().map(String::as_str)
    }

    /// The fields that a backend reads; `None` when it takes any.
    ///
    /// # Errors
    /// [`CacheError::UnknownBackend`] lists the known.
    pub fn fields(&self, name: &str) -> Result<Option<Vec<&'static str>>> {
        Ok(self.factory(name)?.fields())
    }

    /// Creates the backend `name` from its own fields.
    ///
    /// # Errors
    /// [`CacheError::UnknownBackend`] lists the known backends, [`CacheError::UnknownField`] the known fields;
    /// [`CacheError::Config`] for values that make no sense; and what the backend says when it cannot be opened.
    pub async fn create(&self, name: &str, fields: toml::Table) -> Result<Arc<dyn CacheBackend>> {
        self.create_tier(name, fields, &[]).await
    }

    /// As [`create`](Self::create), where an error about an unknown field lists the fields of any tier too.
    pub(crate) async fn create_tier(
        &self,
        name: &str,
        fields: toml::Table,
        of_any_tier: &[&str],
    ) -> Result<Arc<dyn CacheBackend>> {
        let factory = self.factory(name)?;
        let section = format!("backend `{name}`");
        refuse_unknown(&section, &fields, &factory.fields(), of_any_tier)?;
        factory.create(&section, fields).await
    }

    fn factory(&self, name: &str) -> Result<&Arc<dyn Factory>> {
        self.factories.get(name).ok_or_else(|| CacheError::UnknownBackend {
            name: name.into(),
            known: self.names().map(str::to_owned).collect(),
            nearest: nearest(name, self.names()),
        })
    }
}

impl fmt::Debug for BackendRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}
