//! Whatever happens to a file: a clear error or the right answer.

use crate::support::{Index, bytes_of, expected, nowhere};
use prefix_indexer_models::{IndexSpec, PrefixEvent, PrefixStats};
use prefix_indexer_storage::{Order, Scope, Segment, Source, StorageError, View};
use std::{fs, path::Path, sync::Arc};

/// A segment of several pages, and what is in it.
fn sample() -> (Vec<u8>, IndexSpec, Vec<PrefixStats>) {
    let mut index = Index::new(IndexSpec::default());
    let events: Vec<PrefixEvent> = (0..60u64)
        .map(|n| PrefixEvent {
            prefix_id: format!("prefix {}", n % 23),
            tenant: format!("tenant {}", n % 3),
            model_id: format!("model {}", n % 2),
            parent_id: (n % 5 == 0).then(|| format!("prefix {}", (n + 1) % 40)),
            timestamp_ms: 1_700_000_000_000 + n * 7_777_777 % 100_000_000,
            bytes: n,
            ..PrefixEvent::default()
        })
        .collect();
    index.append(&events);
    (bytes_of(&[&index.segments[0]], &index.spec), index.spec.clone(), index.stats())
}

/// A segment and all that is asked of it, answered by the model.
struct Sample {
    bytes: Vec<u8>,
    spec: IndexSpec,
    stats: Vec<PrefixStats>,
    listed: Vec<(Scope<'static>, Order, Vec<PrefixStats>)>,
}

impl Sample {
    fn new() -> Sample {
        let (bytes, spec, stats) = sample();
        let scopes = [
            Scope::default(),
            Scope { tenant: Some("tenant 1"), model_id: None },
            Scope { tenant: None, model_id: Some("model 1") },
            Scope { tenant: Some("tenant 2"), model_id: Some("model 0") },
        ];
        let asked = scopes.into_iter().flat_map(|scope| [Order::Rung(0), Order::Recency].map(|order| (scope, order)));
        let listed = asked.map(|(scope, order)| (scope, order, expected(&spec, &stats, scope, order))).collect();
        Sample { bytes, spec, stats, listed }
    }

    /// Every answer is right, or an error; once something was wrong, verification must say so.
    fn check(&self, bytes: Vec<u8>, damaged: bool) {
        let segment = match Segment::open(Source::heap(bytes), nowhere()) {
            Ok(segment) => segment,
            Err(error) => return assert_says_where(&error, damaged),
        };
        let view = View::new(self.spec.clone(), vec![Arc::new(segment)]).unwrap();
        for (scope, order, expected) in &self.listed {
            let mut expected = expected.iter();
            let mut failed = false;
            for row in view.ranked(*scope, *order) {
                match row {
                    Ok(row) => assert_eq!(Some(&row.to_stats()), expected.next()),
                    Err(error) => {
                        assert_says_where(&error, damaged);
                        failed = true;
                    }
                }
            }
            assert!(failed || expected.next().is_none());
        }
        for stats in &self.stats {
            match view.get(&stats.key(self.spec.key_policy)) {
                Ok(row) => assert_eq!(row.unwrap().to_stats(), *stats),
                Err(error) => assert_says_where(&error, damaged),
            }
        }
        match view.segments()[0].verify() {
            Ok(()) => assert!(!damaged, "the damage was not found"),
            Err(error) => assert_says_where(&error, damaged),
        }
    }
}

fn assert_says_where(error: &StorageError, damaged: bool) {
    assert!(damaged, "{error}");
    assert!(matches!(error, StorageError::Corrupt { .. } | StorageError::Version { .. }), "{error}");
    assert!(error.to_string().starts_with("test.segment: "), "{error}");
}

#[test]
fn every_flipped_byte() {
    let sample = Sample::new();
    assert!(sample.bytes.len() > 2 * 4096, "several pages");
    sample.check(sample.bytes.clone(), false);
    for position in 0..sample.bytes.len() {
        let mut damaged = sample.bytes.clone();
        damaged[position] ^= if position % 3 == 0 { 0xff } else { 1 << (position % 8) };
        sample.check(damaged, true);
    }
}

#[test]
fn every_length() {
    let (bytes, ..) = sample();
    for length in 0..bytes.len() {
        let error = Segment::open(Source::heap(bytes[..length].to_vec()), nowhere()).unwrap_err();
        assert_says_where(&error, true);
    }
    let mut longer = bytes;
    longer.extend_from_slice(&[0; 100]);
    assert_says_where(&Segment::open(Source::heap(longer), nowhere()).unwrap_err(), true);
}

#[test]
fn another_version_is_refused() {
    let (mut bytes, ..) = sample();
    let length = bytes.len();
    bytes[8] = 2;
    bytes[length - 12] = 2;
    let error = Segment::open(Source::heap(bytes), nowhere()).unwrap_err();
    assert!(matches!(error, StorageError::Version { found: 2, known: (1, 1), .. }), "{error}");
}

#[test]
fn a_mapped_file_is_the_same_as_its_bytes() {
    let (bytes, spec, stats) = sample();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("segment");
    let open =
        |source: Source, path: &Path| View::new(spec.clone(), vec![Arc::new(Segment::open(source, path).unwrap())]);
    fs::write(&path, &bytes).unwrap();
    for source in [Source::map, Source::read] {
        let view = open(source(&fs::File::open(&path).unwrap()).unwrap(), &path).unwrap();
        crate::support::assert_answers(&view, &stats);
    }
    for wrong in [&b""[..], b"{\"prefix_id\": \"a line of JSON\"}\n"] {
        fs::write(&path, wrong).unwrap();
        let source = Source::map(&fs::File::open(&path).unwrap()).unwrap();
        assert!(matches!(Segment::open(source, &path).unwrap_err(), StorageError::Corrupt { offset: 0, .. }));
    }
}

#[test]
fn a_merge_of_damaged_segments_fails() {
    let (mut bytes, spec, stats) = sample();
    let at = bytes.len() / 3;
    bytes[at] ^= 1;
    let damaged = Segment::open(Source::heap(bytes), nowhere()).unwrap();
    assert!(matches!(Segment::merge(&spec, &[&damaged], &mut |_| true), Err(StorageError::Corrupt { .. })));
    let view = View::new(spec, vec![Arc::new(damaged)]).unwrap();
    let rows: Vec<_> = view.rows().collect();
    assert!(rows.iter().any(Result::is_err) && rows.len() <= stats.len() + 1);
}
