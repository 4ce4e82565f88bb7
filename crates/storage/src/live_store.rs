//! What all stores have in common: counting, remembering, showing. A [`Medium`] adds where it is kept.

use crate::{
    Appended, Batch, Commit, Counters, Forget, IndexStore, Reader, Row, Segment, StorageError, StoreStatus, TablePart,
    View,
    core::{Accepted, Core},
    lineage::reject_cycles,
    retention::Retention,
    seen::Seen,
    side::PendingSides,
};
use prefix_indexer_models::{EventBatch, IndexSpec, MAX_RUNGS, PrefixTable, SourceId, SourcePosition};
use std::sync::Arc;

/// Memory that dirty prefixes may take before they are flushed, ...
const DIRTY_BYTES: usize = 64 << 20;

/// ... and the runs that readers see of them, where a prefix may be several times.
const RUN_BYTES: usize = 2 * DIRTY_BYTES;

/// Events that may be in the log alone: whoever opens the index after a crash counts them again first, in less than half a second.
const LOGGED_EVENTS: u64 = 1 << 19;

/// Events that wait to be shown together, at most: bounds the memory that remembers which prefixes they touched.
const UNSEEN_EVENTS: usize = 1 << 18;

/// Where a store keeps what it counts.
pub(crate) trait Medium: Send {
    /// Writes batches: all of them, or none. They are durable when [`finish_log`](Self::finish_log) has returned.
    fn log(&mut self, group: &[Accepted<'_>]) -> Result<(), StorageError>;

    /// Waits until what was logged is durable. On failure nobody knows whether it is.
    fn finish_log(&mut self) -> Result<(), StorageError> {
        Ok(())
    }

    /// Bytes that [`log`](Self::log) wrote and no [`commit`](Self::commit) has covered.
    fn log_bytes(&self) -> u64;

    /// Replaces the generation: everything logged so far is in it. Returns the flushed segments from now on, newest first.
    /// On failure nothing has changed.
    fn commit(&mut self, next: Next<'_>) -> Result<Vec<Arc<Segment>>, StorageError>;

    /// Merges segments where there are many, now or in the background, while nothing is dirty. Returns the flushed
    /// segments, if they are others than before.
    fn maintain(&mut self, flushed: &View) -> Result<Option<Vec<Arc<Segment>>>, StorageError>;

    /// Committed learned state.
    fn side(&self, name: &str) -> Result<Option<(u32, Vec<u8>)>, StorageError>;

    /// Bytes in use beside the segments, and the generation.
    fn extent(&self, view: &View) -> Extent;
}

pub(crate) struct Extent {
    pub(crate) bytes: u64,
    pub(crate) generation: u64,
}

/// A generation to be.
pub(crate) struct Next<'a> {
    /// The segments of the one in force.
    pub(crate) flushed: &'a View,
    pub(crate) rows: Rows<'a>,
    pub(crate) sources: &'a [SourcePosition],
    pub(crate) counters: Counters,
    pub(crate) sides: &'a PendingSides,
    pub(crate) seen: &'a Seen,
    /// Ids were removed: the files that hold them must go.
    pub(crate) seen_changed: bool,
}

/// How the prefixes of the next generation differ.
pub(crate) enum Rows<'a> {
    Same,
    /// These rows supersede those of the same key. `fresh` of them have no older row.
    Newer {
        parts: &'a [TablePart<'a>],
        fresh: u64,
    },
    /// All segments become one, of the rows that are kept.
    Rewritten {
        keep: &'a mut dyn FnMut(&Row<'_>) -> bool,
    },
}

/// A store over some medium.
pub(crate) struct LiveStore<M> {
    core: Core,
    medium: M,
    sides: PendingSides,
    retention: Retention,
    /// Whether something that is not in the table waits for a flush.
    unflushed: bool,
    /// Why nothing more is shown or committed: the table holds what may not be durable.
    halted: Option<String>,
}

impl<M: Medium> LiveStore<M> {
    /// Shows what was replayed into `core`.
    ///
    /// # Errors
    /// [`StorageError::TooLarge`].
    pub(crate) fn new(core: Core, medium: M, retention: Retention) -> Result<LiveStore<M>, StorageError> {
        let unflushed = medium.log_bytes() > 0;
        let mut store = LiveStore { core, medium, sides: PendingSides::default(), retention, unflushed, halted: None };
        store.core.live.publish()?;
        Ok(store)
    }

