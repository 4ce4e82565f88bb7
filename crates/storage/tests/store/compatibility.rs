//! An index that version 1 of the format wrote is opened for ever; one of a version to come is refused by name.

#[path = "../../examples/fixture_index/content.rs"]
mod content;

use crate::support::{close, stats};
use content::{PARTS, SIDE};
use prefix_indexer_models::PrefixStats;
use prefix_indexer_storage::{Appended, Batch, IndexReader, OpenOptions, StorageError, StoreKind, View, inspect, open};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/index-v1")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() { copy(&entry.path(), &to) } else { fs::copy(entry.path(), to).map(|_| ()).unwrap() }
    }
}

fn expected(events: std::ops::Range<u64>) -> Vec<PrefixStats> {
    let table = content::fold(&content::spec().unwrap(), &content::events(events));
    let mut stats: Vec<_> = table.rows().map(|row| row.to_stats()).collect();
    stats.sort_by(|a, b| (&a.tenant, &a.model_id, &a.prefix_id).cmp(&(&b.tenant, &b.model_id, &b.prefix_id)));
    stats
}

fn assert_rows(view: &View, expected: &[PrefixStats]) {
    let found = stats(view);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!(close(found, expected), "\n{found:?}\n{expected:?}");
    }
}

fn files(dir: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>, root: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found, root);
        } else {
            found.push((path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
}

/// As long as version 1 is what is written: the same events, the same bytes.
#[test]
fn version_1_is_written() {
    let dir = tempfile::tempdir().unwrap();
    content::make(dir.path()).unwrap();
    let (mut made, mut kept) = (Vec::new(), Vec::new());
    files(dir.path(), &mut made, dir.path());
    files(&fixture(), &mut kept, &fixture());
    let names = |files: &[(PathBuf, Vec<u8>)]| files.iter().map(|file| file.0.clone()).collect::<Vec<_>>();
    assert_eq!(names(&made), names(&kept));
    for (made, kept) in made.iter().zip(&kept) {
        assert!(made == kept, "{}", made.0.display());
    }
}

#[test]
fn version_1_is_read() {
    let reader = IndexReader::open(&fixture(), true).unwrap();
    assert_eq!(reader.spec(), &content::spec().unwrap());
    // The third part is in the log, which no writer has open.
    assert_rows(&reader.view(), &expected(0..PARTS[2].end));
    assert_eq!(reader.side(SIDE.0).unwrap().unwrap(), (SIDE.1, SIDE.2.to_vec()));
    let inspection = inspect(&fixture()).unwrap();
    assert_eq!(inspection.problems, [""; 0]);
    assert_eq!((inspection.log.batches, inspection.log.events, inspection.segments.len()), (1, 60, 2));
}

#[test]
fn version_1_is_written_to() {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(), dir.path());
    let mut store = open(StoreKind::Segments, dir.path(), OpenOptions::default()).unwrap();
    let all = expected(0..PARTS[2].end);
    assert_rows(&store.reader().view(), &all);
    for (part, number) in PARTS.into_iter().zip(1..) {
        let commit = content::commit(number);
        assert_eq!(store.source(&commit.sources[0].source), Some(&commit.sources[0]));
        let events = content::events(part);
        let known = Appended { events: 0, duplicates: events.len() as u64 };
        assert_eq!(store.append(&[Batch { events, commit }]).unwrap(), [known]);
    }
    // Those that were appended one by one are known by their own ids, too.
    let mut again = content::events(PARTS[0].clone());
    again.retain(|event| event.event_id.is_some());
    assert_eq!(store.admit(&mut again), 60);
    store.compact().unwrap();
    assert_rows(&store.reader().view(), &all);
}

#[test]
fn a_version_to_come_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(), dir.path());
    let path = dir.path().join("MANIFEST");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 200;
    fs::write(&path, bytes).unwrap();
    for error in [
        IndexReader::open(dir.path(), true).map(|_| ()).unwrap_err(),
        open(StoreKind::Segments, dir.path(), OpenOptions::default()).map(|_| ()).unwrap_err(),
        inspect(dir.path()).map(|_| ()).unwrap_err(),
    ] {
        assert!(matches!(error, StorageError::Version { found: 200, known: (1, 1), .. }), "{error}");
    }
}
