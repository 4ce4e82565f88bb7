//! Syncs a file while its writer goes on.

use std::{
    fs::File,
    io,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread::{Builder, JoinHandle},
};

/// A thread that does nothing but sync, one file at a time.
#[derive(Debug)]
pub(crate) struct SyncThread {
    /// `None` when it is to end.
    files: Option<Sender<Arc<File>>>,
    outcomes: Receiver<io::Result<()>>,
    thread: Option<JoinHandle<()>>,
}

impl SyncThread {
    pub(crate) fn start() -> io::Result<SyncThread> {
        let (files, to_sync) = channel::<Arc<File>>();
        let (outcome, outcomes) = channel();
        let thread = Builder::new().name("prefix-indexer-sync".to_owned()).spawn(move || {
            for file in to_sync {
                if outcome.send(file.sync_data()).is_err() {
                    break;
                }
            }
        })?;
        Ok(SyncThread { files: Some(files), outcomes, thread: Some(thread) })
    }

    /// Begins to sync what has been written to a file.
    pub(crate) fn begin(&self, file: &Arc<File>) -> io::Result<()> {
        let sent = self.files.as_ref().is_some_and(|files| files.send(file.clone()).is_ok());
        if sent { Ok(()) } else { Err(ended()) }
    }

    /// Waits for the sync that was begun first and not waited for.
    pub(crate) fn wait(&self) -> io::Result<()> {
        self.outcomes.recv().unwrap_or_else(|_| Err(ended()))
    }
}

fn ended() -> io::Error {
    io::Error::other("the thread that syncs has ended")
}

impl Drop for SyncThread {
    fn drop(&mut self) {
        self.files = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by whoever waited.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sync_is_answered() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let thread = SyncThread::start().unwrap();
        for _ in 0..3 {
            thread.begin(&file).unwrap();
            thread.wait().unwrap();
        }
        drop(thread);
        assert_eq!(Arc::strong_count(&file), 1, "it has ended");
    }
}