    /// Whether what is in memory is to be flushed.
    fn is_full(&self) -> bool {
        let Core { live, counters, flushed_events, .. } = &self.core;
        live.table_bytes() >= DIRTY_BYTES
            || live.run_bytes() >= RUN_BYTES
            || counters.events.saturating_sub(*flushed_events) >= LOGGED_EVENTS
    }

    fn check_running(&self) -> Result<(), StorageError> {
        self.halted.as_ref().map_or(Ok(()), |what| Err(StorageError::Halted { what: what.clone() }))
    }

    /// Commits a generation, and shows it.
    fn commit(&mut self, change: Change<'_>) -> Result<(), StorageError> {
        self.check_running()?;
        let with_admitted = matches!(change, Change::Load { .. });
        let Core { live, seen, sources, counters, followed, flushed_events, .. } = &mut self.core;
        if let Some(followed) = followed {
            followed.put(with_admitted, &mut self.sides)?;
        }
        let (part, dirty_fresh) = live.part();
        let part = [part];
        let mut seen_changed = false;
        let rows = match change {
            Change::Flush if live.is_dirty() => Rows::Newer { parts: &part, fresh: dirty_fresh },
            Change::Load { parts, fresh } if parts.iter().any(|part| !part.table.is_empty()) => {
                Rows::Newer { parts, fresh }
            }
            Change::Flush | Change::Load { .. } => Rows::Same,
            Change::Rewrite { keep, forgets } => {
                seen_changed = forgets;
                Rows::Rewritten { keep }
            }
        };
        let (flushed, counters) = (live.flushed(), *counters);
        let sides = &self.sides;
        let flushed = self.medium.commit(Next { flushed, rows, sources, counters, sides, seen, seen_changed })?;
        seen.saved();
        self.sides.clear();
        (self.unflushed, *flushed_events) = (false, counters.events);
        if let Some(followed) = followed {
            followed.saved(with_admitted);
        }
        live.replace_all(flushed)
    }

    fn load_tables(
        &mut self,
        mut tables: Vec<PrefixTable>,
        commit: &Commit,
        counters: Counters,
    ) -> Result<(), StorageError> {
        if commit.batch_id.is_some_and(|id| self.core.seen.has_batch(id)) {
            self.core.counters.duplicates += counters.events;
            self.abandon();
            return self.publish();
        }
        tables.iter().try_for_each(|table| self.spec().check_same(table.spec()))?;
        self.flush_rows()?;
        let flushed = self.core.live.flushed();
        let (fresh, conflicts) = add_totals(&mut tables, flushed)?;
        let mut parts: Vec<&mut PrefixTable> = tables.iter_mut().collect();
        let cycles = reject_cycles(&mut parts, flushed)?;
        let rollback = (self.core.counters, self.core.sources.clone(), self.core.seen.mark());
        let own = &mut self.core.counters;
        own.events += counters.events;
        own.bytes = own.bytes.saturating_add(counters.bytes);
        own.duplicates += counters.duplicates;
        own.parent_conflicts += counters.parent_conflicts + conflicts;
        own.parent_cycles += counters.parent_cycles + cycles;
        self.core.note_sources(&commit.sources);
        if let Some(id) = commit.batch_id {
            let newest_ms = tables.iter().flat_map(|table| table.rows()).map(|row| row.tally.last_seen_ms).max();
            self.core.seen.push_batch(id, newest_ms.unwrap_or(0));
        }
        self.core.seen.push_admitted();
        let parts: Vec<TablePart<'_>> = tables.iter().map(TablePart::from).collect();
        let committed = self.commit(Change::Load { parts: &parts, fresh });
        if committed.is_ok() {
            self.core.seen.settle();
        } else {
            (self.core.counters, self.core.sources) = (rollback.0, rollback.1);
            self.core.seen.go_back(rollback.2);
        }
        committed
    }

    /// Puts everything into segments.
    fn flush_rows(&mut self) -> Result<(), StorageError> {
        if self.core.live.is_dirty() {
            let (table, flushed) = self.core.live.dirty_and_flushed();
            self.core.counters.parent_cycles += reject_cycles(&mut [table], flushed)?;
        } else if !self.unflushed && self.sides.is_empty() {
            return Ok(());
        }
        self.commit(Change::Flush)
    }
}

/// What a generation is committed for.
enum Change<'a> {
    /// The memory table becomes a segment.
    Flush,
    /// Tables become one; the memory table is empty.
    Load { parts: &'a [TablePart<'a>], fresh: u64 },
    /// All segments become one; the memory table is empty.
    Rewrite { keep: &'a mut dyn FnMut(&Row<'_>) -> bool, forgets: bool },
}

