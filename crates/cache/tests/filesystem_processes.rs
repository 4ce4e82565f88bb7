//! The flat tier over restarts, sudden ends, and with several processes at once. Child processes are this test again, told by the
//! environment what to do.
#![expect(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use prefix_indexer_cache::{ByteSize, CacheBackend, CacheBackendExt, Eviction, FilesystemBackend, FilesystemConfig};
use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const ROLE: &str = "PREFIX_INDEXER_CACHE_TEST_ROLE";
const ROOT: &str = "PREFIX_INDEXER_CACHE_TEST_ROOT";

fn config(path: &Path, max_size: u64) -> FilesystemConfig {
    FilesystemConfig { path: path.to_owned(), max_size: ByteSize(max_size), ..FilesystemConfig::default() }
}

/// The value of a key tells itself whole: any mixture or cut would show.
fn value_of(key: &str, size: usize) -> Bytes {
    let pattern = blake3::hash(key.as_bytes());
    Bytes::from(pattern.as_bytes().iter().copied().cycle().take(size).collect::<Vec<u8>>())
}

fn child(role: &str, root: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "as_a_child", "--nocapture"])
        .env(ROLE, role)
        .env(ROOT, root)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What children do; nothing when run as a test of its own.
#[tokio::test]
async fn as_a_child() {
    let (Ok(role), Ok(root)) = (env::var(ROLE), env::var(ROOT)) else { return };
    let (role, number) = role.split_once('-').unwrap();
    let tier = match role {
        "writer" => FilesystemBackend::open(config(Path::new(&root), 1 << 30)).await.unwrap(),
        "filler" => FilesystemBackend::open(config(Path::new(&root), 4 << 20)).await.unwrap(),
        other => panic!("no such role: {other}"),
    };
    let mut out = std::io::stdout();
    for i in 0.. {
        let key = format!("{number}/{i}");
        let size = 1_000 + (i * 7_919) % 60_000;
        tier.set_value(&key, value_of(&key, size)).await.unwrap();
        // Said only when it is done: what was said must be there after a sudden end.
        writeln!(out, "\nset {key} {size}").unwrap();
        if role == "filler" && i == 400 {
            break;
        }
    }
}

fn said(child: &mut Child) -> impl Iterator<Item = (String, usize)> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.map_while(Result::ok).filter_map(|line| {
        let (key, size) = line.strip_prefix("set ")?.split_once(' ')?;
        Some((key.to_owned(), size.parse().ok()?))
    })
}

#[tokio::test]
async fn a_killed_writer_leaves_every_value_that_it_finished_and_no_other() {
    let root = tempfile::tempdir().unwrap();
    for round in 0..10 {
        let mut writer = child(&format!("writer-{round}"), root.path());
        let mut lines = said(&mut writer);
        let mut finished: Vec<(String, usize)> = lines.by_ref().take(5 + 9 * round).collect();
        writer.kill().unwrap();
        writer.wait().unwrap();
        finished.extend(lines);
        let tier = FilesystemBackend::open(config(root.path(), 1 << 30)).await.unwrap();
        for (key, size) in &finished {
            let found = tier.get_value(key).await.unwrap();
            assert!(found == Some(value_of(key, *size)), "round {round}: {key}");
        }
        let stats = tier.stats().await.unwrap();
        assert_eq!(stats.corrupt, 0);
        let temporaries = fs::read_dir(root.path().join(".prefix-indexer/tmp")).unwrap().count();
        assert_eq!(temporaries, 0, "what the dead left is swept up");
        let members = fs::read_dir(root.path().join(".prefix-indexer/members")).unwrap().count();
        assert_eq!(members, 1);
    }
}

#[tokio::test]
async fn two_processes_share_a_directory_within_its_budget() {
    const BUDGET: u64 = 4 << 20;
    let root = tempfile::tempdir().unwrap();
    let tier = FilesystemBackend::open(config(root.path(), BUDGET)).await.unwrap();
    let mut others: Vec<Child> = (0..2).map(|i| child(&format!("filler-{i}"), root.path())).collect();
    let readers: Vec<_> = others.iter_mut().map(said).collect();
    let mut peak = 0;
    let mut hits = 0;
    // Each writes some 12 MB into the same 4 MiB.
    for (i, lines) in readers.into_iter().enumerate() {
        for (n, (key, size)) in lines.enumerate() {
            if let Some(found) = tier.get_value(&key).await.unwrap() {
                assert!(found == value_of(&key, size), "{key}");
                hits += 1;
            }
            let own = format!("own/{i}/{n}");
            tier.set_value(&own, value_of(&own, 5_000)).await.unwrap();
            if n % 10 == 0 {
                peak = peak.max(bytes_below(root.path()));
            }
        }
    }
    for other in &mut others {
        assert!(other.wait().unwrap().success());
    }
    tier.rescan().await.unwrap();
    assert!(hits > 0, "one process finds what another wrote");
    // What three processes may write before they look, and a scan's worth on a slow machine.
    let bound = BUDGET + 3 * (BUDGET / 32 + 62_000) + BUDGET / 4;
    assert!(peak <= bound, "{peak} bytes in a directory for {BUDGET}");
    assert!(bytes_below(root.path()) <= BUDGET);
    assert_eq!(tier.stats().await.unwrap().corrupt, 0);
}

