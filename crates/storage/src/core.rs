//! What a store keeps in memory, whatever its medium: the live table, what it remembers, and what it has counted.

use crate::{
    Batch, Commit, Counters, StorageError,
    follower::Followed,
    live::Live,
    log_record::LogRecord,
    seen::{Digester, Seen},
};
use prefix_indexer_models::{EventBatch, SourcePosition};
use std::borrow::Cow;

/// A batch without what was counted before.
pub(crate) struct Accepted<'a> {
    pub(crate) events: Cow<'a, EventBatch>,
    pub(crate) commit: &'a Commit,
    pub(crate) duplicates: u64,
    /// Nothing of it is to be logged.
    known: bool,
}

impl Accepted<'_> {
    pub(crate) fn is_logged(&self) -> bool {
        let Commit { batch_id, sources } = self.commit;
        !self.known && (!self.events.is_empty() || self.duplicates > 0 || batch_id.is_some() || !sources.is_empty())
    }
}

/// What every store keeps in memory.
pub(crate) struct Core {
    pub(crate) live: Live,
    pub(crate) seen: Seen,
    pub(crate) sources: Vec<SourcePosition>,
    pub(crate) counters: Counters,
    /// Of the events counted, those that are not in the log alone.
    pub(crate) flushed_events: u64,
    pub(crate) digester: Digester,
    /// What learns from the events that count.
    pub(crate) followed: Option<Followed>,
}

impl Core {
    pub(crate) fn new(live: Live, seen: Seen, sources: Vec<SourcePosition>, counters: Counters) -> Core {
        let flushed_events = counters.events;
        Core { live, seen, sources, counters, flushed_events, digester: Digester::default(), followed: None }
    }

    /// Counts a batch that was acknowledged before.
    pub(crate) fn replay(&mut self, record: &LogRecord, events: &EventBatch) -> Result<(), StorageError> {
        if events.has_event_ids() {
            let policy = self.live.spec().key_policy;
            for event in events.iter() {
                if let Some(id) = self.digester.digest(policy, &event) {
                    self.seen.push_event(id);
                }
            }
        }
        self.remember(&record.commit, events);
        self.seen.trim();
        self.live.prepare(events)?;
        self.count(&record.commit, events, record.duplicates);
        Ok(())
    }

    /// Leaves out what was counted before, and remembers the rest.
    pub(crate) fn accept<'a>(&mut self, batch: &'a Batch) -> Accepted<'a> {
        let Batch { events, commit } = batch;
        if commit.batch_id.is_some_and(|id| self.seen.has_batch(id)) {
            let duplicates = events.len() as u64;
            return Accepted { events: Cow::Owned(EventBatch::new()), commit, duplicates, known: true };
        }
        let mut events = Cow::Borrowed(events);
        let mut duplicates = 0;
        if events.has_event_ids() {
            let policy = self.live.spec().key_policy;
            let new: Vec<bool> = events
                .iter()
                .map(|event| self.digester.digest(policy, &event).is_none_or(|id| self.seen.add_event(id)))
                .collect();
            duplicates = new.iter().filter(|&&new| !new).count() as u64;
            if duplicates > 0 {
                let mut new = new.into_iter();
                events.to_mut().retain(|_| new.next().unwrap_or(true));
            }
        }
        self.remember(commit, &events);
        Accepted { events, commit, duplicates, known: false }
    }

    fn remember(&mut self, commit: &Commit, events: &EventBatch) {
        if let Some(id) = commit.batch_id {
            self.seen.push_batch(id, events.timestamps_ms().iter().copied().max().unwrap_or(0));
        }
    }

    pub(crate) fn count(&mut self, commit: &Commit, events: &EventBatch, duplicates: u64) {
        let counters = &mut self.counters;
        counters.events += events.len() as u64;
        counters.bytes = events.bytes().iter().fold(counters.bytes, |sum, &bytes| sum.saturating_add(bytes));
        counters.duplicates += duplicates;
        counters.parent_conflicts += self.live.fold(events);
        if let Some(followed) = &mut self.followed {
            followed.observe(events);
        }
        self.note_sources(&commit.sources);
    }

    pub(crate) fn note_sources(&mut self, positions: &[SourcePosition]) {
        for position in positions {
            match self.sources.iter_mut().find(|known| known.source == position.source) {
                Some(known) => known.clone_from(position),
                None => self.sources.push(position.clone()),
            }
        }
    }
}
