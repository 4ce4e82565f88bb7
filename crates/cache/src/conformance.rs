//! What every backend must do, as functions that anyone can call on theirs.
//!
//! A backend's crate writes one test: a [`Subject`] that makes fresh backends and can let time pass, and a loop over
//! [`CHECKS`]. A check returns a [`Failure`] and never panics, so that a command may run it against a live service too.

use crate::{CacheBackend, CacheBackendExt, CacheError, Entry, Metadata, Pattern, Result};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use thiserror::Error;

/// A kind of backend under test.
#[async_trait]
pub trait Subject: Send + Sync {
    /// A backend that is empty and that no other check uses.
    async fn fresh(&self) -> Result<Arc<dyn CacheBackend>>;

    /// Lets so much time pass for the backends it made: by sleeping, or by moving the clock that they were given.
    async fn pass(&self, time: Duration);

    /// The smallest time to live that the backend can tell from none; expiry is checked in multiples of it.
    fn tick(&self) -> Duration;
}

/// A promise that was not kept.
#[derive(Debug, Error)]
#[error("{check}: {what}")]
pub struct Failure {
    /// Which check.
    pub check: &'static str,
    /// What was expected and what came.
    pub what: String,
}

/// How a check ends: nothing, or what was wrong.
pub(crate) type Outcome = std::result::Result<(), String>;

/// One promise: its name, and how it is checked.
#[derive(Clone, Copy)]
pub struct Check {
    /// The promise, as in `a_set_replaces_everything`.
    pub name: &'static str,
    run: for<'a> fn(&'a dyn Subject) -> BoxFuture<'a, Outcome>,
}

impl Check {
    /// Checks it.
    ///
    /// # Errors
    /// A [`Failure`] that says what was expected and what came.
    pub async fn run(&self, subject: &dyn Subject) -> Result<(), Failure> {
        (self.run)(subject).await.map_err(|what| Failure { check: self.name, what })
    }
}

/// Runs every check; stops at none and returns all failures.
pub async fn run_all(subject: &dyn Subject) -> Vec<Failure> {
    let mut failures = Vec::new();
    for check in CHECKS {
        failures.extend(check.run(subject).await.err());
    }
    failures
}

macro_rules! checks {
    ($($name:ident),* $(,)?) => {
        /// Every promise there is.
        pub const CHECKS: &[Check] = &[$(Check { name: stringify!($name), run: |subject| Box::pin($name(subject)) }),*];
    };
}
checks![
    what_was_never_set_is_absent,
    values_come_back_byte_for_byte,
    metadata_travels_with_the_value,
    a_set_replaces_everything,
    a_deleted_key_is_absent,
    entries_expire,
    a_ttl_of_zero_makes_the_key_absent,
    without_ttl_an_entry_stays,
    odd_keys_stay_apart,
    an_empty_key_is_refused,
    clear_deletes_what_matches,
    list_shows_what_matches,
    many_keys_answer_in_order,
    many_keys_beyond_one_page,
    concurrent_sets_never_mix,
    stats_follow_the_entries,
];

macro_rules! ensure {
    ($condition:expr, $($message:tt)*) => {
        if !$condition {
            return Err(format!($($message)*));
        }
    };
}

/// Equality, with both sides in the message.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Outcome {
    if found == expected { Ok(()) } else { Err(format!("{what}: expected {expected:?}, found {found:?}")) }
}

fn ok<T>(result: Result<T>) -> std::result::Result<T, String> {
    result.map_err(|error| format!("unexpected error: {error}"))
}

async fn what_was_never_set_is_absent(subject: &dyn Subject) -> Outcome {
    let backend = ok(subject.fresh().await)?;
    same("get", ok(backend.get("absent").await)?, None)?;
    same("exists", ok(backend.exists("absent").await)?, false)?;
    same("delete", ok(backend.delete("absent").await)?, false)?;
    same("clear", ok(backend.clear_all().await)?, 0)?;
    same("list", ok(backend.list(&Pattern::all(), 10).await)?, vec![])
}

