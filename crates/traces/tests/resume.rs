//! Reading a file again: what was counted is not counted twice, and a file that is not the one it was is told.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "support/read.rs"]
mod support;

use flate2::{Compression, write::GzEncoder};
use prefix_indexer_models::SourcePosition;
use prefix_indexer_traces::{BadLines, Opening, TraceOptions};
use std::{fs, io::Write as _, path::PathBuf};
use support::{Whole, read};

fn line(number: u32) -> String {
    format!(
        "{{\"prefix_id\": \"{number:05}\", \"tenant\": \"t\", \"model_id\": \"m\", \"layer\": 1, \"page_start\": 2, \"page_end\": 3, \
         \"bytes\": 4, \"latency_ms\": 0.5, \"timestamp_ms\": {number}}}\n"
    )
}

fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.map(line).collect()
}

fn plain(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &str) -> Vec<u8> {
    zstd::encode_all(text.as_bytes(), 1).unwrap()
}

/// A file that is read again and again, by runs that each commit all they read.
struct Trace {
    _directory: tempfile::TempDir,
    path: PathBuf,
    store: fn(&str) -> Vec<u8>,
    options: TraceOptions,
    positions: Vec<SourcePosition>,
}

impl Trace {
    fn new(store: fn(&str) -> Vec<u8>) -> Trace {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("trace.jsonl");
        Trace { _directory: directory, path, store, options: TraceOptions::default(), positions: Vec::new() }
    }

    fn run(&mut self, text: &str) -> Whole {
        fs::write(&self.path, (self.store)(text)).unwrap();
        let found = read(&self.path, &self.options, &self.positions).unwrap();
        for position in &found.positions {
            self.positions.retain(|old| old.source != position.source);
            self.positions.push(position.clone());
        }
        found
    }

    /// A run over `text` opens the file as `opening` and counts the events with these numbers.
    fn check(&mut self, text: &str, opening: Opening, numbers: std::ops::Range<u32>) {
        let found = self.run(text);
        assert_eq!(found.openings, [opening]);
        let expected: Vec<u64> = numbers.map(u64::from).collect();
        assert_eq!(found.events.iter().map(|event| event.timestamp_ms).collect::<Vec<_>>(), expected);
    }
}

const STORES: [fn(&str) -> Vec<u8>; 3] = [plain, gzip, zstd];

#[test]
fn an_appended_file_continues_and_an_unchanged_one_adds_nothing() {
    for store in STORES {
        let mut trace = Trace::new(store);
        trace.check(&lines(0..3000), Opening::Fresh, 0..3000);
        trace.check(&lines(0..3000), Opening::Unchanged, 0..0);
        let from = lines(0..3000).len() as u64;
        assert_eq!((trace.positions[0].offset, trace.positions[0].lines), (from, 3000));
        trace.check(&lines(0..5000), Opening::Resumed { from }, 3000..5000);
        trace.check(&lines(0..5000), Opening::Unchanged, 0..0);
    }
}

#[test]
fn lines_are_numbered_from_the_start_of_the_file_after_resuming() {
    let mut trace = Trace::new(plain);
    trace.run(&lines(0..10));
    trace.options.bad_lines = BadLines::Skip;
    let found = trace.run(&format!("{}{}x\n", lines(0..10), lines(10..12)));
    assert_eq!(found.bad, ["13: -: not valid JSON: expected value at byte 1"]);
}

#[test]
fn another_first_line_is_another_source() {
    for store in STORES {
        let mut trace = Trace::new(store);
        trace.check(&lines(0..100), Opening::Fresh, 0..100);
        trace.check(&lines(5..300), Opening::Rotated, 5..300);
        assert_eq!(trace.positions.len(), 2);
        // The first one comes back, and is known.
        trace.check(&lines(0..100), Opening::Unchanged, 0..0);
    }
}

#[test]
fn the_same_first_line_before_something_else_is_a_rotation() {
    for store in STORES {
        let mut trace = Trace::new(store);
        trace.check(&lines(0..3000), Opening::Fresh, 0..3000);
        let other = format!("{}{}", line(0), lines(7000..11000));
        let found = trace.run(&other);
        assert_eq!((found.openings[0], found.events.len()), (Opening::Rotated, 4001));
        assert_eq!(trace.positions[0].offset, other.len() as u64);
    }
}

#[test]
fn a_truncated_file_adds_nothing_again_and_goes_on_at_its_new_end() {
    for store in STORES {
        let mut trace = Trace::new(store);
        trace.check(&lines(0..3000), Opening::Fresh, 0..3000);
        let (from, to) = (lines(0..3000).len() as u64, lines(0..1000).len() as u64);
        trace.check(&lines(0..1000), Opening::Truncated { from, to }, 0..0);
        assert_eq!((trace.positions[0].offset, trace.positions[0].lines), (to, 1000));
        trace.check(&lines(0..1200), Opening::Resumed { from: to }, 1000..1200);
    }
}

#[test]
fn a_file_truncated_within_a_line_goes_on_within_it() {
    let mut trace = Trace::new(plain);
    trace.run(&lines(0..100));
    let cut = &lines(0..51)[..lines(0..50).len() + 20];
    let (from, to) = (lines(0..100).len() as u64, cut.len() as u64);
    trace.check(cut, Opening::Truncated { from, to }, 0..0);
    trace.check(cut, Opening::Unchanged, 0..0);
    trace.check(&format!("{cut}{}", lines(100..103)), Opening::Resumed { from: to }, 100..103);
    assert_eq!(trace.positions[0].lines, 53);
}

