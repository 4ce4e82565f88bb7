//! Inputs that grow: files that are appended to, and pipes.
//!
//! A followed file is asked every tenth of a second. At its end three things are told apart: it is the same and has not
//! grown; its path leads to another file (rotated by renaming: the old one is finished first); it is shorter, or what
//! was cut last is no longer there (emptied or written anew in place). In the last two cases it is opened again, and the
//! same rules as between two runs decide where to go on.

use crate::{
    Piece, TraceError, TraceOptions,
    compress::Codec,
    format::parquet::MAGIC,
    inputs::Input,
    lines::{LineCutter, Shared},
    place::is_same,
    pool::{CHUNK, Pool},
    stream::Stream,
};
use memchr::memchr;
use prefix_indexer_models::SourcePosition;
use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    thread,
    time::Duration,
};

/// How often an idle file is asked whether it has grown.
const POLL: Duration = Duration::from_millis(100);

/// The pieces of inputs that grow, as they come: those of one input in order, those of several as they arrive. Waits for
/// more; ends after the stop flag is set, when all inputs are pipes that were closed, or with the first error.
pub struct Following {
    followers: Vec<Follower>,
    next: usize,
    stop: Arc<AtomicBool>,
    failed: bool,
}

/// One input.
enum Follower {
    File(Box<FileFollower>),
    Pipe(PipeFollower),
}

/// A file, by its path.
struct FileFollower {
    path: PathBuf,
    input: Input,
    shared: Shared,
    known: Vec<SourcePosition>,
    current: Option<Open>,
}

/// The file that a path led to.
struct Open {
    file: File,
    metadata: Metadata,
    cutter: LineCutter,
}

/// Standard input or a named pipe, read by a thread of its own, because reading it blocks.
struct PipeFollower {
    shared: Shared,
    chunks: Arc<Closed>,
    state: PipeState,
}

enum PipeState {
    Opening(Stream),
    Reading(Box<LineCutter>),
    Ended,
}

/// Set when a pipe was closed and all of it has been handed on.
#[derive(Default)]
struct Closed(AtomicBool);

impl Following {
    pub(crate) fn new(
        inputs: &[Input],
        options: TraceOptions,
        known: Vec<SourcePosition>,
        stop: Arc<AtomicBool>,
    ) -> Following {
        let shared = Shared { options: Arc::new(options), pool: Pool::default() };
        let follower = |input: &Input| match input {
            Input::File(path) if !path.metadata().is_ok_and(|found| !found.is_file()) => {
                let source = input.source_path();
                let same = known.iter().filter(|position| Some(&position.source.path) == source.as_ref());
                Follower::File(Box::new(FileFollower {
                    path: path.clone(),
                    input: input.clone(),
                    shared: shared.clone(),
                    known: same.cloned().collect(),
                    current: None,
                }))
            }
            _ => Follower::Pipe(PipeFollower::new(input, shared.clone())),
        };
        Following { followers: inputs.iter().map(follower).collect(), next: 0, stop, failed: false }
    }

    /// A piece of the next input that has one.
    fn poll(&mut self) -> Result<Option<Piece>, TraceError> {
        for _ in 0..self.followers.len() {
            self.next = (self.next + 1) % self.followers.len();
            let piece = match &mut self.followers[self.next] {
                Follower::File(file) => file.poll()?,
                Follower::Pipe(pipe) => pipe.poll()?,
            };
            if piece.is_some() {
                return Ok(piece);
            }
        }
        Ok(None)
    }

    fn is_over(&self) -> bool {
        let ended =
            |follower: &Follower| matches!(follower, Follower::Pipe(PipeFollower { state: PipeState::Ended, .. }));
        self.failed || self.stop.load(Ordering::Relaxed) || self.followers.iter().all(ended)
    }
}

impl Iterator for Following {
    type Item = Result<Piece, TraceError>;

