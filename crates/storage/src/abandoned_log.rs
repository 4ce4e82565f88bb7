//! What a writer that was killed left in its log: acknowledged and durable, but in no segment until the next writer opens the index.
//!
//! As long as a writer lives, its log is its own, and other processes see what it has flushed. When none does, a reader counts the
//! log for itself, as that next writer will, and writes nothing.

use crate::{
    StorageError, View,
    core::Core,
    files::{self, io_error},
    jsonl,
    kinds::{jsonl_store, segment_store},
    live::Live,
    lock,
    manifest::Manifest,
    seen::Seen,
    segment::Segment,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

/// The files of a log that nobody writes to, with their sizes and times: another log if any of it differs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AbandonedLog {
    files: Vec<(PathBuf, u64, Option<SystemTime>)>,
}

impl AbandonedLog {
    /// The log of an index that no writer has open. `generation` is that of an index in JSON Lines.
    pub(crate) fn find(dir: &Path, generation: Option<u64>) -> Result<Option<AbandonedLog>, StorageError> {
        if lock::is_held(dir) {
            return Ok(None);
        }
        let paths = match generation {
            Some(generation) => vec![jsonl::log_path(dir, generation)],
            None => {
                let log = dir.join(files::LOG_DIR);
                files::names(&log)?.into_iter().map(|name| log.join(name)).collect()
            }
        };
        let mut found = Vec::with_capacity(paths.len());
        for path in paths {
            let metadata = path.metadata().map_err(io_error("cannot read", &path))?;
            found.push((path, metadata.len(), metadata.modified().ok()));
        }
        found.sort();
        Ok(Some(AbandonedLog { files: found }))
    }

    /// Counts the log on top of a generation, whose counters and sources go on with it; returns what is in the index then.
    ///
    /// # Errors
    /// Those of reading the log and the segments.
    pub(crate) fn replay(
        &self,
        dir: &Path,
        manifest: &mut Manifest,
        segments: &[Arc<Segment>],
        in_lines: bool,
    ) -> Result<Arc<View>, StorageError> {
        let live = Live::new(manifest.spec.clone(), segments.to_vec())?;
        let mut core = Core::new(live, Seen::default(), manifest.sources.clone(), manifest.counters);
        match self.files.as_slice() {
            [(path, ..)] if in_lines => {
                jsonl_store::replay(path, &mut core)?;
            }
            // An index that was copied without its log.
            [] => {}
            _ => {
                segment_store::replay(dir, manifest, &mut core)?;
            }
        }
        core.live.publish()?;
        (manifest.sources, manifest.counters) = (core.sources, core.counters);
        Ok(core.live.view())
    }
}