impl<M: Medium> IndexStore for LiveStore<M> {
    fn spec(&self) -> &IndexSpec {
        self.core.live.spec()
    }

    fn reader(&self) -> Reader {
        self.core.live.reader()
    }

    fn append(&mut self, batches: &[Batch]) -> Result<Vec<Appended>, StorageError> {
        self.check_running()?;
        let mark = self.core.seen.mark();
        let group: Vec<Accepted<'_>> = batches.iter().map(|batch| self.core.accept(batch)).collect();
        let prepared = group.iter().try_for_each(|batch| self.core.live.prepare(&batch.events));
        if let Err(error) = prepared.and_then(|()| self.medium.log(&group)) {
            self.core.seen.go_back(mark);
            return Err(error);
        }
        let mut outcomes = Vec::with_capacity(group.len());
        for batch in &group {
            self.unflushed |= batch.is_logged();
            self.core.count(batch.commit, &batch.events, batch.duplicates);
            outcomes.push(Appended { events: batch.events.len() as u64, duplicates: batch.duplicates });
        }
        self.core.seen.trim();
        // Counting went on beside the sync; showing does not, since readers must not see what a crash could take back.
        if let Err(error) = self.medium.finish_log() {
            self.halted = Some(format!("what was counted last may not be durable ({error}); open the index again"));
            return Err(error);
        }
        if self.core.live.unseen() >= UNSEEN_EVENTS
            && let Err(error) = self.core.live.publish()
        {
            // The batches are durable, so this is no failure of theirs; `publish` and `flush` report it if it lasts.
            tracing::error!(%error, "what was appended could not be shown");
        }
        if self.is_full() {
            // As above.
            if let Err(error) = self.flush() {
                tracing::error!(%error, "flushing a full memory table failed; it stays in the log");
            }
        }
        Ok(outcomes)
    }

    fn publish(&mut self) -> Result<(), StorageError> {
        self.check_running()?;
        if self.core.live.unseen() == 0 { Ok(()) } else { self.core.live.publish() }
    }

    fn admit(&mut self, events: &mut EventBatch) -> u64 {
        let before = events.len();
        let policy = self.core.live.spec().key_policy;
        let Core { seen, digester, followed, .. } = &mut self.core;
        if events.has_event_ids() {
            events.retain(|event| digester.digest(policy, event).is_none_or(|id| seen.admit_event(id)));
        }
        if let Some(followed) = followed {
            followed.admit(events);
        }
        (before - events.len()) as u64
    }

    fn load(&mut self, tables: Vec<PrefixTable>, commit: &Commit, counters: Counters) -> Result<(), StorageError> {
        let loaded = self.load_tables(tables, commit, counters);
        if let (Err(_), Some(followed)) = (&loaded, &mut self.core.followed) {
            followed.abandon();
        }
        loaded
    }

    fn abandon(&mut self) {
        self.core.seen.abandon();
        if let Some(followed) = &mut self.core.followed {
            followed.abandon();
        }
    }

    fn source(&self, source: &SourceId) -> Option<&SourcePosition> {
        self.core.sources.iter().find(|position| position.source == *source)
    }

    fn sources_at(&self, path: &str) -> Vec<&SourcePosition> {
        self.core.sources.iter().filter(|position| position.source.path == path).collect()
    }

    fn side(&self, name: &str) -> Result<Option<(u32, Vec<u8>)>, StorageError> {
        match self.sides.get(name) {
            Some(side) => Ok(Some(side.clone())),
            None => self.medium.side(name),
        }
    }

    fn put_side(&mut self, name: &str, version: u32, bytes: &[u8]) -> Result<(), StorageError> {
        self.sides.put(name, version, bytes)
    }

    fn merge_followed(&mut self, version: u32, bytes: &[u8]) -> Result<(), StorageError> {
        self.unflushed = true;
        self.core.followed.as_mut().map_or(Ok(()), |followed| followed.merge(version, bytes))
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.flush_rows()?;
        match self.medium.maintain(self.core.live.flushed())? {
            Some(flushed) => self.core.live.replace_flushed(flushed),
            None => Ok(()),
        }
    }

    fn compact(&mut self) -> Result<(), StorageError> {
        self.flush_rows()?;
        let limits = self.retention.limits(&self.core.live.view())?;
        self.commit(Change::Rewrite { keep: &mut |row| limits.keeps(row), forgets: false })
    }

