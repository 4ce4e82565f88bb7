//! What is damaged, expired or somebody else's: never served as ours.
#![expect(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use prefix_indexer_cache::{
    ByteSize, CacheBackend, CacheBackendExt, CacheError, Entry, Escape, FilesystemBackend, FilesystemConfig, Layout,
    ManualClock, Metadata,
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

fn config(path: &Path, layout: Layout) -> FilesystemConfig {
    FilesystemConfig { path: path.to_owned(), layout, ..FilesystemConfig::default() }
}

async fn open(path: &Path, layout: Layout) -> FilesystemBackend {
    FilesystemBackend::open(config(path, layout)).await.unwrap()
}

/// All files below `root` that are not about the tier itself.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if !["layout", "evictor.lock"].iter().any(|name| path.ends_with(name))
                && !path.parent().unwrap().ends_with("members")
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn entry() -> Entry {
    let metadata: Metadata = [("source", "prefetch")].into_iter().collect();
    Entry::new("some value").with_metadata(metadata).with_ttl(Duration::from_secs(3600))
}

#[tokio::test]
async fn a_flipped_byte_anywhere_is_a_miss_and_counted() {
    let root = tempfile::tempdir().unwrap();
    let tier = open(root.path(), Layout::Hashed).await;
    tier.set("key", entry()).await.unwrap();
    let path = files(root.path()).remove(0);
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x20;
        fs::write(&path, flipped).unwrap();
        assert_eq!(tier.get("key").await.unwrap(), None, "byte {at}");
        assert!(!path.exists(), "byte {at}: it is dropped");
    }
    assert_eq!(tier.stats().await.unwrap().corrupt, whole.len() as u64);
    fs::write(&path, &whole).unwrap();
    assert_eq!(tier.get_value("key").await.unwrap().unwrap(), "some value");
}

#[tokio::test]
async fn a_cut_file_is_a_miss_wherever_it_was_cut() {
    let root = tempfile::tempdir().unwrap();
    let tier = open(root.path(), Layout::Hashed).await;
    tier.set("key", entry()).await.unwrap();
    let path = files(root.path()).remove(0);
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(tier.get_many(&["key"]).await.remove(0).unwrap().is_none(), "cut at {length}");
    }
    let longer = [&whole[..], b"x"].concat();
    fs::write(&path, longer).unwrap();
    assert_eq!(tier.get("key").await.unwrap(), None);
    assert_eq!(tier.stats().await.unwrap().corrupt, whole.len() as u64 + 1);
}

#[tokio::test]
async fn in_the_plain_layout_a_flipped_byte_is_a_miss_too() {
    let root = tempfile::tempdir().unwrap();
    let tier = open(root.path(), Layout::Plain).await;
    let value: Bytes = "some value".into();
    for at in 0..value.len() {
        tier.set("key", entry()).await.unwrap();
        let path = root.path().join("key");
        assert_eq!(fs::read(&path).unwrap(), value, "the bytes are the value alone");
        // As a failing disk does it: nobody opened the file to write.
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let mut flipped = value.to_vec();
        flipped[at] ^= 1;
        fs::write(&path, flipped).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        assert_eq!(tier.get("key").await.unwrap(), None, "byte {at}");
        assert_eq!(files(root.path()), Vec::<PathBuf>::new(), "value and what stood beside it are gone");
    }
    assert_eq!(tier.stats().await.unwrap().corrupt, value.len() as u64);
}

#[tokio::test]
async fn files_that_others_put_there_are_found_and_served() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("prod%2Fa%2Fblock-1"), "theirs from before").unwrap();
    let tier = open(root.path(), Layout::Plain).await;
    assert_eq!(tier.stats().await.unwrap().entries, Some(1));
    fs::write(root.path().join("prod%2Fa%2Fblock-2"), "theirs from now").unwrap();
    for (key, value) in [("prod/a/block-1", "theirs from before"), ("prod/a/block-2", "theirs from now")] {
        assert_eq!(tier.get(key).await.unwrap(), Some(Entry::new(value)));
        assert!(tier.exists(key).await.unwrap());
    }
    // Ours, replaced by theirs: no time to live and no metadata of ours belong to it.
    tier.set("shared", entry()).await.unwrap();
    assert!(tier.get("shared").await.unwrap().unwrap().ttl.is_some());
    tokio::time::sleep(Duration::from_millis(20)).await;
    fs::write(root.path().join("theirs.tmp"), "theirs").unwrap();
    fs::rename(root.path().join("theirs.tmp"), root.path().join("shared")).unwrap();
    assert_eq!(tier.get("shared").await.unwrap(), Some(Entry::new("theirs")));
    // Names that no key has are left alone.
    fs::write(root.path().join("not a key"), "?").unwrap();
    fs::write(root.path().join(".hidden"), "?").unwrap();
    assert_eq!(tier.clear_all().await.unwrap(), 3);
    assert_eq!(files(root.path()).len(), 2);
}

