//! What a backend that reaches over a network must survive: every fault, with a memory tier in front, as a server has it.
//!
//! A backend's crate writes one test: a [`Remote`] that opens its backend at an address, and [`run_all`], which puts a
//! [`FaultProxy`] between the two and goes through the list of [`faults`].

use crate::{
    CacheBackend, CacheManager, Entry, MemoryBackend, MemoryConfig, Pattern, TierOptions, TierStats,
    conformance::{Failure, Outcome},
    fault_proxy::{Fault, FaultProxy},
};
use async_trait::async_trait;
use futures_util::future::join_all;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// How long a read or write may take, and how long the tier is left alone.
const TIMEOUT: Duration = Duration::from_millis(400);
const RETRY_AFTER: Duration = Duration::from_millis(800);

/// Errors in a row after which the tier is left alone.
const MAX_FAILURES: u32 = 3;

/// How long a fault lasts.
const OUTAGE: Duration = Duration::from_millis(2_400);

/// How late a timer may be on a machine that is busy.
const LATE: Duration = Duration::from_secs(5);

/// Until when all must be as if nothing had been. Calls that were given up on first have to end.
const RECOVERY: Duration = Duration::from_secs(60);

/// A kind of backend, and a server for it.
#[async_trait]
pub trait Remote: Send + Sync {
    /// Where the server listens.
    fn server(&self) -> SocketAddr;

    /// A backend that reaches the server at `address`, which may be a proxy's, and keeps what it holds apart under `place` (a word).
    /// What a request may take should be set to a few seconds: calls that were given up on end by themselves.
    async fn open(&self, address: SocketAddr, place: &str) -> crate::Result<Arc<dyn CacheBackend>>;
}

/// What goes wrong, by name. An answer of HTTP is nonsense to a server's client that speaks something else, which is a fault as well.
pub fn faults() -> Vec<(&'static str, Fault)> {
    vec![
        ("connections are reset", Fault::Reset),
        ("nothing passes", Fault::Stall),
        ("answers are lost", Fault::Mute),
        ("answers break off", Fault::HalfAnswers(3)),
        ("answers come byte for byte", Fault::Slow { bytes: 1, pause: Duration::from_millis(100) }),
        ("internal errors", Fault::http("500 Internal Server Error")),
        ("overload", Fault::http("503 Service Unavailable")),
    ]
}

/// Goes through all faults, beside each other; stops at none and returns what was not kept.
pub async fn run_all(remote: &dyn Remote) -> Vec<Failure> {
    let faults = faults().into_iter().enumerate();
    let survived = faults.map(async |(number, (name, fault))| {
        let outcome = survives(remote, fault, &format!("outage{number}")).await;
        outcome.map_err(|what| Failure { check: name, what })
    });
    let whole = async {
        let outcome = cut_values_are_not_served(remote).await;
        outcome.map_err(|what| Failure { check: "values are cut", what })
    };
    let (survived, whole) = tokio::join!(join_all(survived), whole);
    survived.into_iter().chain([whole]).filter_map(Result::err).collect()
}

/// A tier that fails costs little, loses nothing, and never serves what was overwritten or deleted meanwhile: also when the server
/// did what it was asked and nobody heard.
async fn survives(remote: &dyn Remote, fault: Fault, place: &str) -> Outcome {
    let proxy = FaultProxy::start(remote.server()).await.map_err(|error| error.to_string())?;
    let cache = Faulty::open(remote, &proxy, place).await?;
    for key in ["deleted", "set", "kept"] {
        cache.manager.set(key, Entry::new("old")).await.into_result().map_err(|error| error.to_string())?;
    }
    proxy.set(fault);
    ensure(!cache.manager.delete("deleted").await.is_ok(), "a delete that failed was called done")?;
    ensure(!cache.manager.set("set", Entry::new("new")).await.is_ok(), "a set that failed was called done")?;

    let before = cache.tier().await?;
    let (began, mut reads) = (Instant::now(), 0);
    while began.elapsed() < OUTAGE {
        let read = Instant::now();
        cache.look(reads % 2 == 0).await?;
        ensure(read.elapsed() < 3 * TIMEOUT + LATE, format_args!("three reads took {:?}", read.elapsed()))?;
        reads += 1;
        sleep(Duration::from_millis(5)).await;
    }
    let during = cache.tier().await?;
    // The breaker lets one request through in each window, once it is open; a request for three keys counts as three.
    let windows = (began.elapsed().as_secs_f64() / RETRY_AFTER.as_secs_f64()) as u64 + 1;
    let asked = during.errors + during.timeouts - before.errors - before.timeouts;
    let most = 3 * (windows + u64::from(MAX_FAILURES));
    ensure(asked <= most, format_args!("a dead tier was asked for {asked} keys in {windows} windows"))?;
    let passed_by = during.open - before.open;
    ensure(passed_by > 0, format_args!("a dead tier was never passed by in {reads} reads: {during:?}"))?;

    proxy.set(Fault::None);
    let began = Instant::now();
    loop {
        let found = cache.look(true).await?;
        if found == [None, Some("new".into()), Some("old".into())] && cache.tier().await?.pending == 0 {
            break;
        }
        ensure(began.elapsed() < RECOVERY, format_args!("something is lost: {found:?}, {:?}", cache.tier().await?))?;
        sleep(Duration::from_millis(20)).await;
    }
    ensure(cache.tier().await?.up, "the tier is still left alone")?;
    // What the server itself has, past proxy and manager.
    let bare = remote.open(remote.server(), place).await.map_err(|error| error.to_string())?;
    let left = bare.get("deleted").await.map_err(|error| error.to_string())?;
    ensure(left.is_none(), "what was deleted is still there")
}