    fn forget(&mut self, what: &Forget) -> Result<u64, StorageError> {
        if *what == Forget::default() {
            return Ok(0);
        }
        self.flush_rows()?;
        let before = self.core.live.view().len();
        let meant = |row: &Row<'_>| {
            what.tenant.as_deref().is_none_or(|tenant| row.tenant() == tenant)
                && what.model_id.as_deref().is_none_or(|model_id| row.model_id() == model_id)
        };
        let forgets = self.core.seen.forget(what);
        self.commit(Change::Rewrite { keep: &mut |row| !meant(row), forgets })?;
        Ok(before - self.core.live.view().len())
    }

    fn status(&self) -> StoreStatus {
        let view = self.core.live.view();
        let extent = self.medium.extent(&view);
        StoreStatus {
            prefixes: view.len(),
            bytes: extent.bytes,
            generation: extent.generation,
            segments: view.segments().len(),
            log_bytes: self.medium.log_bytes(),
            counters: self.core.counters,
        }
    }
}

/// Turns tables of differences into tables of totals. Returns how many prefixes are new, and how many contradicted their
/// older parent.
fn add_totals(tables: &mut [PrefixTable], older: &View) -> Result<(u64, u64), StorageError> {
    let all: usize = tables.iter().map(PrefixTable::len).sum();
    if older.segments().is_empty() {
        return Ok((all as u64, 0));
    }
    let rungs = older.spec().ladder.len();
    let (mut known, mut conflicts) = (0, 0);
    for table in tables {
        conflicts += 0_u64.wrapping_sub(table.parent_conflicts());
        for number in 0..table.len() {
            let Some(key) = table.row(number).map(|row| row.key) else { continue };
            if let Some(row) = older.get(&key)? {
                let mut sums = [0.0; MAX_RUNGS];
                sums.iter_mut().zip(row.sums()).for_each(|(sum, own)| *sum = own);
                table.merge_into(number, row.parent_id(), &row.tally(), &sums[..rungs]);
                known += 1;
            }
        }
        conflicts = conflicts.wrapping_add(table.parent_conflicts());
    }
    Ok((all as u64 - known, conflicts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Live;
    use prefix_indexer_models::PrefixEvent;
    use std::{io, path::PathBuf};

    /// Keeps nothing; its second sync fails.
    #[derive(Default)]
    struct Unsyncable {
        syncs: usize,
    }

    impl Medium for Unsyncable {
        fn log(&mut self, _group: &[Accepted<'_>]) -> Result<(), StorageError> {
            Ok(())
        }

        fn finish_log(&mut self) -> Result<(), StorageError> {
            self.syncs += 1;
            let source = io::Error::other("the disk is gone");
            let failed = StorageError::Io { action: "cannot sync", path: PathBuf::from("log"), source };
            if self.syncs == 2 { Err(failed) } else { Ok(()) }
        }

        fn log_bytes(&self) -> u64 {
            0
        }

        fn commit(&mut self, next: Next<'_>) -> Result<Vec<Arc<Segment>>, StorageError> {
            Ok(next.flushed.segments().to_vec())
        }

        fn maintain(&mut self, _flushed: &View) -> Result<Option<Vec<Arc<Segment>>>, StorageError> {
            Ok(None)
        }

        fn side(&self, _name: &str) -> Result<Option<(u32, Vec<u8>)>, StorageError> {
            Ok(None)
        }

        fn extent(&self, _view: &View) -> Extent {
            Extent { bytes: 0, generation: 0 }
        }
    }

    #[test]
    fn what_a_failed_sync_leaves_unknown_is_neither_shown_nor_committed() {
        let live = Live::new(IndexSpec::default(), Vec::new()).unwrap();
        let core = Core::new(live, Seen::default(), Vec::new(), Counters::default());
        let mut store = LiveStore::new(core, Unsyncable::default(), Retention::default()).unwrap();
        let batch = |prefix_id: &str| {
            let event = PrefixEvent { prefix_id: prefix_id.to_owned(), ..PrefixEvent::default() };
            Batch::from([event].into_iter().collect::<EventBatch>())
        };
        store.append(&[batch("a")]).unwrap();
        store.publish().unwrap();
        let error = store.append(&[batch("b")]).unwrap_err();
        assert!(error.to_string().contains("cannot sync"), "{error}");
        for refused in [store.append(&[batch("c")]).map(drop), store.publish(), store.flush(), store.compact()] {
            let refused = refused.unwrap_err();
            assert!(matches!(refused, StorageError::Halted { .. }), "{refused}");
            assert!(refused.to_string().contains("the disk is gone"), "{refused}");
        }
        assert_eq!(store.reader().view().len(), 1, "readers stay with what was acknowledged");
    }
}