fn bytes_below(root: &Path) -> u64 {
    let mut bytes = 0;
    for directory in fs::read_dir(root).unwrap().flatten().filter(|entry| entry.file_name().len() == 2) {
        for file in fs::read_dir(directory.path()).unwrap().flatten() {
            bytes += file.metadata().map_or(0, |metadata| metadata.len());
        }
    }
    bytes
}

#[tokio::test]
async fn a_file_that_another_process_deleted_is_a_miss_and_no_longer_counted() {
    let root = tempfile::tempdir().unwrap();
    let (one, other) = (
        FilesystemBackend::open(config(root.path(), 1 << 20)).await.unwrap(),
        FilesystemBackend::open(config(root.path(), 1 << 20)).await.unwrap(),
    );
    one.set_value("key", "value".into()).await.unwrap();
    assert_eq!(other.get_value("key").await.unwrap().unwrap(), "value");
    assert_eq!(other.stats().await.unwrap().entries, Some(1));
    assert!(one.delete("key").await.unwrap());
    assert_eq!(other.get_value("key").await.unwrap(), None);
    assert_eq!(other.stats().await.unwrap().entries, Some(0));
}

#[tokio::test]
async fn the_budget_holds_and_the_right_files_leave_also_after_a_restart() {
    for (eviction, expect_kept) in [(Eviction::Lru, true), (Eviction::Fifo, false)] {
        let root = tempfile::tempdir().unwrap();
        let config = FilesystemConfig { eviction, ..config(root.path(), 100_000) };
        let tier = FilesystemBackend::open(config.clone()).await.unwrap();
        for i in 0..8 {
            tier.set_value(&i.to_string(), value_of("x", 10_000)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(tier.get("0").await.unwrap().is_some());
        let before = tier.stats().await.unwrap();
        drop(tier);
        let tier = FilesystemBackend::open(config.clone()).await.unwrap();
        let after = tier.stats().await.unwrap();
        assert_eq!((after.entries, after.bytes), (before.entries, before.bytes));
        for i in 8..14 {
            tier.set_value(&i.to_string(), value_of("x", 10_000)).await.unwrap();
        }
        let stats = tier.stats().await.unwrap();
        assert!(stats.bytes.unwrap() <= 100_000 && stats.evicted == 5, "{eviction:?}: {stats:?}");
        assert_eq!(tier.exists("0").await.unwrap(), expect_kept, "{eviction:?}: the first, but used since");
        assert!(!tier.exists("1").await.unwrap() && tier.exists("13").await.unwrap());
        // A smaller budget is kept from the start.
        let smaller = FilesystemConfig { max_size: ByteSize(30_000), ..config };
        drop(tier);
        let tier = FilesystemBackend::open(smaller).await.unwrap();
        assert!(tier.stats().await.unwrap().bytes.unwrap() <= 30_000);
    }
}

#[tokio::test]
async fn many_files_are_found_again_quickly() {
    const FILES: usize = 5_000;
    let root = tempfile::tempdir().unwrap();
    let tier = FilesystemBackend::open(config(root.path(), 1 << 30)).await.unwrap();
    let keys: Vec<String> = (0..FILES).map(|i| i.to_string()).collect();
    let entries: Vec<_> =
        keys.iter().map(|key| (key.as_str(), prefix_indexer_cache::Entry::new(key.clone()))).collect();
    assert!(tier.set_many(&entries).await.iter().all(Result::is_ok));
    drop(tier);
    let began = Instant::now();
    let tier = FilesystemBackend::open(config(root.path(), 1 << 30)).await.unwrap();
    assert_eq!(tier.stats().await.unwrap().entries, Some(FILES as u64));
    // The bar is 10 us a file; far more room here, for machines that do other things as well.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
