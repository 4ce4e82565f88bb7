//! Merging segments in the background, so that a query always has few to read.
//!
//! [`choose`] decides, a thread merges, the writer installs the result the next time it flushes. Merging drops superseded
//! rows only, so it cannot change an answer; the merge that includes the oldest segment also applies retention.

use crate::{
    Segment, StorageError, View,
    manifest::SegmentEntry,
    retention::{Limits, Retention},
    segment_file, write_merged,
};
use prefix_indexer_models::{IndexSpec, PrefixKey};
use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

/// Segments of about one size that become one.
const FANOUT: usize = 4;
/// More than so many segments are never left alone.
const MAX_SEGMENTS: usize = 8;
/// Prefixes over the maximum that wait for a merge: a hundredth.
const EXCESS: u64 = 100;

/// Which segments to merge, given their sizes in bytes, newest first.
///
/// Size-tiered: the longest run of neighbours, each at most as large as all newer ones of the run together, if there are
/// [`FANOUT`] of them. So a row is rewritten a logarithmic number of times, and sizes grow geometrically with age.
pub(crate) fn choose(sizes: &[u64]) -> Option<Range<usize>> {
    for begin in 0..sizes.len() {
        let mut sum = sizes[begin];
        let mut end = begin + 1;
        while let Some(&size) = sizes.get(end)
            && size <= sum.saturating_mul(2)
        {
            sum = sum.saturating_add(size);
            end += 1;
        }
        if end - begin >= FANOUT {
            return Some(begin..end);
        }
    }
    // No such run, and yet too many: the newest ones.
    (sizes.len() > MAX_SEGMENTS).then_some(0..FANOUT)
}

/// What is to be merged.
pub(crate) struct Plan {
    inputs: Vec<u64>,
    spec: IndexSpec,
    segments: Vec<Arc<Segment>>,
    /// For the merge that includes the oldest segment.
    limits: Option<Limits>,
}

/// What a merge made.
pub(crate) struct Merged {
    /// Numbers of the segments that it replaces, newest first; neighbours in the manifest.
    pub(crate) inputs: Vec<u64>,
    /// Nothing, where nothing was kept.
    pub(crate) output: Option<(SegmentEntry, Segment)>,
    /// Keys that retention dropped, sorted.
    pub(crate) dropped: Vec<PrefixKey>,
}

/// At most one merge at a time.
pub(crate) struct Compactor {
    dir: PathBuf,
    mmap: bool,
    running: Option<Running>,
}

struct Running {
    id: u64,
    cancelled: Arc<AtomicBool>,
    thread: JoinHandle<Result<Merged, StorageError>>,
}

impl Compactor {
    pub(crate) fn new(dir: &Path, mmap: bool) -> Compactor {
        Compactor { dir: dir.to_owned(), mmap, running: None }
    }

    /// Number of the segment that is being written.
    pub(crate) fn writing(&self) -> Option<u64> {
        self.running.as_ref().map(|running| running.id)
    }

    /// What should be merged now, of the segments in force.
    pub(crate) fn plan(
        &self,
        entries: &[SegmentEntry],
        spec: &IndexSpec,
        segments: &[Arc<Segment>],
        retention: &Retention,
    ) -> Result<Option<Plan>, StorageError> {
        let sizes: Vec<u64> = entries.iter().map(|entry| entry.bytes).collect();
        let prefixes: u64 = entries.iter().map(|entry| entry.fresh).sum();
        let excess = retention.max_prefixes.is_some_and(|max| prefixes > max.saturating_add(max / EXCESS));
        let range = if excess { Some(0..entries.len()) } else { choose(&sizes) };
        let Some(range) = range else { return Ok(None) };
        let limits = if range.end == entries.len() && range.start == 0 {
            Some(retention.limits(&View::new(spec.clone(), segments.to_vec())?)?)
        } else {
            None
        };
        Ok(Some(Plan {
            inputs: entries[range.clone()].iter().map(|entry| entry.id).collect(),
            spec: spec.clone(),
            segments: segments[range].to_vec(),
            limits,
        }))
    }