#[tokio::test]
async fn slashes_may_become_directories() {
    let root = tempfile::tempdir().unwrap();
    let config = FilesystemConfig { escape: Escape::Path, ..config(root.path(), Layout::Plain) };
    let tier = FilesystemBackend::open(config.clone()).await.unwrap();
    for key in ["prod/a/1", "prod/a/2", "../escape", "/absolute", "x//y"] {
        tier.set(key, entry()).await.unwrap();
    }
    assert_eq!(fs::read(root.path().join("prod/a/1")).unwrap(), b"some value");
    assert_eq!(tier.get_value("../escape").await.unwrap().unwrap(), "some value");
    assert!(!root.path().parent().unwrap().join("escape").exists());
    assert_eq!(tier.get("prod/a").await.unwrap(), None, "a directory is no value");
    assert!(!tier.exists("prod/a").await.unwrap() && !tier.delete("prod/a").await.unwrap());
    assert!(tier.set("prod/a", entry()).await.is_err());
    let again = FilesystemBackend::open(config).await.unwrap();
    assert_eq!(again.stats().await.unwrap().entries, Some(5));
    assert_eq!(again.clear(&prefix_indexer_cache::Pattern::new("prod/*")).await.unwrap(), 2);
}

#[tokio::test]
async fn jumps_of_the_clock_end_or_keep_entries_and_break_nothing() {
    let root = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(1_700_000_000_000);
    let own = Arc::new(clock.clone());
    let tier = FilesystemBackend::open_with_clock(config(root.path(), Layout::Hashed), own).await.unwrap();
    tier.set("key", entry()).await.unwrap();
    clock.set(1_600_000_000_000);
    assert!(tier.get("key").await.unwrap().is_some(), "back: it stays");
    tier.set("during", entry()).await.unwrap();
    clock.set(1_700_000_001_000);
    assert!(tier.get("key").await.unwrap().is_some());
    assert_eq!(tier.get("during").await.unwrap(), None, "set in the past, over by now");
    clock.set(0);
    tier.set("at zero", entry()).await.unwrap();
    assert!(tier.get("at zero").await.unwrap().unwrap().ttl.is_some());
    clock.set(u64::MAX);
    assert_eq!(tier.get("key").await.unwrap(), None);
    tier.set("at the end", entry()).await.unwrap();
    assert_eq!(tier.stats().await.unwrap().expired, 2);
}

#[tokio::test]
async fn a_directory_of_another_layout_or_version_is_refused() {
    let root = tempfile::tempdir().unwrap();
    drop(open(root.path(), Layout::Hashed).await);
    let error = FilesystemBackend::open(config(root.path(), Layout::Plain)).await.unwrap_err();
    assert!(matches!(error, CacheError::Config { .. }));
    assert!(error.to_string().contains("made as `prefix-indexer cache 1 hashed`"), "{error}");
    for bad in
        [FilesystemConfig::default(), FilesystemConfig { max_size: ByteSize(0), ..config(root.path(), Layout::Hashed) }]
    {
        assert!(matches!(FilesystemBackend::open(bad).await, Err(CacheError::Config { .. })));
    }
}

#[tokio::test]
async fn keys_and_values_that_cannot_be_held() {
    let root = tempfile::tempdir().unwrap();
    let plain = open(&root.path().join("plain"), Layout::Plain).await;
    let long = "k".repeat(300);
    assert!(matches!(plain.set(&long, entry()).await, Err(CacheError::Key { .. })));
    assert_eq!((plain.get(&long).await.unwrap(), plain.delete(&long).await.unwrap()), (None, false));
    let config = FilesystemConfig { max_size: ByteSize(1_000), ..config(&root.path().join("small"), Layout::Hashed) };
    let small = FilesystemBackend::open(config).await.unwrap();
    small.set("key", entry()).await.unwrap();
    let error = small.set_value("key", vec![0; 1_000].into()).await.unwrap_err();
    assert!(matches!(error, CacheError::TooLarge { max: 1_000, .. }), "{error}");
    assert_eq!(small.get("key").await.unwrap(), None, "the old value is gone");
    assert!(small.set(&"k".repeat(40_000), entry()).await.is_err());
}

#[tokio::test]
async fn a_set_that_cannot_be_written_leaves_no_old_value() {
    let root = tempfile::tempdir().unwrap();
    let tier = open(root.path(), Layout::Hashed).await;
    tier.set("key", entry()).await.unwrap();
    // As a full disk would: temporaries cannot be made.
    let temporaries = root.path().join(".prefix-indexer/tmp");
    fs::remove_dir(&temporaries).unwrap();
    let error = tier.set_value("key", "newer".into()).await.unwrap_err();
    assert!(error.is_outage(), "{error}");
    assert_eq!(error.io_kind(), Some(std::io::ErrorKind::NotFound));
    assert_eq!(tier.get("key").await.unwrap(), None);
    fs::create_dir(&temporaries).unwrap();
    tier.set_value("key", "newest".into()).await.unwrap();
    assert_eq!(tier.get_value("key").await.unwrap().unwrap(), "newest");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_whose_caller_went_away_never_undoes_a_later_change() {
    let root = tempfile::tempdir().unwrap();
    let tier = open(root.path(), Layout::Hashed).await;
    let large = Bytes::from(vec![1; 4 << 20]);
    for round in 0..20 {
        let older = tier.set_value("key", large.clone());
        // Polled once, so that it is asked for and at work, then dropped.
        drop(tokio::time::timeout(Duration::from_micros(1), older).await);
        if round % 2 == 0 {
            tier.set_value("key", "newer".into()).await.unwrap();
        } else {
            tier.delete("key").await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(15)).await;
        let found = tier.get_value("key").await.unwrap();
        assert_eq!(found.as_deref(), (round % 2 == 0).then_some(&b"newer"[..]));
    }
}
