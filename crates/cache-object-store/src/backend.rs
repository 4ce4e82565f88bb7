//! The requests of each call.

use crate::{
    Settings,
    attributes::{Beside, MAX_METADATA},
    names::Names,
    upload::{self, MAX_VALUE},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::{Error, GetOptions, GetResult, ObjectStore, PutMode, UpdateVersion, path::Path};
use prefix_indexer_cache::{
    BackendStats, CacheBackend, CacheError, Clock, Entry, Invalidation, Listed, Pattern, Result, SystemClock,
};
use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::{RwLock, mpsc};

const STRIPES: usize = 64;

/// Objects that are deleted together: as many as a store takes in one request.
const PAGE: usize = 1_000;

/// Values as objects of a store: the object's bytes are the value, its metadata says when it ends and carries the entry's.
///
/// An expired entry is never served; it is deleted when it is met. Until then listings show it and clearing counts it.
/// Times to live are kept by the wall clock. Stores have no delete that spares what came meanwhile, so between *nodes* the deletion of an
/// expired entry may take a value along that was set in the same instant: a miss, never a wrong value.
///
/// A set or delete whose caller goes away is broken off; should the store have got all of it already, it takes effect when
/// the store comes to it, perhaps after a later one.
pub struct ObjectStoreBackend {
    name: &'static str,
    store: Arc<dyn ObjectStore>,
    names: Names,
    settings: Settings,
    clock: Arc<dyn Clock>,
    /// By hash of the object. Held shared by who writes, alone by who deletes what has expired.
    writing: [RwLock<()>; STRIPES],
    hasher: RandomState,
    expired: AtomicU64,
    corrupt: AtomicU64,
}

/// What is known of an object.
enum Look {
    Absent,
    Expired(UpdateVersion),
    Live(Box<GetResult>, Beside, Option<Duration>),
}

impl ObjectStoreBackend {
    /// A tier over a store that somebody else has built, under this name.
    ///
    /// # Errors
    /// [`CacheError::Config`] for settings that make no sense.
    pub fn over(name: &'static str, store: Arc<dyn ObjectStore>, settings: Settings) -> Result<ObjectStoreBackend> {
        settings.check(name)?;
        let names = Names::new(&settings.prefix);
        Ok(ObjectStoreBackend {
            name,
            store,
            names: names.ok_or_else(|| CacheError::config(name, "prefix is no name of a directory"))?,
            settings,
            clock: Arc::new(SystemClock),
            writing: [const { RwLock::const_new(()) }; STRIPES],
            hasher: RandomState::new(),
            expired: AtomicU64::new(0),
            corrupt: AtomicU64::new(0),
        })
    }

    /// The same by another clock than the system's.
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> ObjectStoreBackend {
        ObjectStoreBackend { clock, ..self }
    }

    /// Sets `key` only if it is absent or expired, in one conditional request: of several nodes that try, one succeeds. Says whether
    /// this one did. A value is sent whole, whatever its size.
    ///
    /// # Errors
    /// As [`CacheBackend::set`], except that a key stays what it is whatever the error.
    pub async fn set_if_absent(&self, key: &str, entry: Entry) -> Result<bool> {
        const ACTION: &str = "cannot set";
        let object = self.object(key)?;
        let attributes = self.beside(&entry).attributes().ok_or_else(|| self.too_much_metadata(&entry))?;
        let _writing = self.writing(&object).read().await;
        let send = |mode| upload::whole(&*self.store, &object, entry.value.clone(), attributes.clone(), mode);
        match send(PutMode::Create).await {
            Err(Error::AlreadyExists { .. }) => {}
            sent => return sent.map(|()| true).map_err(|error| self.failed(ACTION, error)),
        }
        let Look::Expired(version) = self.look(&object, true).await? else { return Ok(false) };
        match send(PutMode::Update(version)).await {
            Err(Error::Precondition { .. } | Error::NotFound { .. } | Error::AlreadyExists { .. }) => Ok(false),
            sent => sent.map(|()| true).map_err(|error| self.failed(ACTION, error)),
        }
    }

    fn failed(&self, action: &'static str, error: Error) -> CacheError {
        CacheError::backend(self.name, action, error)
    }

    fn object(&self, key: &str) -> Result<Path> {
        self.names.object(key).map_err(|why| CacheError::Key { backend: self.name.into(), key: key.into(), why })
    }

    fn too_much_metadata(&self, entry: &Entry) -> CacheError {
        CacheError::TooLarge { backend: self.name.into(), size: entry.metadata.size(), max: MAX_METADATA as u64 }
    }

    fn beside(&self, entry: &Entry) -> Beside {
        // Rounded up; a time beyond what can be counted is for ever.
        let ms = entry.ttl.and_then(|ttl| u64::try_from(ttl.as_nanos().div_ceil(1_000_000)).ok());
        let expires_ms = ms.and_then(|ms| self.clock.now_ms().checked_add(ms));
        Beside { metadata: entry.metadata.clone(), expires_ms }
    }

    fn writing(&self, object: &Path) -> &RwLock<()> {
        &self.writing[self.hasher.hash_one(object.as_ref()) as usize % STRIPES]
    }

    /// Looks at an object: its head alone, or with the value to be read.
    async fn look(&self, object: &Path, head: bool) -> Result<Look> {
        let found = match self.store.get_opts(object, GetOptions { head, ..GetOptions::default() }).await {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => return Ok(Look::Absent),
            Err(error) => return Err(self.failed("cannot get", error)),
        };
        let Some(beside) = Beside::read(&found.attributes) else {
            self.corrupt.fetch_add(1, Relaxed);
            return Ok(Look::Absent);
        };
        Ok(match beside.left(self.clock.now_ms()) {
            Some(left) => Look::Live(Box::new(found), beside, left),
            None => Look::Expired(UpdateVersion { e_tag: found.meta.e_tag, version: found.meta.version }),
        })
    }

    async fn read(&self, key: &str) -> Result<Option<Entry>> {
        // A key that no object can have was never set.
        let Ok(object) = self.object(key) else { return Ok(None) };
        match self.look(&object, false).await? {
            Look::Absent => Ok(None),
            Look::Expired(_) => {
                self.sweep(&object).await;
                Ok(None)
            }
            Look::Live(found, beside, ttl) => {
                let value: Bytes = found.bytes().await.map_err(|error| self.failed("cannot get", error))?;
                Ok(Some(Entry { value, ttl, metadata: beside.metadata }))
            }
        }
    }

    /// Deletes an object that was found expired, unless it is so no more. Should that fail, the next one who meets it tries.
    async fn sweep(&self, object: &Path) {
        let _alone = self.writing(object).write().await;
        if let Ok(Look::Expired(_)) = self.look(object, true).await
            && let Ok(true) = upload::delete(&*self.store, object).await
        {
            self.expired.fetch_add(1, Relaxed);
        }
    }

    async fn write(&self, key: &str, entry: Entry) -> Result<()> {
        let object = self.object(key)?;
        let size = entry.value.len() as u64;
        let refused = match self.beside(&entry).attributes() {
            None => self.too_much_metadata(&entry),
            Some(_) if size > MAX_VALUE => CacheError::TooLarge { backend: self.name.into(), size, max: MAX_VALUE },
            Some(attributes) if entry.ttl != Some(Duration::ZERO) => {
                let _writing = self.writing(&object).read().await;
                let sent = if size >= self.settings.multipart_threshold.0 {
                    upload::in_parts(&*self.store, &object, entry.value, attributes).await
                } else {
                    upload::whole(&*self.store, &object, entry.value, attributes, PutMode::Overwrite).await
                };
                return sent.map_err(|error| self.failed("cannot set", error));
            }
            Some(_) => return self.remove(key).await.map(drop),
        };
        self.remove(key).await?;
        Err(refused)
    }

    async fn remove(&self, key: &str) -> Result<bool> {
        let Ok(object) = self.object(key) else { return Ok(false) };
        let _writing = self.writing(&object).read().await;
        // Asked first: S3 does not say whether there was something to delete. Deleted in any case: what cannot be read goes too.
        let was_there = matches!(self.look(&object, true).await?, Look::Live(..));
        let deleted = upload::delete(&*self.store, &object).await;
        deleted.map(|deleted| was_there && deleted).map_err(|error| self.failed("cannot delete", error))
    }

    /// Many calls, some at once, their results in order.
    async fn at_once<T, F: Future<Output = T>>(&self, calls: Vec<F>) -> Vec<T> {
        stream::iter(calls).buffered(self.settings.concurrency).collect().await
    }
}

#[async_trait]
impl CacheBackend for ObjectStoreBackend {
    fn name(&self) -> &str {
        self.name
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        self.read(key).await
    }

    async fn get_many(&self, keys: &[&str]) -> Vec<Result<Option<Entry>>> {
        self.at_once(keys.iter().map(|key| self.read(key)).collect()).await
    }

    async fn set(&self, key: &str, entry: Entry) -> Result<()> {
        self.write(key, entry).await
    }

    async fn set_many(&self, entries: &[(&str, Entry)]) -> Vec<Result<()>> {
        // Of the same key given twice only the last one is written.
        let last: HashMap<&str, usize> = entries.iter().enumerate().map(|(at, (key, _))| (*key, at)).collect();
        let last = &last;
        let writes = entries.iter().enumerate().map(|(at, (key, entry))| async move {
            if last.get(key) == Some(&at) { self.write(key, entry.clone()).await } else { Ok(()) }
        });
        self.at_once(writes.collect()).await
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        self.remove(key).await
    }

    async fn delete_many(&self, keys: &[&str]) -> Vec<Result<bool>> {
        self.at_once(keys.iter().map(|key| self.remove(key)).collect()).await
    }

    async fn exists(&self, key: &str) -> Result<bool> {
        let Ok(object) = self.object(key) else { return Ok(false) };
        match self.look(&object, true).await? {
            Look::Live(..) => Ok(true),
            Look::Absent => Ok(false),
            Look::Expired(_) => {
                self.sweep(&object).await;
                Ok(false)
            }
        }
    }

    /// In order of key within what the store lists at a time. May show what has expired and was not met since.
    async fn list(&self, pattern: &Pattern, limit: usize) -> Result<Vec<Listed>> {
        let listed = self.store.list(Some(&self.names.directory(pattern)));
        let rows = listed.try_filter_map(|meta| {
            let key = self.names.key(&meta.location).filter(|key| pattern.matches(key));
            std::future::ready(Ok(key.map(|key| Listed { key, size: meta.size })))
        });
        let rows = rows.take(limit).try_collect();
        rows.await.map_err(|error| self.failed("cannot list", error))
    }

    async fn clear(&self, pattern: &Pattern) -> Result<u64> {
        let (names, own) = (self.names.clone(), pattern.clone());
        let listed = self.store.list(Some(&names.directory(pattern)));
        let matching = listed.try_filter_map(move |meta| {
            let matches = names.key(&meta.location).is_some_and(|key| own.matches(&key));
            std::future::ready(Ok(matches.then_some(meta.location)))
        });
        // Nothing is listed while something is deleted: not every store lists well what goes meanwhile.
        let mut pages = pin!(matching.try_chunks(PAGE));
        let mut cleared = 0;
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.failed("cannot clear", error.1))?;
            let mut deleted = self.store.delete_stream(stream::iter(page.into_iter().map(Ok)).boxed());
            while let Some(result) = deleted.next().await {
                match result {
                    Ok(_) => cleared += 1,
                    // Somebody else was faster.
                    Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(self.failed("cannot clear", error)),
                }
            }
        }
        Ok(cleared)
    }

    /// What was met here. How much a bucket holds no store tells without listing it.
    async fn stats(&self) -> Result<BackendStats> {
        let mut stats = BackendStats::default();
        stats.expired = self.expired.load(Relaxed);
        stats.corrupt = self.corrupt.load(Relaxed);
        Ok(stats)
    }

    /// Stores tell of changes by queues of their own, which this does not follow.
    fn invalidations(&self) -> Option<mpsc::Receiver<Invalidation>> {
        None
    }
}

impl fmt::Debug for ObjectStoreBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectStoreBackend").field("store", &self.store.to_string()).finish_non_exhaustive()
    }
}
