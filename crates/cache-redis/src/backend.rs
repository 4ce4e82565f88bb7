//! The commands of each call.

use crate::{
    NAME, RedisConfig,
    connection::{Connection, Transaction},
    layout::{self, Left, MAX_VALUE, VALUE_FIELD},
    news::{Listener, Node},
};
use async_trait::async_trait;
use prefix_indexer_cache::{BackendStats, CacheBackend, CacheError, Entry, Invalidation, Listed, Pattern, Result};
use redis::Value;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::mpsc;

/// How many keys go into one transaction, which nobody's commands come between.
const PAGE: usize = 128;

/// How many bytes of values go into one transaction of sets, unless one value alone has more.
const PAGE_BYTES: u64 = 16 << 20;

/// How many keys Redis looks at for one `SCAN`.
const SCAN: usize = 1_000;

/// Values in Redis, under a prefix. Not for a Redis Cluster: a transaction covers keys of any slot.
///
/// Calls of one backend take effect in the order in which they were made, also those whose callers went away: they share a
/// connection. When that is replaced (broken, or an answer overdue), what the network still holds of the old one may take effect after
/// what comes over the new one.
///
/// Redis may evict what it likes when its memory is full, and expires what has outlived itself; of neither it tells other nodes.
pub struct RedisBackend {
    connection: Connection,
    prefix: String,
    channel: Option<String>,
    node: Node,
    news: Mutex<Option<mpsc::Receiver<Invalidation>>>,
    /// Keys that hold something else than a value: a list, or a hash of somebody else.
    corrupt: AtomicU64,
    /// What the server had evicted and expired when it was first asked.
    before: OnceLock<(u64, u64)>,
}

impl RedisBackend {
    /// Opens the tier. A server that is down is no error: the tier works as soon as it answers.
    ///
    /// # Errors
    /// [`CacheError::Config`] for a URL, certificate or time-out that makes no sense.
    pub async fn open(config: RedisConfig) -> Result<RedisBackend> {
        let client = config.client()?;
        let node = Node::random();
        let database = client.get_connection_info().redis_settings().db();
        let channel = config.invalidation.then(|| format!("prefix-indexer:invalidation:{database}:{}", config.prefix));
        let news = match &channel {
            None => None,
            Some(channel) => {
                let (client, channel) = (client.clone(), channel.clone());
                let listener = Listener { client, channel, node, connect_timeout: config.connect_timeout.0 };
                Some(listener.start().await)
            }
        };
        Ok(RedisBackend {
            connection: Connection::new(client, &config)?,
            prefix: config.prefix,
            channel,
            node,
            news: Mutex::new(news),
            corrupt: AtomicU64::new(0),
            before: OnceLock::new(),
        })
    }

    fn full(&self, key: &str) -> String {
        [&self.prefix, key].concat()
    }

