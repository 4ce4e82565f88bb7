//! A backend that fails on command: the tier of tests about outages and races.

use async_trait::async_trait;
use prefix_indexer_cache::{
    BackendStats, CacheBackend, CacheError, Entry, Invalidation, Listed, MemoryBackend, MemoryConfig, Pattern, Result,
    one_by_one,
};
use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};
use tokio::sync::{Semaphore, mpsc, watch};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Up,
    /// Every call fails at once and has no effect.
    Down,
    /// Every call has its effect and fails all the same.
    DownAfterEffect,
    /// Calls wait until the mode changes, then go on.
    Stalled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    Get,
    Set,
    Delete,
}

#[derive(Debug)]
pub(crate) struct Faulty {
    pub(crate) memory: MemoryBackend,
    mode: watch::Sender<Mode>,
    gates: Mutex<HashMap<(Call, String), Arc<Gate>>>,
    pub(crate) calls: AtomicU64,
    news: Mutex<Option<mpsc::Receiver<Invalidation>>>,
}

/// Holds one call: a get after it has read, a set or delete before its effect.
#[derive(Debug)]
pub(crate) struct Gate {
    reached: Semaphore,
    open: Semaphore,
}

impl Faulty {
    pub(crate) fn new() -> Arc<Faulty> {
        Faulty::telling(None)
    }

    pub(crate) fn telling(news: Option<mpsc::Receiver<Invalidation>>) -> Arc<Faulty> {
        Arc::new(Faulty {
            memory: MemoryBackend::new(&MemoryConfig::default()).unwrap(),
            mode: watch::Sender::new(Mode::Up),
            gates: Mutex::default(),
            calls: AtomicU64::new(0),
            news: Mutex::new(news),
        })
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(SeqCst)
    }

    pub(crate) fn gate(&self, call: Call, key: &str) -> Arc<Gate> {
        let gate = Arc::new(Gate { reached: Semaphore::new(0), open: Semaphore::new(0) });
        self.gates.lock().unwrap().insert((call, key.to_owned()), Arc::clone(&gate));
        gate
    }

    async fn at_gate(&self, call: Call, key: &str) {
        let gate = self.gates.lock().unwrap().remove(&(call, key.to_owned()));
        if let Some(gate) = gate {
            gate.reached.add_permits(1);
            drop(gate.open.acquire().await.unwrap());
        }
    }

    /// Whether the call has its effect, and whether it then fails.
    async fn enter(&self) -> Result<Mode> {
        self.calls.fetch_add(1, SeqCst);
        let mode = *self.mode.subscribe().wait_for(|mode| *mode != Mode::Stalled).await.unwrap();
        if mode == Mode::Down { Err(down()) } else { Ok(mode) }
    }
}

impl Gate {
    pub(crate) async fn reached(&self) {
        self.reached.acquire().await.unwrap().forget();
    }

    pub(crate) fn open(&self) {
        self.open.add_permits(1);
    }
}

fn down() -> CacheError {
    CacheError::backend("faulty", "cannot connect", io::Error::from(io::ErrorKind::ConnectionRefused))
}

fn leave<T>(mode: Mode, value: T) -> Result<T> {
    if mode == Mode::DownAfterEffect { Err(down()) } else { Ok(value) }
}

#[async_trait]
impl CacheBackend for Faulty {
    fn name(&self) -> &str {
        "faulty"
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        let mode = self.enter().await?;
        let found = self.memory.get(key).await?;
        self.at_gate(Call::Get, key).await;
        leave(mode, found)
    }

    async fn get_many(&self, keys: &[&str]) -> Vec<Result<Option<Entry>>> {
        one_by_one::get_many(self, keys).await
    }

    async fn set(&self, key: &str, entry: Entry) -> Result<()> {
        let mode = self.enter().await?;
        self.at_gate(Call::Set, key).await;
        self.memory.set(key, entry).await?;
        leave(mode, ())
    }

    async fn set_many(&self, entries: &[(&str, Entry)]) -> Vec<Result<()>> {
        one_by_one::set_many(self, entries).await
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        let mode = self.enter().await?;
        self.at_gate(Call::Delete, key).await;
        let there = self.memory.delete(key).await?;
        leave(mode, there)
    }

    async fn delete_many(&self, keys: &[&str]) -> Vec<Result<bool>> {
        one_by_one::delete_many(self, keys).await
    }

    async fn exists(&self, key: &str) -> Result<bool> {
        let mode = self.enter().await?;
        leave(mode, self.memory.exists(key).await?)
    }

    async fn list(&self, pattern: &Pattern, limit: usize) -> Result<Vec<Listed>> {
        let mode = self.enter().await?;
        leave(mode, self.memory.list(pattern, limit).await?)
    }

    async fn clear(&self, pattern: &Pattern) -> Result<u64> {
        let mode = self.enter().await?;
        leave(mode, self.memory.clear(pattern).await?)
    }

    async fn stats(&self) -> Result<BackendStats> {
        self.memory.stats().await
    }

    fn invalidations(&self) -> Option<mpsc::Receiver<Invalidation>> {
        self.news.lock().unwrap().take()
    }
}
