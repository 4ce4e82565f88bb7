//! What is to be read: files, patterns and standard input, in order.

use crate::{Following, Pieces, TraceError, TraceOptions};
use prefix_indexer_models::SourcePosition;
use std::{
    ffi::OsStr,
    fs,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

/// One input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    Stdin,
    File(PathBuf),
}

impl Input {
    /// What messages call it.
    pub(crate) fn name(&self) -> Arc<str> {
        match self {
            Input::Stdin => "standard input".into(),
            Input::File(path) => path.to_string_lossy().into(),
        }
    }

    /// The path that a source of this input has, if it can be one: a file, not a pipe.
    pub(crate) fn source_path(&self) -> Option<String> {
        match self {
            Input::Stdin => None,
            Input::File(path) => {
                let path = fs::canonicalize(path).ok().filter(|path| path.is_file())?;
                Some(path.to_string_lossy().into_owned())
            }
        }
    }
}

/// What is to be read, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    inputs: Vec<Input>,
}

impl Inputs {
    /// Finds what arguments name: `-` is standard input, what exists is taken as it is, anything else is a pattern (`*`,
    /// `?`, `[...]`, `**`) whose matches come in the order of their names.
    ///
    /// # Errors
    /// [`TraceError::NoMatch`] or [`TraceError::Pattern`] with the argument.
    pub fn from_args<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Result<Inputs, TraceError> {
        let mut inputs = Vec::new();
        for arg in args {
            let arg = arg.as_ref();
            if arg == "-" {
                inputs.push(Input::Stdin);
            } else if fs::symlink_metadata(arg).is_ok() {
                inputs.push(Input::File(arg.into()));
            } else {
                inputs.extend(matches(arg)?.into_iter().map(Input::File));
            }
        }
        Ok(Inputs { inputs })
    }

    /// Number of files and streams.
    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }

    /// What messages call the inputs.
    pub fn names(&self) -> impl Iterator<Item = Arc<str>> {
        self.inputs.iter().map(Input::name)
    }

    /// Bytes of all inputs as stored, if all are files. (Progress: reports say how many were taken.)
    pub fn stored_bytes(&self) -> Option<u64> {
        self.inputs.iter().try_fold(0, |sum, input| match input {
            Input::Stdin => None,
            Input::File(path) => fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|found| sum + found.len()),
        })
    }

    /// Begins to read. `known` says how far the sources with a (canonical) path have been read, oldest first; it is asked
    /// once a file, now.
    pub fn open(&self, options: TraceOptions, known: impl FnMut(&str) -> Vec<SourcePosition>) -> Pieces {
        Pieces::new(self.inputs.clone(), options, self.positions(known))
    }

    /// Begins to read what the inputs hold, and goes on as they grow, until `stop` is set: what is appended to a file
    /// comes within a tenth of a second, and so does a file that takes its place. A last line waits for its line end.
    pub fn follow(
        &self,
        options: TraceOptions,
        known: impl FnMut(&str) -> Vec<SourcePosition>,
        stop: Arc<AtomicBool>,
    ) -> Following {
        Following::new(&self.inputs, options, self.positions(known), stop)
    }

    fn positions(&self, mut known: impl FnMut(&str) -> Vec<SourcePosition>) -> Vec<SourcePosition> {
        let mut positions = Vec::new();
        for path in self.inputs.iter().filter_map(Input::source_path) {
            if !positions.iter().any(|position: &SourcePosition| position.source.path == path) {
                positions.extend(known(&path));
            }
        }
        positions
    }
}

fn matches(pattern: &OsStr) -> Result<Vec<PathBuf>, TraceError> {
    let input = pattern.to_string_lossy().into_owned();
    let paths =
        glob::glob(&input).map_err(|error| TraceError::Pattern { input: input.clone(), reason: error.to_string() })?;
    let mut found = Vec::new();
    for path in paths {
        let path = path.map_err(|error| TraceError::Io {
            file: error.path().to_string_lossy().into(),
            action: "cannot look into",
            source: error.into(),
        })?;
        if !path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    if found.is_empty() { Err(TraceError::NoMatch { input }) } else { Ok(found) }
}