async fn values_come_back_byte_for_byte(subject: &dyn Subject) -> Outcome {
    let backend = ok(subject.fresh().await)?;
    let every_byte: Vec<u8> = (0..=255).collect();
    let long: Vec<u8> = (0..1_100_003_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (key, value) in [("empty", vec![]), ("one", vec![0]), ("every", every_byte), ("long", long)] {
        ok(backend.set_value(key, Bytes::from(value.clone())).await)?;
        let found = ok(backend.get_value(key).await)?;
        ensure!(found.as_deref() == Some(&value[..]), "{key}: another value came back");
        same("exists", ok(backend.exists(key).await)?, true)?;
    }
    Ok(())
}

async fn metadata_travels_with_the_value(subject: &dyn Subject) -> Outcome {
    let backend = ok(subject.fresh().await)?;
    let metadata: Metadata = [("source", "prefetch"), ("confidence", "0.75"), ("empty", "")].into_iter().collect();
    ok(backend.set("key", Entry::new("value").with_metadata(metadata.clone())).await)?;
    let found = ok(backend.get("key").await)?;
    same("metadata", found.map(|entry| entry.metadata), Some(metadata))
}

async fn a_set_replaces_everything(subject: &dyn Subject) -> Outcome {
    let backend = ok(subject.fresh().await)?;
    let first = Entry::new("a longer first value").with_metadata([("a", "1"), ("b", "2")].into_iter().collect());
    let second = Entry::new("second").with_metadata([("b", "3")].into_iter().collect());
    ok(backend.set("key", first.with_ttl(subject.tick() * 1_000)).await)?;
    ok(backend.set("key", second.clone()).await)?;
    same("after the second set", ok(backend.get("key").await)?, Some(second))
}

async fn a_deleted_key_is_absent(subject: &dyn Subject) -> Outcome {
    let backend = ok(subject.fresh().await)?;
    ok(backend.set_value("key", "value".into()).await)?;
    ok(backend.set_value("key2", "other".into()).await)?;
    same("first delete", ok(backend.delete("key").await)?, true)?;
    same("get", ok(backend.get("key").await)?, None)?;
    same("exists", ok(backend.exists("key").await)?, false)?;
    same("second delete", ok(backend.delete("key").await)?, false)?;
    same("its neighbour", ok(backend.get_value("key2").await)?, Some("other".into()))?;
    ok(backend.set_value("key", "again".into()).await)?;
    same("set again", ok(backend.get_value("key").await)?, Some("again".into()))
}

async fn entries_expire(subject: &dyn Subject) -> Outcome {
    let backend = ok(subject.fresh().await)?;
    let tick = subject.tick();
    ok(backend.set_for("short", "1".into(), tick * 10).await)?;
    ok(backend.set_for("long", "2".into(), tick * 1_000).await)?;
    let left = ok(backend.get("short").await)?.ok_or("gone before its time")?.ttl.ok_or("the time to live was lost")?;
    ensure!(left <= tick * 10 && left > Duration::ZERO, "of {:?} there were {left:?} left", tick * 10);
    subject.pass(tick * 5).await;
    let later = ok(backend.get("long").await)?.and_then(|entry| entry.ttl).ok_or("no time to live left")?;
    ensure!(later <= tick * 995, "of {:?} there were {later:?} left after {:?}", tick * 1_000, tick * 5);
    subject.pass(tick * 6).await;
    same("get", ok(backend.get("short").await)?, None)?;
    same("exists", ok(backend.exists("short").await)?, false)?;
    same("many", ok(backend.get_many(&["short"]).await.remove(0))?, None)?;
    same("delete of an expired key", ok(backend.delete("short").await)?, false)?;
    same("the long one", ok(backend.get_value("long").await)?, Some("2".into()))?;
    let keys = ok(backend.list(&Pattern::all(), 10).await)?.into_iter().map(|row| row.key).collect();
    same("list", keys, vec!["long".to_owned()])
}

async fn a_ttl_of_zero_makes_the_key_absent(subject: &dyn Subject) -> Outcome {
    let backend = ok(subject.fresh().await)?;
    ok(backend.set_value("key", "value".into()).await)?;
    ok(backend.set_for("key", "newer".into(), Duration::ZERO).await)?;
    same("get", ok(backend.get("key").await)?, None)
}

async fn without_ttl_an_entry_stays(subject: &dyn Subject) -> Outcome {
    let backend = ok(subject.fresh().await)?;
    ok(backend.set_for("key", "value".into(), subject.tick() * 3).await)?;
    ok(backend.set_value("key", "stays".into()).await)?;
    subject.pass(subject.tick() * 6).await;
    same("get", ok(backend.get("key").await)?, Some(Entry::new("stays")))
}

async fn odd_keys_stay_apart(subject: &dyn Subject) -> Outcome {
    let backend = ok(subject.fresh().await)?;
    let long = "k".repeat(120);
    let longer = "k".repeat(121);
    let keys = [
        "a",
        "A",
        "a/b",
        "a//b",
        "/a",
        "a/",
        "a%2Fb",
        "a\\b",
        "..",
        ".",
        "../a",
        "a b",
        " a",
        "ü",
        "u\u{308}",
        "日本語",
        "*",
        "?",
        "[a]",
        "{a}",
        "a:b",
        "a\nb",
        "a\u{7f}b",
        "a#b?c=d&e",
        "'\"",
        "~",
        "con",
        ".tmp",
        &long,
        &longer,
    ];
    for key in keys {
        ok(backend.set_value(key, Bytes::from(key.to_owned())).await)?;
    }
    for key in keys {
        same(key, ok(backend.get_value(key).await)?, Some(Bytes::from(key.to_owned())))?;
    }
    let listed: BTreeSet<String> =
        ok(backend.list(&Pattern::all(), 1_000).await)?.into_iter().map(|row| row.key).collect();
    same("list", listed, keys.iter().map(|&key| key.to_owned()).collect())?;
    for key in keys {
        same(key, ok(backend.delete(key).await)?, true)?;
        same(key, ok(backend.exists(key).await)?, false)?;
    }
    Ok(())
}

async fn an_empty_key_is_refused(subject: &dyn Subject) -> Outcome {
    let backend = ok(subject.fresh().await)?;
    let set = backend.set_value("", "value".into()).await;
    ensure!(matches!(set, Err(CacheError::Key { .. })), "set: expected an error about the key, found {set:?}");
    Ok(())
}

async fn clear_deletes_what_matches(subject: &dyn Subject) -> Outcome {
    let keys = ["a/1", "a/2", "a/22", "b/1", "b*", "bx"];
    for (pattern, left) in [
        ("a/*", &["b/1", "b*", "bx"][..]),
        ("a/?", &["a/22", "b/1", "b*", "bx"]),
        ("*1", &["a/2", "a/22", "b*", "bx"]),
        ("b\\*", &["a/1", "a/2", "a/22", "b/1", "bx"]),
        ("a/2", &["a/1", "a/22", "b/1", "b*", "bx"]),
        ("nothing*", &keys),
        ("*", &[]),
    ] {
        let backend = ok(subject.fresh().await)?;
        for key in keys {
            ok(backend.set_value(key, "value".into()).await)?;
        }
        let cleared = ok(backend.clear(&Pattern::new(pattern)).await)?;
        same(pattern, cleared, (keys.len() - left.len()) as u64)?;
        for key in keys {
            same(&format!("{key} after {pattern}"), ok(backend.exists(key).await)?, left.contains(&key))?;
        }
    }
    Ok(())
}

async fn list_shows_what_matches(subject: &dyn Subject) -> Outcome {
    let backend = ok(subject.fresh().await)?;
    for (key, value) in [("a/1", "x"), ("a/2", "yy"), ("b/1", "zzz")] {
        ok(backend.set_value(key, value.into()).await)?;
    }
    let list = async |pattern: &str, limit| {
        let rows = ok(backend.list(&Pattern::new(pattern), limit).await)?;
        let mut rows: Vec<_> = rows.into_iter().map(|row| (row.key, row.size)).collect();
        rows.sort();
        Ok::<_, String>(rows)
    };
    same("a/*", list("a/*", 10).await?, vec![("a/1".into(), 1), ("a/2".into(), 2)])?;
    same("b/1", list("b/1", 10).await?, vec![("b/1".into(), 3)])?;
    same("at most two", list("*", 2).await?.len(), 2)?;
    same("at most none", list("*", 0).await?.len(), 0)
}

async fn many_keys_answer_in_order(subject: &dyn Subject) -> Outcome {
    let backend = ok(subject.fresh().await)?;
    let entry = |text: &'static str| Entry::new(text).with_metadata([("is", text)].into_iter().collect());
    let set = backend.set_many(&[("a", entry("1")), ("b", entry("2")), ("a", entry("3"))]).await;
    same("set_many", set.iter().filter(|result| result.is_ok()).count(), 3)?;
    let mut found = Vec::new();
    for result in backend.get_many(&["b", "absent", "a", "b"]).await {
        found.push(ok(result)?);
    }
    same("get_many", found, vec![Some(entry("2")), None, Some(entry("3")), Some(entry("2"))])?;
    let mut deleted = Vec::new();
    for result in backend.delete_many(&["absent", "b"]).await {
        deleted.push(ok(result)?);
    }
    same("delete_many", deleted, vec![false, true])?;
    same("what is left", ok(backend.exists("a").await)?, true)?;
    same("no keys", (backend.get_many(&[]).await.len(), backend.set_many(&[]).await.len()), (0, 0))?;
    same("no keys to delete", backend.delete_many(&[]).await.len(), 0)
}

async fn many_keys_beyond_one_page(subject: &dyn Subject) -> Outcome {
    const COUNT: usize = 1_200;
    let backend = ok(subject.fresh().await)?;
    let keys: Vec<String> = (0..COUNT).map(|i| format!("page/{i:04}")).collect();
    let entries: Vec<(&str, Entry)> = keys.iter().map(|key| (key.as_str(), Entry::new(key.clone()))).collect();
    for result in backend.set_many(&entries).await {
        ok(result)?;
    }
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    for (key, result) in keys.iter().zip(backend.get_many(&keys).await) {
        same(key, ok(result)?.map(|entry| entry.value), Some(Bytes::from((*key).to_owned())))?;
    }
    same("listed", ok(backend.list(&Pattern::new("page/*"), usize::MAX).await)?.len(), COUNT)?;
    same("cleared", ok(backend.clear(&Pattern::new("page/0*")).await)?, 1_000)?;
    same("left", ok(backend.list(&Pattern::all(), usize::MAX).await)?.len(), COUNT - 1_000)
}

async fn concurrent_sets_never_mix(subject: &dyn Subject) -> Outcome {
    let backend = ok(subject.fresh().await)?;
    let entry = |writer: u8| {
        let value = Bytes::from(vec![writer; 1_000 + 1_000 * writer as usize]);
        Entry::new(value).with_metadata([("writer", writer.to_string())].into_iter().collect())
    };
    let writers = (0..8_u8).map(|writer| {
        let backend = Arc::clone(&backend);
        tokio::spawn(async move {
            for _ in 0..20 {
                backend.set("key", entry(writer)).await?;
                // A reader sees one writer's value and metadata, whole.
                if let Some(found) = backend.get("key").await?
                    && found != entry(found.value[0])
                {
                    return Ok(Some(found.value[0]));
                }
            }
            Ok::<_, CacheError>(None)
        })
    });
    for outcome in join_all(writers).await {
        let mixed = ok(outcome.map_err(|error| format!("a task failed: {error}"))?)?;
        same("a mixture of two sets", mixed, None)?;
    }
    Ok(())
}

async fn stats_follow_the_entries(subject: &dyn Subject) -> Outcome {
    let backend = ok(subject.fresh().await)?;
    let before = ok(backend.stats().await)?;
    ok(backend.set_value("a", vec![0; 1_000].into()).await)?;
    ok(backend.set_value("b", vec![0; 3_000].into()).await)?;
    let full = ok(backend.stats().await)?;
    ok(backend.delete("b").await)?;
    let after = ok(backend.stats().await)?;
    if let (Some(before), Some(full), Some(after)) = (before.entries, full.entries, after.entries) {
        same("entries", (before, full, after), (0, 2, 1))?;
    }
    if let (Some(before), Some(full), Some(after)) = (before.bytes, full.bytes, after.bytes) {
        ensure!(before == 0 && full >= 4_000 && after < full, "bytes: {before}, {full}, {after}");
    }
    Ok(())
}
