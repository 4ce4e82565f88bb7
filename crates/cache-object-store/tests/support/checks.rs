//! What every store is checked for: the promises of any backend, faults, and what only stores promise.

/// Tests of these names, each a check of what `$stores` gives; ignored where a service has to be started first.
macro_rules! checked {
    (#[$ignored:meta] $stores:expr; $($name:ident)*) => {
        checked! { $stores; $(#[$ignored] $name)* }
    };
    ($stores:expr; $($(#[$ignored:meta])? $name:ident)*) => {
        $($(#[$ignored])?
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            checks::$name(&$stores).await;
        })*
    };
}

use async_trait::async_trait;
use object_store::{Attribute, Attributes, ObjectStore, ObjectStoreExt, PutOptions, PutPayload, path::Path};
use prefix_indexer_cache::{
    ByteSize, CacheBackend, CacheError, Entry, ManualClock, Metadata, Pattern, Result,
    conformance::{self, Subject},
    outages::{self, Remote},
};
use prefix_indexer_cache_object_store::{ObjectStoreBackend, Settings};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// A store, and how tiers over it come by prefixes of their own.
pub(crate) struct Stores {
    name: &'static str,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) clock: ManualClock,
}

/// Tests of one process share a service; each tier has a prefix of its own.
static MADE: AtomicU64 = AtomicU64::new(0);

impl Stores {
    pub(crate) fn new(name: &'static str, store: Arc<dyn ObjectStore>) -> Stores {
        let clock = ManualClock::at(1_700_000_000_000);
        Stores { name, store, clock }
    }

    /// A tier, and the prefix of its objects.
    pub(crate) fn tier(&self) -> (ObjectStoreBackend, String) {
        let prefix = format!("test-{}/{}", std::process::id(), MADE.fetch_add(1, Relaxed));
        let settings =
            Settings { prefix: prefix.clone(), multipart_threshold: ByteSize(5 << 20), ..Settings::default() };
        let tier = ObjectStoreBackend::over(self.name, Arc::clone(&self.store), settings).unwrap();
        (tier.with_clock(Arc::new(self.clock.clone())), prefix)
    }
}

#[async_trait]
impl Subject for Stores {
    async fn fresh(&self) -> Result<Arc<dyn CacheBackend>> {
        Ok(Arc::new(self.tier().0))
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    fn tick(&self) -> Duration {
        Duration::from_millis(1)
    }
}

/// A service, and how a tier is opened that reaches it at an address (its own, or a proxy's), under a prefix.
pub(crate) struct Served {
    pub(crate) server: SocketAddr,
    pub(crate) open: fn(SocketAddr, &str) -> Result<ObjectStoreBackend>,
}

#[async_trait]
impl Remote for Served {
    fn server(&self) -> SocketAddr {
        self.server
    }

    async fn open(&self, address: SocketAddr, place: &str) -> Result<Arc<dyn CacheBackend>> {
        // The service may outlive these tests.
        let place = format!("test-{}/{place}", std::process::id());
        Ok(Arc::new((self.open)(address, &place)?))
    }
}

/// A store that fails costs little, loses nothing, and never serves what was overwritten or deleted meanwhile.
pub(crate) async fn every_fault_is_survived(served: &Served) {
    let failures = outages::run_all(served).await;
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Every promise, but those that the service under the store does not keep.
pub(crate) async fn conformance(stores: &Stores, not_kept_by_the_service: &[&str]) {
    let mut failures = Vec::new();
    for check in conformance::CHECKS.iter().filter(|check| !not_kept_by_the_service.contains(&check.name)) {
        failures.extend(check.run(stores).await.err());
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// What an engine wrote is served, and what was set an engine can read: bytes alone.
pub(crate) async fn raw_values_are_an_engines_own(stores: &Stores) {
    let (tier, prefix) = stores.tier();
    let object = |name: &str| Path::parse(format!("{prefix}/{name}")).unwrap();
    let value: Vec<u8> = (0..=255).collect();
    let metadata: Metadata = [("source", "prefetch")].into_iter().collect();
    tier.set("prod/t/m/1", Entry::new(value.clone()).with_metadata(metadata)).await.unwrap();
    let found = stores.store.get(&object("prod/t/m/1")).await.unwrap().bytes().await.unwrap();
    assert_eq!(found, value);
    stores.store.put(&object("prod/t/m/2"), PutPayload::from(value.clone())).await.unwrap();
    assert_eq!(tier.get("prod/t/m/2").await.unwrap(), Some(Entry::new(value)));
    let keys: Vec<_> = tier.list(&Pattern::new("prod/t/*"), 9).await.unwrap().into_iter().map(|row| row.key).collect();
    assert_eq!(keys, ["prod/t/m/1", "prod/t/m/2"]);
    // What is beside our prefix is not ours.
    stores.store.put(&Path::parse(format!("{prefix}x/1")).unwrap(), PutPayload::from("other")).await.unwrap();
    assert_eq!(tier.clear(&Pattern::all()).await.unwrap(), 2);
    stores.store.head(&Path::parse(format!("{prefix}x/1")).unwrap()).await.unwrap();
    // Attributes that are ours by name and make no sense are not believed.
    let mut attributes = Attributes::new();
    attributes.insert(Attribute::Metadata("pixexpires".into()), "soon".into());
    let options = PutOptions { attributes, ..PutOptions::default() };
    stores.store.put_opts(&object("odd"), PutPayload::from("value"), options).await.unwrap();
    assert_eq!(tier.get("odd").await.unwrap(), None);
    assert_eq!(tier.stats().await.unwrap().corrupt, 1);
}

/// A large value goes in parts, whole and with all that travels with it.
pub(crate) async fn large_values_go_in_parts(stores: &Stores) {
    let (tier, _) = stores.tier();
    let value: Vec<u8> = (0..17_000_001_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let metadata: Metadata = [("parts", "3")].into_iter().collect();
    let entry = Entry::new(value).with_metadata(metadata).with_ttl(Duration::from_secs(60));
    tier.set("large", entry.clone()).await.unwrap();
    let found = tier.get("large").await.unwrap();
    assert!(found.as_ref() == Some(&entry), "another value came back");
    assert_eq!(tier.list(&Pattern::all(), 9).await.unwrap()[0].size, 17_000_001);
}

/// An expired object is gone from the store once it was met; a clock that jumps loses nothing that it should not.
pub(crate) async fn what_has_expired_is_deleted_when_met(stores: &Stores) {
    let (tier, prefix) = stores.tier();
    let now = prefix_indexer_cache::Clock::now_ms(&stores.clock);
    for key in ["met", "unmet", "renewed"] {
        tier.set(key, Entry::new("value").with_ttl(Duration::from_secs(10))).await.unwrap();
    }
    // Back by a day: everything lives longer, nothing is lost.
    stores.clock.set(now - 86_400_000);
    assert!(tier.exists("met").await.unwrap());
    stores.clock.set(now + 10_000);
    tier.set("renewed", Entry::new("newer").with_ttl(Duration::from_secs(10))).await.unwrap();
    assert_eq!((tier.get("met").await.unwrap(), tier.get("met").await.unwrap()), (None, None));
    let left = async |name: &str| stores.store.head(&Path::parse(format!("{prefix}/{name}")).unwrap()).await;
    assert!(matches!(left("met").await, Err(object_store::Error::NotFound { .. })));
    left("unmet").await.unwrap();
    assert_eq!(tier.get("renewed").await.unwrap().unwrap().value, "newer");
    assert_eq!(tier.stats().await.unwrap().expired, 1);
}

/// Of many that set a key if it is absent one succeeds; an expired value does not stand in the way.
pub(crate) async fn conditional_writes(stores: &Stores) {
    let (tier, _) = stores.tier();
    let tier = &tier;
    let set = |value: &'static str| {
        let entry = Entry::new(value).with_ttl(Duration::from_secs(10));
        async move { tier.set_if_absent("key", entry).await.unwrap() }
    };
    let won = futures_util::future::join_all(["a", "b", "c", "d"].map(set)).await;
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
    let first = tier.get("key").await.unwrap().unwrap().value;
    assert!(!set("later").await);
    assert_eq!(tier.get("key").await.unwrap().unwrap().value, first);
    stores.clock.advance(Duration::from_secs(10));
    let won = futures_util::future::join_all(["e", "f", "g"].map(set)).await;
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
    assert_ne!(tier.get("key").await.unwrap().unwrap().value, first);
}

/// What a store can never hold is refused, and the key is absent then.
pub(crate) async fn what_no_store_holds_is_refused(stores: &Stores) {
    let (tier, _) = stores.tier();
    tier.set("key", Entry::new("old")).await.unwrap();
    let metadata: Metadata = [("long", "x".repeat(3_000))].into_iter().collect();
    let refused = tier.set("key", Entry::new("new").with_metadata(metadata)).await.unwrap_err();
    assert!(matches!(refused, CacheError::TooLarge { .. }), "{refused}");
    assert_eq!(tier.get("key").await.unwrap(), None);
    let long = "k".repeat(1_100);
    assert!(matches!(tier.set(&long, Entry::new("value")).await, Err(CacheError::Key { .. })));
    assert_eq!((tier.get(&long).await.unwrap(), tier.delete(&long).await.unwrap()), (None, false));
}