    /// Adds the command that tells of changed keys, if anyone is told.
    fn tell<'a>(&self, commands: &mut Transaction, keys: impl Iterator<Item = &'a str>) {
        if let Some(channel) = &self.channel {
            commands.cmd("PUBLISH").arg(channel).arg(self.node.keys(keys));
        }
    }

    /// At most a page of keys.
    async fn read(&self, keys: &[&str]) -> Result<Vec<Option<Entry>>> {
        const ACTION: &str = "cannot get";
        let full: Vec<String> = keys.iter().map(|key| self.full(key)).collect();
        let mut commands = Transaction::new();
        commands.cmd("MGET").arg(&full);
        for key in &full {
            commands.cmd("PTTL").arg(key);
        }
        let mut answers = self.connection.run_all(&commands, ACTION).await?.into_iter();
        let Some(Value::Array(values)) = answers.next() else { return Ok(vec![None; keys.len()]) };
        let mut found = vec![None; keys.len()];
        let mut no_strings = Vec::new();
        for (at, (value, left)) in values.into_iter().zip(answers).enumerate() {
            let Some(ttl) = Left::of(&left).ttl() else { continue };
            found[at] = layout::string_entry(value, ttl);
            if found[at].is_none() {
                no_strings.push(at);
            }
        }
        if no_strings.is_empty() {
            return Ok(found);
        }
        let mut commands = Transaction::new();
        for &at in &no_strings {
            commands.cmd("HGETALL").arg(&full[at]);
            commands.cmd("PTTL").arg(&full[at]);
        }
        let mut answers = self.connection.run(&commands, ACTION).await?.into_iter();
        for at in no_strings {
            let (Some(hash), Some(left)) = (answers.next(), answers.next()) else { break };
            let Some(ttl) = Left::of(&left).ttl() else { continue };
            found[at] = layout::hash_entry(hash, ttl);
            if found[at].is_none() {
                self.corrupt.fetch_add(1, Relaxed);
            }
        }
        Ok(found)
    }

    /// Entries that fit into a transaction: all or none of them are set.
    async fn write(&self, entries: &[(&str, &Entry)]) -> Result<()> {
        let mut commands = Transaction::new();
        for (key, entry) in entries {
            let full = self.full(key);
            if entry.ttl == Some(Duration::ZERO) {
                commands.cmd("UNLINK").arg(&full);
            } else {
                layout::set(&mut commands, &full, entry);
            }
        }
        self.tell(&mut commands, entries.iter().map(|(key, _)| *key));
        self.connection.run_all(&commands, "cannot set").await.map(drop)
    }

    /// At most a page of keys; whether each was there.
    async fn remove(&self, keys: &[&str]) -> Result<Vec<bool>> {
        let mut commands = Transaction::new();
        for key in keys {
            commands.cmd("UNLINK").arg(self.full(key));
        }
        self.tell(&mut commands, keys.iter().copied());
        let answers = self.connection.run_all(&commands, "cannot delete").await?;
        Ok(answers.iter().take(keys.len()).map(|answer| *answer == Value::Int(1)).collect())
    }

    /// Keys that match, some of them more than once, from where the last call stopped; 0 is the beginning and the end.
    async fn scan(&self, pattern: &Pattern, cursor: &mut u64) -> Result<Vec<String>> {
        const ACTION: &str = "cannot list keys";
        let matching = layout::beginning_with(&self.full(&pattern.literal_prefix()));
        let mut commands = Transaction::new();
        commands.cmd("SCAN").arg(*cursor).arg("MATCH").arg(matching).arg("COUNT").arg(SCAN);
        let mut answers = self.connection.run_all(&commands, ACTION).await?;
        let answer: (u64, Vec<Vec<u8>>) = redis::from_redis_value(answers.pop().unwrap_or_default())
            .map_err(|error| CacheError::backend(NAME, ACTION, error))?;
        *cursor = answer.0;
        // What is no text is no key of ours.
        let keys = answer.1.into_iter().filter_map(|key| String::from_utf8(key).ok());
        let keys = keys.filter_map(|key| key.strip_prefix(&self.prefix).map(str::to_owned));
        Ok(keys.filter(|key| !key.is_empty() && pattern.matches(key)).collect())
    }

    /// The lengths of values; `None` for what is no value, or gone.
    async fn lengths(&self, keys: &[String]) -> Result<Vec<Option<u64>>> {
        let mut commands = Transaction::new();
        for key in keys {
            let full = self.full(key);
            commands.cmd("EXISTS").arg(&full);
            commands.cmd("STRLEN").arg(&full);
            commands.cmd("HEXISTS").arg(&full).arg(VALUE_FIELD);
            commands.cmd("HSTRLEN").arg(&full).arg(VALUE_FIELD);
        }
        let answers = self.connection.run(&commands, "cannot list keys").await?;
        let length = |answers: &[Value]| match answers {
            // What asks for one kind fails on a key of the other.
            [Value::Int(1), Value::Int(length), ..] | [_, _, Value::Int(1), Value::Int(length)] => Some(*length as u64),
            _ => None,
        };
        Ok(answers.chunks(4).map(length).collect())
    }
}

/// Why an entry can never be held.
fn refusal(key: &str, entry: &Entry) -> Option<CacheError> {
    if key.is_empty() {
        return Some(CacheError::Key { backend: NAME.into(), key: key.into(), why: "it is empty" });
    }
    (entry.size() > MAX_VALUE).then(|| CacheError::TooLarge {
        backend: NAME.into(),
        size: entry.size(),
        max: MAX_VALUE,
    })
}

#[async_trait]
impl CacheBackend for RedisBackend {
    fn name(&self) -> &str {
        NAME
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        Ok(self.read(&[key]).await?.pop().flatten())
    }

    async fn get_many(&self, keys: &[&str]) -> Vec<Result<Option<Entry>>> {
        let mut results = Vec::with_capacity(keys.len());
        for page in keys.chunks(PAGE) {
            match self.read(page).await {
                Ok(found) => results.extend(found.into_iter().map(Ok)),
                Err(error) => results.extend(page.iter().map(|_| Err(error.clone()))),
            }
        }
        results
    }

    async fn set(&self, key: &str, entry: Entry) -> Result<()> {
        match refusal(key, &entry) {
            None => self.write(&[(key, &entry)]).await,
            Some(error) => {
                if !key.is_empty() {
                    self.remove(&[key]).await?;
                }
                Err(error)
            }
        }
    }