    fn next(&mut self) -> Option<Result<Piece, TraceError>> {
        while !self.is_over() {
            match self.poll() {
                Ok(Some(piece)) => return Some(Ok(piece)),
                Ok(None) if self.is_over() => {}
                Ok(None) => thread::sleep(POLL),
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

/// What has become of a followed file.
enum Fate {
    Same,
    /// Its path leads to another file.
    Replaced,
    /// It has lost what was read of it.
    Rewritten,
}

impl FileFollower {
    fn poll(&mut self) -> Result<Option<Piece>, TraceError> {
        let failed = |source| TraceError::Io { file: self.input.name(), action: "cannot follow", source };
        let Some(open) = &mut self.current else {
            self.current = self.open()?;
            return match &mut self.current {
                Some(open) => open.cutter.next(),
                None => Ok(None),
            };
        };
        let length = open.cutter.read()?;
        // Asked after reading: what is read of a file that was written anew meanwhile begins anywhere in a line.
        if !open.cutter.is_intact(&open.file).map_err(failed)? {
            self.close();
            return Ok(None);
        }
        if let Some(length) = length {
            return Ok(open.cutter.cut(length));
        }
        match open.fate(&self.path).map_err(failed)? {
            Fate::Same => Ok(None),
            Fate::Rewritten => {
                self.close();
                Ok(None)
            }
            Fate::Replaced => {
                let last = open.cutter.finish();
                self.close();
                Ok(last)
            }
        }
    }

    fn close(&mut self) {
        self.known.extend(self.current.take().and_then(|open| open.cutter.position()));
    }

    /// Opens what the path leads to, once its first line is complete.
    fn open(&self) -> Result<Option<Open>, TraceError> {
        let name = self.input.name();
        let failed = |source| TraceError::Io { file: Arc::clone(&name), action: "cannot open", source };
        let file = match File::open(&self.path) {
            // Between two files of a rotation.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(failed)?,
        };
        let metadata = file.metadata().map_err(failed)?;
        let mut stream = Stream::live(Arc::clone(&name), file.try_clone().map_err(failed)?);
        let Some(length) = first_line(&mut stream)? else { return Ok(None) };
        let again = Some(file.try_clone().map_err(failed)?);
        let cutter = LineCutter::begin(stream, again, self.input.source_path(), length, &self.shared, &self.known)?;
        Ok(Some(Open { file, metadata, cutter }))
    }
}

impl Open {
    fn fate(&self, path: &Path) -> io::Result<Fate> {
        let now = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Fate::Same),
            now => now?,
        };
        Ok(if !is_same(&now, &self.metadata) {
            Fate::Replaced
        } else if now.len() < self.cutter.read_offset() {
            Fate::Rewritten
        } else {
            Fate::Same
        })
    }
}

/// Length of the first line, once it is complete. What can only be read as a whole is refused.
fn first_line(stream: &mut Stream) -> Result<Option<usize>, TraceError> {
    let complete = stream.first_line()?.is_some();
    if Codec::recognise(&stream.ahead) != Codec::Plain || stream.ahead.starts_with(MAGIC) {
        let reason = "compressed and Parquet files cannot be followed: they are complete or broken";
        return Err(TraceError::Unsupported { file: Arc::clone(&stream.file), reason });
    }
    Ok(memchr(b'\n', &stream.ahead).filter(|_| complete))
}

impl PipeFollower {
    fn new(input: &Input, shared: Shared) -> PipeFollower {
        let (sender, receiver) = sync_channel(4);
        let from = input.clone();
        // Ends with the pipe, or when nobody receives any more.
        let spawned = thread::Builder::new().name("trace-pipe".to_owned()).spawn(move || pump(&from, &sender));
        let closed = Arc::new(Closed::default());
        let chunks = Chunks { receiver, current: io::Cursor::default(), closed: Arc::clone(&closed) };
        let stream = match spawned {
            Ok(_) => Stream::live(input.name(), chunks),
            Err(error) => Stream::live(input.name(), Refused(Some(error))),
        };
        PipeFollower { shared, chunks: closed, state: PipeState::Opening(stream) }
    }

    fn poll(&mut self) -> Result<Option<Piece>, TraceError> {
        let closed = self.chunks.0.load(Ordering::Relaxed);
        match &mut self.state {
            PipeState::Ended => Ok(None),
            PipeState::Reading(cutter) => {
                if let Some(piece) = cutter.next()? {
                    return Ok(Some(piece));
                }
                let last = if closed { cutter.finish() } else { None };
                if closed && last.is_none() {
                    self.state = PipeState::Ended;
                }
                Ok(last)
            }
            PipeState::Opening(stream) => {
                let complete = first_line(stream)?;
                let length = complete.or((closed && !stream.ahead.is_empty()).then_some(stream.ahead.len()));
                match (length, std::mem::replace(&mut self.state, PipeState::Ended)) {
                    (Some(length), PipeState::Opening(stream)) => {
                        let mut cutter = LineCutter::begin(stream, None, None, length, &self.shared, &[])?;
                        let piece = cutter.next()?;
                        self.state = PipeState::Reading(Box::new(cutter));
                        Ok(piece)
                    }
                    (None, opening) if !closed => {
                        self.state = opening;
                        Ok(None)
                    }
                    _ => Ok(None),
                }
            }
        }
    }
}

/// Chunks that a thread has read.
struct Chunks {
    receiver: Receiver<io::Result<Vec<u8>>>,
    current: io::Cursor<Vec<u8>>,
    closed: Arc<Closed>,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.current.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            match self.receiver.try_recv() {
                Ok(chunk) => self.current = io::Cursor::new(chunk?),
                Err(TryRecvError::Empty) => return Err(io::ErrorKind::WouldBlock.into()),
                Err(TryRecvError::Disconnected) => {
                    self.closed.0.store(true, Ordering::Relaxed);
                    return Ok(0);
                }
            }
        }
    }
}

