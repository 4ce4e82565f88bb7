//! Files and pipes that grow while they are read.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "tests")]

use prefix_indexer_models::EventBatch;
use prefix_indexer_traces::{Following, Inputs, Opening, TraceError, TraceOptions};
use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

fn line(number: u64) -> String {
    format!("{{\"timestamp\": {number}, \"hash_ids\": [{number}]}}\n")
}

/// What a piece told: how its input was opened, and the times of its events.
type Told = Result<(Option<Opening>, Vec<u64>), TraceError>;

/// A follower on a thread of its own.
struct Tail {
    path: PathBuf,
    found: Receiver<Told>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    _directory: tempfile::TempDir,
}

impl Tail {
    fn new(text: &str) -> Tail {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs::write(&path, text).unwrap();
        Tail::of(directory, path)
    }

    fn of(directory: tempfile::TempDir, path: PathBuf) -> Tail {
        let stop = Arc::new(AtomicBool::new(false));
        let inputs = Inputs::from_args([&path]).unwrap();
        let following = inputs.follow(TraceOptions::default(), |_| Vec::new(), Arc::clone(&stop));
        let (sender, found) = channel();
        let run = move |following: Following| {
            let mut batch = EventBatch::new();
            for piece in following {
                let report = piece.and_then(|piece| piece.decode(&mut batch));
                let told = report.map(|report| (report.opening, batch.timestamps_ms().to_vec()));
                let _ = sender.send(told);
            }
        };
        let thread = Some(thread::spawn(move || run(following)));
        Tail { path, found, stop, thread, _directory: directory }
    }

    fn next(&self) -> (Option<Opening>, Vec<u64>) {
        self.found.recv_timeout(Duration::from_secs(20)).unwrap().unwrap()
    }

    fn opened(&self, opening: Opening) {
        assert_eq!(self.next(), (Some(opening), vec![]));
    }

    /// The next events, in however many pieces they come.
    fn events(&self, expected: &[u64]) {
        let mut found = Vec::new();
        while found.len() < expected.len() {
            let (opening, events) = self.next();
            assert_eq!(opening, None);
            found.extend(events);
        }
        assert_eq!(found, expected);
    }

    fn append(&self, text: &str) {
        append(&self.path, text);
    }

    /// Nothing more has come when it has ended.
    fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        assert!(self.found.recv().is_err());
    }
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn what_is_appended_comes_line_by_line() {
    let tail = Tail::new(&[line(1), line(2)].concat());
    tail.opened(Opening::Fresh);
    tail.events(&[1, 2]);
    let third = line(3);
    tail.append(&third[..7]);
    thread::sleep(Duration::from_millis(250));
    tail.append(&third[7..]);
    tail.append(&line(4));
    tail.events(&[3, 4]);
    tail.append(line(5).trim_end());
    thread::sleep(Duration::from_millis(250));
    tail.end();
}

#[test]
fn an_empty_file_is_waited_for() {
    let tail = Tail::new("");
    thread::sleep(Duration::from_millis(150));
    tail.append(&line(1)[..9]);
    thread::sleep(Duration::from_millis(150));
    tail.append(&line(1)[9..]);
    tail.opened(Opening::Fresh);
    tail.events(&[1]);
    tail.end();
}

#[test]
fn a_file_that_was_renamed_is_finished_and_the_new_one_read() {
    let tail = Tail::new(&line(1));
    tail.opened(Opening::Fresh);
    tail.events(&[1]);
    let old = tail.path.with_extension("1");
    fs::rename(&tail.path, &old).unwrap();
    append(&old, &[line(2).as_str(), line(3).trim_end()].concat());
    thread::sleep(Duration::from_millis(250));
    fs::write(&tail.path, [line(10), line(11)].concat()).unwrap();
    tail.events(&[2, 3]);
    tail.opened(Opening::Rotated);
    tail.events(&[10, 11]);
    tail.append(&line(12));
    tail.events(&[12]);
    tail.end();
}