/// A value that breaks off in the middle is an error or comes after all, but never as it is.
async fn cut_values_are_not_served(remote: &dyn Remote) -> Outcome {
    let proxy = FaultProxy::start(remote.server()).await.map_err(|error| error.to_string())?;
    let backend = remote.open(proxy.address(), "cut").await.map_err(|error| error.to_string())?;
    let entry = Entry::new(vec![7; 256 << 10]);
    backend.set("large", entry.clone()).await.map_err(|error| error.to_string())?;
    for after in [1_000, 100_000, 200_000] {
        proxy.set(Fault::HalfAnswers(after));
        if let Ok(Ok(found)) = timeout(5 * TIMEOUT, backend.get("large")).await {
            ensure(
                found.is_none_or(|found| found == entry),
                format_args!("cut after {after} bytes, another value came"),
            )?;
        }
        proxy.set(Fault::None);
    }
    let began = Instant::now();
    while backend.get("large").await.ok().flatten().as_ref() != Some(&entry) {
        ensure(began.elapsed() < RECOVERY, "the value is lost")?;
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// A memory tier over a backend that is reached through a proxy.
struct Faulty {
    manager: CacheManager,
    memory: Arc<MemoryBackend>,
}

impl Faulty {
    async fn open(remote: &dyn Remote, proxy: &FaultProxy, place: &str) -> Result<Faulty, String> {
        let backend = remote.open(proxy.address(), place).await.map_err(|error| error.to_string())?;
        let memory = MemoryBackend::new(&MemoryConfig::default()).map_err(|error| error.to_string())?;
        let memory = Arc::new(memory);
        let options = TierOptions {
            timeout: TIMEOUT,
            retry_after: RETRY_AFTER,
            max_failures: MAX_FAILURES,
            ..TierOptions::default()
        };
        let tiers = CacheManager::builder().tier(Arc::clone(&memory) as _).tier_with(backend, options);
        // Not every server that tests can have keeps times to live.
        let manager = tiers.default_ttl(None).build().map_err(|error| error.to_string())?;
        Ok(Faulty { manager, memory })
    }

    /// What is served of the three keys when memory has nothing: nothing that is no longer true.
    async fn look(&self, at_once: bool) -> Result<Vec<Option<bytes::Bytes>>, String> {
        let keys = ["deleted", "set", "kept"];
        self.memory.clear(&Pattern::all()).await.map_err(|error| error.to_string())?;
        let found = match at_once {
            true => self.manager.get_many(&keys).await,
            false => {
                vec![self.manager.get(keys[0]).await, self.manager.get(keys[1]).await, self.manager.get(keys[2]).await]
            }
        };
        let found: Vec<_> = found.into_iter().map(|entry| entry.map(|entry| entry.value)).collect();
        for ((key, found), allowed) in keys.iter().zip(&found).zip([None, Some("new"), Some("old")]) {
            let stale = found.as_deref().is_some_and(|found| Some(found) != allowed.map(str::as_bytes));
            ensure(!stale, format_args!("{key} is served as {found:?}"))?;
        }
        Ok(found)
    }

    /// The counts of the tier that fails.
    async fn tier(&self) -> Result<TierStats, String> {
        self.manager.stats().await.tiers.pop().ok_or_else(|| "there is no tier".to_owned())
    }
}

fn ensure(kept: bool, otherwise: impl ToString) -> Outcome {
    if kept { Ok(()) } else { Err(otherwise.to_string()) }
}
