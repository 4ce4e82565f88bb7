//! What was counted since the last flush: the memory table, and the view that readers get.
//!
//! The table holds every dirty prefix with its totals. When a prefix is first seen, its newest totals are looked up in the
//! flushed segments and put into the table *before* its events are folded, so an event meets the same state as if there
//! had never been a flush. The rows that some appends touched become a small ranked segment on the heap, a *run*; readers get
//! a new view of runs and flushed segments by one atomic exchange. A query never looks at the table.

use crate::{Reader, Segment, StorageError, TablePart, View, runs::Runs};
use arc_swap::ArcSwap;
use prefix_indexer_models::{EventBatch, IndexSpec, MAX_RUNGS, PrefixKey, PrefixTable, Shard};
use std::sync::Arc;

/// Prefixes that are looked up together, so that the misses of the caches overlap.
const BLOCK: usize = 64;

pub(crate) struct Live {
    spec: IndexSpec,
    /// The flushed segments, newest first.
    flushed: View,
    table: PrefixTable,
    /// Prefixes of the table that no flushed segment holds.
    fresh: u64,
    runs: Runs,
    /// Prefixes touched and not yet in a run, some of them new.
    touched: Vec<u32>,
    touched_fresh: u64,
    current: Arc<ArcSwap<View>>,
    hashes: Vec<u64>,
    unknown: Vec<u32>,
}

impl Live {
    /// Shows flushed segments, newest first.
    pub(crate) fn new(spec: IndexSpec, flushed: Vec<Arc<Segment>>) -> Result<Live, StorageError> {
        let shown = View::new(spec.clone(), flushed.clone())?;
        Ok(Live {
            flushed: View::new(spec.clone(), flushed)?,
            table: PrefixTable::new(spec.clone()),
            fresh: 0,
            runs: Runs::default(),
            touched: Vec::new(),
            touched_fresh: 0,
            current: Arc::new(ArcSwap::from_pointee(shown)),
            hashes: Vec::new(),
            unknown: Vec::new(),
            spec,
        })
    }

    pub(crate) fn spec(&self) -> &IndexSpec {
        &self.spec
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader::new(self.current.clone())
    }

    /// The flushed segments.
    pub(crate) fn flushed(&self) -> &View {
        &self.flushed
    }

    /// What readers see.
    pub(crate) fn view(&self) -> Arc<View> {
        self.current.load_full()
    }

    /// Events that readers do not see yet.
    pub(crate) fn unseen(&self) -> usize {
        self.touched.len()
    }

    pub(crate) fn is_dirty(&self) -> bool {
        !self.table.is_empty()
    }

    /// Bytes of the dirty prefixes.
    pub(crate) fn table_bytes(&self) -> usize {
        self.table.memory_bytes()
    }

    /// Bytes of what readers see of them.
    pub(crate) fn run_bytes(&self) -> usize {
        self.runs.bytes()
    }

    /// Puts the totals of the prefixes that these events touch into the table. Changes no answer, so that it can come before
    /// the events are durable.
    ///
    /// # Errors
    /// Those of reading the flushed segments.
    pub(crate) fn prepare(&mut self, events: &EventBatch) -> Result<(), StorageError> {
        if self.flushed.segments().is_empty() {
            return Ok(());
        }
        PrefixTable::hashes(&self.spec, events, &mut self.hashes);
        self.table.unknown(events, &self.hashes, &mut self.unknown);
        let hashes = &self.hashes;
        self.unknown.sort_unstable_by_key(|&index| hashes[index as usize]);
        let policy = self.spec.key_policy;
        let (mut last, mut block, mut keys) = (None, Vec::with_capacity(BLOCK), Vec::with_capacity(BLOCK));
        for indices in self.unknown.chunks(BLOCK) {
            block.clear();
            keys.clear();
            for event in indices.iter().filter_map(|&index| events.get(index as usize)) {
                let [tenant, model_id, prefix_id] = [event.tenant, event.model_id, event.prefix_id];
                let identity = ([tenant, model_id, prefix_id], policy.bands(event.layer, event.page_start));
                if last.replace(identity) != Some(identity) {
                    keys.push(PrefixKey::new(policy, tenant, model_id, prefix_id, event.layer, event.page_start));
                    block.push(event);
                }
            }
            self.flushed.warm(&keys);
            for (event, key) in block.iter().zip(&keys) {
                let names = [event.tenant, event.model_id, event.prefix_id];
                let known = self
                    .table
                    .scope(event.tenant, event.model_id)
                    .and_then(|scope| self.table.find(scope, event.prefix_id, event.layer, event.page_start));
                if known.is_none()
                    && let Some(row) = self.flushed.get(key)?
                {
                    let mut sums = [0.0; MAX_RUNGS];
                    sums.iter_mut().zip(row.sums()).for_each(|(sum, own)| *sum = own);
                    self.table.merge(names, row.parent_id(), &row.tally(), &sums[..self.spec.ladder.len()]);
                }
            }
        }
        Ok(())
    }

    /// Counts events that were [prepared](Self::prepare). Returns how many parent conflicts they brought.
    pub(crate) fn fold(&mut self, events: &EventBatch) -> u64 {
        let (known, conflicts) = (self.table.len(), self.table.parent_conflicts());
        PrefixTable::hashes(&self.spec, events, &mut self.hashes);
        let touched = &mut self.touched;
        self.table.fold(events, &self.hashes, Shard::WHOLE, |number| touched.push(number));
        let fresh = (self.table.len() - known) as u64;
        self.fresh += fresh;
        self.touched_fresh += fresh;
        self.table.parent_conflicts() - conflicts
    }

    /// Shows readers what was folded since the last time.
    ///
    /// # Errors
    /// [`StorageError::TooLarge`].
    pub(crate) fn publish(&mut self) -> Result<(), StorageError> {
        if !self.touched.is_empty() {
            // Whatever happens now, the table is right and a flush will show it.
            self.runs.push(&self.spec, &self.table, &mut self.touched, self.touched_fresh)?;
            self.touched_fresh = 0;
        }
        let segments = self.runs.newest_first().chain(self.flushed.segments()).cloned().collect();
        self.current.store(Arc::new(View::new(self.spec.clone(), segments)?));
        Ok(())
    }

    /// The memory table and the flushed segments beside it.
    pub(crate) fn dirty_and_flushed(&mut self) -> (&mut PrefixTable, &View) {
        (&mut self.table, &self.flushed)
    }

    /// The table as a part of the next segment, and its fresh prefixes.
    pub(crate) fn part(&self) -> (TablePart<'_>, u64) {
        (TablePart::from(&self.table), self.fresh)
    }

    /// Everything is in these segments now, newest first.
    pub(crate) fn replace_all(&mut self, flushed: Vec<Arc<Segment>>) -> Result<(), StorageError> {
        self.table = PrefixTable::new(self.spec.clone());
        self.fresh = 0;
        self.runs = Runs::default();
        self.touched.clear();
        self.touched_fresh = 0;
        self.replace_flushed(flushed)
    }

    /// Other segments hold what the flushed ones held: they were merged.
    pub(crate) fn replace_flushed(&mut self, flushed: Vec<Arc<Segment>>) -> Result<(), StorageError> {
        self.flushed = View::new(self.spec.clone(), flushed)?;
        self.publish()
    }
}