#[test]
fn a_last_line_without_its_end_counts_once() {
    for store in STORES {
        let mut trace = Trace::new(store);
        let open = lines(0..3).trim_end().to_owned();
        trace.check(&open, Opening::Fresh, 0..3);
        let from = open.len() as u64;
        trace.check(&open, Opening::Unchanged, 0..0);
        trace.check(&lines(0..3), Opening::Resumed { from }, 0..0);
        trace.check(&lines(0..5), Opening::Resumed { from: from + 1 }, 3..5);
        assert_eq!(trace.positions[0].lines, 5);
    }
}

#[test]
fn an_only_line_without_its_end_names_the_source_already() {
    let mut trace = Trace::new(plain);
    let only = line(0).trim_end().to_owned();
    trace.check(&only, Opening::Fresh, 0..1);
    let from = only.len() as u64;
    trace.check(&format!("{only}  \r\n{}", line(1)), Opening::Resumed { from }, 1..2);
}

#[test]
fn a_line_that_is_still_being_written_is_read_when_it_is_whole() {
    let mut trace = Trace::new(plain);
    trace.options.bad_lines = BadLines::Skip;
    let half = &lines(0..3)[..lines(0..2).len() + 30];
    let found = trace.run(half);
    assert_eq!((found.events.len(), found.bad_lines), (2, 1));
    assert!(found.bad[0].ends_with("(the last line has no line end: is it still being written?)"), "{:?}", found.bad);
    trace.check(&lines(0..3), Opening::Resumed { from: lines(0..2).len() as u64 }, 2..3);
    // The same for an only line.
    let mut trace = Trace::new(plain);
    trace.options.bad_lines = BadLines::Skip;
    trace.options.format = prefix_indexer_traces::Format::by_name("events").unwrap();
    assert_eq!(trace.run(&line(0)[..30]).events.len(), 0);
    assert_eq!(trace.positions, []);
    trace.check(&line(0), Opening::Fresh, 0..1);
}

#[test]
fn an_empty_file_is_not_a_source_yet() {
    let mut trace = Trace::new(plain);
    trace.check("", Opening::Empty, 0..0);
    trace.check(&lines(0..2), Opening::Fresh, 0..2);
    trace.check("", Opening::Empty, 0..0);
    trace.check(&lines(0..2), Opening::Unchanged, 0..0);
}

#[test]
fn what_later_lines_need_of_earlier_ones_is_there_after_resuming() {
    let mut trace = Trace::new(plain);
    let first = "{\"session_id\": \"a\", \"timestamp\": 100, \"hash_ids\": [1]}\n";
    let second = "{\"session_id\": \"a\", \"delay\": 5, \"hash_ids\": [1]}\n";
    trace.run(first);
    let times = |found: Whole| found.events.iter().map(|event| event.timestamp_ms).collect::<Vec<_>>();
    assert_eq!(times(trace.run(&format!("{first}{second}"))), [105]);
    assert_eq!(times(trace.run(&format!("{first}{second}{second}"))), [110]);

    let mut trace = Trace::new(zstd);
    let chat = |chat: u32, parent: i32| {
        format!("{{\"chat_id\": {chat}, \"parent_chat_id\": {parent}, \"timestamp\": 1.0, \"hash_ids\": [1]}}\n")
    };
    trace.run(&[chat(1, -1), chat(2, 1)].concat());
    let found = trace.run(&[chat(1, -1), chat(2, 1), chat(3, 2)].concat());
    assert_eq!(found.events.iter().map(|event| event.session_id.as_deref()).collect::<Vec<_>>(), [Some("1")]);
}

#[test]
fn a_piece_can_be_the_last_one_that_is_committed() {
    let mut trace = Trace::new(plain);
    let text = lines(0..10_000);
    fs::write(&trace.path, &text).unwrap();
    let mut batch = prefix_indexer_models::EventBatch::new();
    let inputs = prefix_indexer_traces::Inputs::from_args([&trace.path]).unwrap();
    let mut events = 0;
    for piece in inputs.open(trace.options.clone(), |_| Vec::new()).take(3) {
        let report = piece.unwrap().decode(&mut batch).unwrap();
        events += report.events as u32;
        trace.positions = report.position.into_iter().collect();
    }
    assert!(events > 0 && events < 10_000);
    let from = lines(0..events).len() as u64;
    trace.check(&text, Opening::Resumed { from }, events..10_000);
}

#[test]
fn a_pipe_has_no_source_and_is_read_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let writer = std::thread::spawn({
        let path = path.clone();
        move || fs::write(path, gzip(&lines(0..5000))).unwrap()
    });
    let found = read(&path, &TraceOptions::default(), &[]).unwrap();
    writer.join().unwrap();
    assert_eq!((found.events.len(), found.positions.len(), found.openings), (5000, 0, vec![Opening::Fresh]));
}

#[test]
fn positions_say_what_the_documentation_of_the_index_says() {
    let mut trace = Trace::new(plain);
    let text = lines(0..100);
    trace.run(&text);
    let position = &trace.positions[0];
    assert_eq!(position.source.path, fs::canonicalize(&trace.path).unwrap().to_string_lossy());
    assert_eq!(position.source.head, *blake3::hash(line(0).trim_end().as_bytes()).as_bytes());
    assert_eq!(position.tail, *blake3::hash(&text.as_bytes()[text.len() - 4096..]).as_bytes());
}