#[test]
fn a_file_that_was_emptied_is_read_anew() {
    let tail = Tail::new(&[line(1), line(2), line(3)].concat());
    tail.opened(Opening::Fresh);
    tail.events(&[1, 2, 3]);
    File::create(&tail.path).unwrap();
    thread::sleep(Duration::from_millis(250));
    tail.append(&line(4));
    tail.opened(Opening::Rotated);
    tail.events(&[4]);
    // Written anew in place, longer than what was read of it, before anybody looked.
    fs::write(&tail.path, [line(50), line(51), line(52)].concat()).unwrap();
    tail.opened(Opening::Rotated);
    tail.events(&[50, 51, 52]);
    tail.end();
}

#[test]
fn a_file_that_lost_its_end_goes_on_there() {
    let text = [line(1), line(2), line(3)].concat();
    let tail = Tail::new(&text);
    tail.opened(Opening::Fresh);
    tail.events(&[1, 2, 3]);
    let to = line(1).len() as u64;
    OpenOptions::new().write(true).open(&tail.path).unwrap().set_len(to).unwrap();
    tail.opened(Opening::Truncated { from: text.len() as u64, to });
    tail.append(&line(4));
    tail.events(&[4]);
    tail.end();
}

#[test]
fn a_pipe_is_read_as_it_is_written_and_ends_when_it_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let tail = Tail::of(directory, path);
    let mut pipe = OpenOptions::new().write(true).open(&tail.path).unwrap();
    pipe.write_all(&line(1).as_bytes()[..5]).unwrap();
    thread::sleep(Duration::from_millis(150));
    pipe.write_all(&line(1).as_bytes()[5..]).unwrap();
    tail.opened(Opening::Fresh);
    tail.events(&[1]);
    pipe.write_all([line(2).as_str(), line(3).trim_end()].concat().as_bytes()).unwrap();
    tail.events(&[2]);
    drop(pipe);
    tail.events(&[3]);
    let Tail { found, thread, .. } = tail;
    thread.unwrap().join().unwrap();
    assert!(found.recv().is_err());
}

#[test]
fn what_cannot_be_followed_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    for bytes in [zstd::encode_all(line(1).as_bytes(), 1).unwrap(), b"PAR1".to_vec()] {
        fs::write(&path, bytes).unwrap();
        let inputs = Inputs::from_args([&path]).unwrap();
        let mut following = inputs.follow(TraceOptions::default(), |_| Vec::new(), Arc::default());
        assert!(matches!(following.next(), Some(Err(TraceError::Unsupported { .. }))));
        assert!(following.next().is_none());
    }
}

#[test]
fn following_goes_on_where_an_earlier_run_ended() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    fs::write(&path, [line(1), line(2)].concat()).unwrap();
    let inputs = Inputs::from_args([&path]).unwrap();
    let mut batch = EventBatch::new();
    let pieces = inputs.open(TraceOptions::default(), |_| Vec::new());
    let positions: Vec<_> = pieces.filter_map(|piece| piece.unwrap().decode(&mut batch).unwrap().position).collect();
    append(&path, &line(3));
    let mut following = inputs.follow(TraceOptions::default(), |_| positions.clone(), Arc::default());
    let opening = following.next().unwrap().unwrap().decode(&mut batch).unwrap().opening;
    assert_eq!(opening, Some(Opening::Resumed { from: positions[0].offset }));
    following.next().unwrap().unwrap().decode(&mut batch).unwrap();
    assert_eq!(batch.timestamps_ms(), [3]);
}

#[test]
fn several_files_are_followed_together() {
    let directory = tempfile::tempdir().unwrap();
    let paths = ["a", "b"].map(|name| directory.path().join(name));
    for (path, number) in paths.iter().zip([1, 2]) {
        fs::write(path, line(number)).unwrap();
    }
    let stop = Arc::new(AtomicBool::new(false));
    let following =
        Inputs::from_args(&paths).unwrap().follow(TraceOptions::default(), |_| Vec::new(), Arc::clone(&stop));
    let (mut batch, mut times) = (EventBatch::new(), Vec::new());
    for piece in following {
        piece.unwrap().decode(&mut batch).unwrap();
        times.extend_from_slice(batch.timestamps_ms());
        match times.len() {
            2 => append(&paths[0], &line(3)),
            3 => append(&paths[1], &line(4)),
            4 => stop.store(true, Ordering::Relaxed),
            _ => continue,
        }
    }
    times.sort_unstable();
    assert_eq!(times[..2], [1, 2]);
    assert!(times.contains(&3) && times.contains(&4));
}