    async fn set_many(&self, entries: &[(&str, Entry)]) -> Vec<Result<()>> {
        let mut results = Vec::with_capacity(entries.len());
        let mut rest = entries;
        while let Some((key, entry)) = rest.first() {
            if refusal(key, entry).is_some() {
                results.push(self.set(key, entry.clone()).await);
                rest = &rest[1..];
                continue;
            }
            let mut bytes = 0;
            let fits = |(at, (key, entry)): &(usize, &(&str, Entry))| {
                bytes += entry.size();
                *at == 0 || (*at < PAGE && bytes <= PAGE_BYTES && refusal(key, entry).is_none())
            };
            let count = rest.iter().enumerate().take_while(fits).count();
            let (page, after) = rest.split_at(count);
            let written = self.write(&page.iter().map(|(key, entry)| (*key, entry)).collect::<Vec<_>>()).await;
            results.extend(page.iter().map(|_| written.clone()));
            rest = after;
        }
        results
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        Ok(self.remove(&[key]).await?.first() == Some(&true))
    }

    async fn delete_many(&self, keys: &[&str]) -> Vec<Result<bool>> {
        let mut results = Vec::with_capacity(keys.len());
        for page in keys.chunks(PAGE) {
            match self.remove(page).await {
                Ok(found) => results.extend(found.into_iter().map(Ok)),
                Err(error) => results.extend(page.iter().map(|_| Err(error.clone()))),
            }
        }
        results
    }

    async fn exists(&self, key: &str) -> Result<bool> {
        let mut commands = Transaction::new();
        commands.cmd("EXISTS").arg(self.full(key));
        Ok(self.connection.run_all(&commands, "cannot look for").await?.first() == Some(&Value::Int(1)))
    }

    /// In no order. Looks at every key of the database.
    async fn list(&self, pattern: &Pattern, limit: usize) -> Result<Vec<Listed>> {
        let mut rows = BTreeMap::new();
        let mut cursor = 0;
        while rows.len() < limit {
            let keys = self.scan(pattern, &mut cursor).await?;
            let lengths = self.lengths(&keys).await?;
            rows.extend(keys.into_iter().zip(lengths).filter_map(|(key, length)| length.map(|size| (key, size))));
            if cursor == 0 {
                break;
            }
        }
        Ok(rows.into_iter().take(limit).map(|(key, size)| Listed { key, size }).collect())
    }

    /// Looks at every key of the database.
    async fn clear(&self, pattern: &Pattern) -> Result<u64> {
        const ACTION: &str = "cannot clear";
        let (mut cleared, mut cursor) = (0, 0);
        loop {
            let keys = self.scan(pattern, &mut cursor).await?;
            if !keys.is_empty() {
                let mut commands = Transaction::new();
                commands.cmd("UNLINK").arg(keys.iter().map(|key| self.full(key)).collect::<Vec<_>>());
                if let Some(Value::Int(count)) = self.connection.run_all(&commands, ACTION).await?.first() {
                    cleared += *count as u64;
                }
            }
            if cursor == 0 {
                break;
            }
        }
        // Only now: what others copy while the keys go is told of too.
        if let Some(channel) = &self.channel {
            let mut commands = Transaction::new();
            commands.cmd("PUBLISH").arg(channel).arg(self.node.pattern(pattern));
            self.connection.run_all(&commands, ACTION).await?;
        }
        Ok(cleared)
    }

    /// The budget, evictions and expiries are those of the whole server; how much of it is this tier's it cannot tell cheaply.
    async fn stats(&self) -> Result<BackendStats> {
        let mut commands = Transaction::new();
        commands.cmd("INFO").arg("memory");
        commands.cmd("INFO").arg("stats");
        let answers = self.connection.run_all(&commands, "cannot ask for statistics").await?;
        let text: Vec<String> = answers.into_iter().filter_map(|part| redis::from_redis_value(part).ok()).collect();
        let number = |name: &str| {
            let mut lines = text.iter().flat_map(|part| part.lines());
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse::<u64>().ok()).unwrap_or(0)
        };
        let now = (number("evicted_keys"), number("expired_keys"));
        let before = *self.before.get_or_init(|| now);
        let mut stats = BackendStats::default();
        stats.max_bytes = Some(number("maxmemory")).filter(|max| *max > 0);
        stats.evicted = now.0.saturating_sub(before.0);
        stats.expired = now.1.saturating_sub(before.1);
        stats.corrupt = self.corrupt.load(Relaxed);
        Ok(stats)
    }

    fn invalidations(&self) -> Option<mpsc::Receiver<Invalidation>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for RedisBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBackend").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