/// A pipe that no thread could be had for.
struct Refused(Option<io::Error>);

impl Read for Refused {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// Reads a pipe to its end.
fn pump(input: &Input, chunks: &SyncSender<io::Result<Vec<u8>>>) {
    let mut pipe: Box<dyn Read> = match input {
        Input::Stdin => Box::new(io::stdin()),
        Input::File(path) => match File::open(path) {
            Ok(file) => Box::new(file),
            Err(error) => return drop(chunks.send(Err(error))),
        },
    };
    loop {
        let mut chunk = vec![0; CHUNK / 4];
        let sent = match pipe.read(&mut chunk) {
            Ok(0) => return,
            Ok(read) => {
                chunk.truncate(read);
                chunks.send(Ok(chunk))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return drop(chunks.send(Err(error))),
        };
        if sent.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A follower of a file with these lines, which has read them.
    fn caught_up(path: &Path, text: &str) -> FileFollower {
        fs::write(path, text).unwrap();
        let shared = Shared { options: Arc::default(), pool: Pool::default() };
        let input = Input::File(path.to_owned());
        let mut follower = FileFollower { path: path.to_owned(), input, shared, known: Vec::new(), current: None };
        while follower.poll().unwrap().is_some() {}
        follower
    }

    #[test]
    fn what_is_read_of_a_file_that_was_written_anew_meanwhile_is_not_cut() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let follower = caught_up(&path, "{\"timestamp\": 1, \"hash_ids\": [1]}\n");
        let Open { file, mut cutter, .. } = follower.current.unwrap();
        assert!(cutter.is_intact(&file).unwrap());
        fs::write(&path, "{\"timestamp\": 1000, \"hash_ids\": [1000]}\n".repeat(3)).unwrap();
        assert!(cutter.read().unwrap().is_some());
        assert!(!cutter.is_intact(&file).unwrap());
    }
}
