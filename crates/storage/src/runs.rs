//! The runs of the memory table: small ranked segments on the heap, newest first for readers.
//!
//! Like the levels of a log-structured merge tree: when there are [`FANOUT`] runs of one class, a second thread merges them into
//! one of the next, while the writer goes on; the result takes their place the next time a run is added.

use crate::{Segment, StorageError, TablePart};
use prefix_indexer_models::{IndexSpec, PrefixTable};
use std::{ops::Range, sync::Arc, thread::JoinHandle};

/// Runs of a class that become one of the next.
const FANOUT: usize = 4;
/// With more runs the writer waits for the merge: queries must not suffer.
const MAX_RUNS: usize = 20;

#[derive(Default)]
pub(crate) struct Runs {
    /// Oldest, and as a rule largest, first.
    runs: Vec<Run>,
    merging: Option<Merging>,
}

struct Run {
    segment: Arc<Segment>,
    class: u32,
}

struct Merging {
    /// Which runs become one. Runs are only added after them meanwhile.
    range: Range<usize>,
    class: u32,
    thread: JoinHandle<Result<Segment, StorageError>>,
}

impl Runs {
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.runs.iter().rev().map(|run| &run.segment)
    }

    /// Bytes of all segments.
    pub(crate) fn bytes(&self) -> usize {
        self.runs.iter().map(|run| run.segment.bytes() as usize).sum()
    }

    /// Makes a run of the prefixes with these numbers, repeats allowed, and empties the list. `fresh` of them no older run or
    /// segment holds.
    pub(crate) fn push(
        &mut self,
        spec: &IndexSpec,
        table: &PrefixTable,
        touched: &mut Vec<u32>,
        fresh: u64,
    ) -> Result<(), StorageError> {
        self.merge(spec)?;
        touched.sort_unstable();
        touched.dedup();
        let part = TablePart { table, numbers: Some(touched) };
        let segment = Arc::new(Segment::build(spec, &[part], fresh)?);
        touched.clear();
        self.runs.push(Run { segment, class: 0 });
        Ok(())
    }

    /// Takes over a merge that has ended, and begins the next one that is due.
    fn merge(&mut self, spec: &IndexSpec) -> Result<(), StorageError> {
        loop {
            let wait = self.runs.len() > MAX_RUNS;
            if let Some(Merging { range, class, thread }) =
                self.merging.take_if(|merging| wait || merging.thread.is_finished())
            {
                let segment = thread.join().unwrap_or_else(|_| Err(panicked()))?;
                self.runs.splice(range, [Run { segment: Arc::new(segment), class }]);
            }
            if self.merging.is_some() {
                return Ok(());
            }
            let Some(range) = self.due() else { return Ok(()) };
            let class = self.runs[range.clone()].iter().map(|run| run.class).max().unwrap_or(0) + 1;
            let (spec, inputs) = (spec.clone(), self.runs[range.clone()].iter().rev().map(|run| run.segment.clone()));
            let inputs: Vec<Arc<Segment>> = inputs.collect();
            let thread = std::thread::Builder::new()
                .name("prefix-indexer-runs".to_owned())
                .spawn(move || {
                    let inputs: Vec<&Segment> = inputs.iter().map(Arc::as_ref).collect();
                    Segment::merge(&spec, &inputs, &mut |_| true)
                })
                .map_err(crate::files::io_error("cannot start a thread for", "the memory table".as_ref()))?;
            self.merging = Some(Merging { range, class, thread });
            if !wait {
                return Ok(());
            }
        }
    }

    /// The newest neighbours of one class, if there are [`FANOUT`] of them.
    fn due(&self) -> Option<Range<usize>> {
        let mut end = self.runs.len();
        while end > 0 {
            let class = self.runs[end - 1].class;
            let begin = self.runs[..end].iter().rposition(|run| run.class != class).map_or(0, |before| before + 1);
            if end - begin >= FANOUT {
                return Some(begin..end);
            }
            end = begin;
        }
        None
    }
}

fn panicked() -> StorageError {
    crate::files::io_error("cannot merge runs of", "the memory table".as_ref())(std::io::Error::other(
        "the thread panicked",
    ))
}