    /// Merges into segment `id` on a thread of its own.
    pub(crate) fn start(&mut self, plan: Plan, id: u64) -> Result<(), StorageError> {
        let cancelled = Arc::new(AtomicBool::new(false));
        let (dir, mmap, stop) = (self.dir.clone(), self.mmap, cancelled.clone());
        let thread = std::thread::Builder::new()
            .name("prefix-indexer-compaction".to_owned())
            .spawn(move || merge(&dir, mmap, &plan, id, &stop))
            .map_err(crate::files::io_error("cannot start a thread for", &self.dir))?;
        self.running = Some(Running { id, cancelled, thread });
        Ok(())
    }

    /// The result of a merge that has ended.
    ///
    /// # Errors
    /// Those of the merge; the segments it was to replace stay, and are tried again.
    pub(crate) fn finished(&mut self) -> Result<Option<Merged>, StorageError> {
        match self.running.take_if(|running| running.thread.is_finished()) {
            Some(running) => running.thread.join().unwrap_or_else(|_| Err(panicked(&self.dir))).map(Some),
            None => Ok(None),
        }
    }

    /// Ends a merge whose result is not wanted any more, and waits for that.
    pub(crate) fn cancel(&mut self) {
        if let Some(running) = self.running.take() {
            running.cancelled.store(true, Ordering::Relaxed);
            // Whatever it made or failed to make is not named by any manifest, and removed with the next.
            let _ = running.thread.join();
        }
    }
}

impl Drop for Compactor {
    fn drop(&mut self) {
        self.cancel();
    }
}

fn panicked(dir: &Path) -> StorageError {
    crate::files::io_error("cannot compact", dir)(std::io::Error::other("the thread panicked"))
}

fn merge(dir: &Path, mmap: bool, plan: &Plan, id: u64, stop: &AtomicBool) -> Result<Merged, StorageError> {
    let segments: Vec<&Segment> = plan.segments.iter().map(Arc::as_ref).collect();
    let mut dropped = Vec::new();
    let mut keep = |row: &crate::Row<'_>| {
        // A cancelled merge has no use for rows: dropping them all ends it soonest.
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        let kept = plan.limits.as_ref().is_none_or(|limits| limits.keeps(row));
        if !kept {
            dropped.push(row.key());
        }
        kept
    };
    let (entry, segment) =
        segment_file::write(dir, id, mmap, |out, path| write_merged(&plan.spec, &segments, &mut keep, out, path))?;
    dropped.sort_unstable();
    dropped.dedup();
    let output = (!segment.is_empty()).then_some((entry, segment));
    Ok(Merged { inputs: plan.inputs.clone(), output, dropped })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_merged() {
        let check = |sizes: &[u64], expected: Option<Range<usize>>| assert_eq!(choose(sizes), expected, "{sizes:?}");
        check(&[], None);
        check(&[1, 1, 1], None);
        check(&[1, 1, 1, 1], Some(0..4));
        check(&[1, 1, 1, 1, 100], Some(0..4));
        check(&[1, 1, 100, 100, 100, 100], Some(2..6));
        check(&[1, 100, 10_000], None);
        check(&[1, 3, 9, 27, 81, 243, 729, 2187, 6561], Some(0..4));
    }

    #[test]
    fn a_row_is_rewritten_a_logarithmic_number_of_times() {
        let (mut sizes, mut written): (Vec<u64>, u64) = (Vec::new(), 0);
        for _ in 0..4096 {
            sizes.insert(0, 1);
            while let Some(range) = choose(&sizes) {
                let sum = sizes[range.clone()].iter().sum();
                written += sum;
                sizes.splice(range, [sum]);
            }
            assert!(sizes.len() <= MAX_SEGMENTS + 1);
        }
        assert!(written <= 4096 * 12, "{written}");
    }
}
