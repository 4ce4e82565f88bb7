//! A disk without room: an error, everything acknowledged still there, and work goes on when there is room again.

use crate::support::event;
use prefix_indexer_models::{IndexSpec, PrefixEvent};
use prefix_indexer_storage::{Batch, BatchId, Commit, IndexStore, OpenOptions, StoreKind, inspect, open};
use std::{
    path::Path,
    process::{Command, Stdio},
};

const DIR: &str = "PREFIX_INDEXER_TEST_DIR";
const KIND: &str = "PREFIX_INDEXER_TEST_KIND";

/// 64 or, by some shells' count, 128 KiB.
const BLOCKS: u32 = 128;

fn open_store(kind: StoreKind, dir: &Path) -> Box<dyn IndexStore> {
    open(kind, dir, OpenOptions { spec: Some(IndexSpec::default()), ..OpenOptions::default() }).unwrap()
}

/// Much log, little else: many events of one prefix, of sessions that do not compress.
fn batch(number: u64) -> Batch {
    let session = |index: u64| Some(blake3_like(number * 1000 + index));
    let every = |index| PrefixEvent { prefix_id: "every".into(), session_id: session(index), ..event(1) };
    let own =
        PrefixEvent { prefix_id: format!("batch-{number}"), tenant: "t".into(), model_id: "m".into(), ..event(2) };
    let commit = Commit { batch_id: Some(BatchId([number as u8; 16])), sources: Vec::new() };
    Batch { events: (0..40).map(every).chain([own]).collect(), commit }
}

fn blake3_like(seed: u64) -> String {
    (0..4).map(|word| format!("{:016x}", crate::support::noise(seed * 4 + word))).collect()
}

#[test]
fn a_file_that_cannot_grow() {
    for kind in [StoreKind::Segments, StoreKind::Jsonl] {
        let dir = tempfile::tempdir().unwrap();
        // The limit holds for each file; beyond it a write fails, as it does on a full disk.
        let script = format!("trap '' XFSZ; ulimit -f {BLOCKS}; exec \"$0\" \"$@\"");
        let output = Command::new("sh")
            .args(["-c", &script])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "full_disk::child", "--ignored", "--nocapture"])
            .env(DIR, dir.path())
            .env(KIND, kind.name())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        let count = |word: &str| said.lines().filter(|line| line.contains(word)).count() as u64;
        let (acknowledged, failed) = (count("acknowledged "), count("failed: "));
        assert!(acknowledged > 7 && failed == 3, "{acknowledged} acknowledged, {failed} failed");
        assert!(said.contains("cannot write"), "{said}");

        assert!(inspect(dir.path()).unwrap().problems.is_empty());
        let store = open_store(kind, dir.path());
        assert_eq!(store.status().counters.events, acknowledged * 41);
        assert_eq!(store.status().prefixes, acknowledged + 1);
        let view = store.reader().view();
        let hits: Vec<u64> = view.rows().map(|row| row.unwrap().tally().hit_count).collect();
        assert_eq!(hits.iter().sum::<u64>(), acknowledged * 41);
        assert_eq!(hits.iter().filter(|&&hits| hits == 1).count() as u64, acknowledged);
    }
}

#[test]
#[ignore = "what the other runs where files cannot grow"]
fn child() {
    let dir = std::env::var_os(DIR).unwrap();
    let kind = std::env::var(KIND).unwrap().parse().unwrap();
    let mut store = open_store(kind, Path::new(&dir));
    let (mut next, mut failures) = (1, 0);
    println!();
    while failures < 3 {
        match store.append(&[batch(next)]) {
            Ok(outcome) => {
                assert_eq!(outcome[0].events, 41);
                println!("acknowledged {next}");
                next += 1;
            }
            Err(error) => {
                println!("failed: {error}");
                failures += 1;
            }
        }
        assert!(next < 250);
    }
    // A flush makes room: the log begins a new file.
    store.flush().unwrap();
    for _ in 0..5 {
        store.append(&[batch(next)]).unwrap();
        println!("acknowledged {next}");
        next += 1;
    }
}
