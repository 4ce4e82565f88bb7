//! The pieces in flight, and who does what next: the whole coordination of the native engine, without a thread in it.
//!
//! A piece is taken from the iterator, decoded, admitted (in order), folded once per shard (each shard in order) and its batch
//! used again. Workers ask for a [`Job`] and report when it is done. A job carries what it needs; the iterator and the
//! admitting function travel with their job, so that whoever has them is alone with them.
//!
//! Why nobody waits for ever: if all workers wait, no job is under way, so every piece in flight is decoded or ready. The first
//! that is decoded could be admitted; if all are ready, the oldest is still to be folded by a shard whose turn it is; if there
//! is none, nothing waits, and another can be taken unless the input is at its end. Each contradicts waiting.

use prefix_indexer_models::EventBatch;
use std::{collections::VecDeque, sync::Arc};

/// How many pieces are taken after the one with which the tables became full. It is a constant and no less than any
/// window so that where a round ends depends on the input alone, not on which thread was faster.
const LAG: u64 = 32;

/// Events that may wait to be folded before another piece is taken. Pieces of lines stay far below; those of a Parquet file are
/// large, and would take more memory than the tables.
const WAITING: usize = 1 << 17;

/// A batch and the hashes of its prefixes.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) events: EventBatch,
    pub(super) hashes: Vec<u64>,
}

/// What a worker does next.
pub(super) enum Job<I, A, B> {
    /// Fold the piece that is next in the worker's shard.
    Fold(Arc<Work>),
    /// Let the oldest piece that has not been admitted in.
    Admit(A, Box<Work>, B),
    /// Take the next piece from the input, and decode it.
    Pull(I, Box<Work>),
    /// Nothing to do until something changes.
    Wait,
    /// All is done, or will not be done because of an error.
    Leave,
}

enum Slot<B> {
    /// Being decoded, admitted or hashed; or could not be.
    Busy,
    Decoded(Box<Work>, B),
    Ready {
        work: Arc<Work>,
        shards_left: usize,
        prefixes: usize,
    },
}

/// Totals over the admitted events.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    pub(super) events: u64,
    pub(super) bytes: u64,
    pub(super) newest_ms: Option<u64>,
}

pub(super) struct Window<I, A, B, E> {
    /// Absent while a worker uses it.
    pieces: Option<I>,
    /// Absent while a worker uses it.
    admit: Option<A>,
    /// The pieces in flight, the first with number `first`.
    slots: VecDeque<Slot<B>>,
    first: u64,
    /// Pieces before this one have been admitted.
    admitted: u64,
    /// Pieces from this one on are not taken.
    end: u64,
    exhausted: bool,
    error: Option<(u64, E)>,
    abandoned: bool,
    /// Workers that wait for a change.
    pub(super) asleep: usize,
    totals: Totals,
    spare: Vec<Work>,
    shards: usize,
    in_flight: usize,
    max_prefixes: usize,
}

impl<I, A, B, E> Window<I, A, B, E> {
    pub(super) fn new(pieces: I, admit: A, shards: usize, max_prefixes: usize) -> Window<I, A, B, E> {
        Window {
            pieces: Some(pieces),
            admit: Some(admit),
            slots: VecDeque::new(),
            first: 0,
            admitted: 0,
            end: u64::MAX,
            exhausted: false,
            error: None,
            abandoned: false,
            asleep: 0,
            totals: Totals::default(),
            spare: Vec::new(),
            shards,
            in_flight: (4 * shards).min(LAG as usize),
            max_prefixes,
        }
    }

    /// What a worker does next whose shard has folded the pieces before number `fold`.
    pub(super) fn job(&mut self, fold: u64) -> Job<I, A, B> {
        if self.abandoned || self.error.as_ref().is_some_and(|(number, _)| self.admitted >= *number) {
            return Job::Leave;
        }
        if let Some(Slot::Ready { work, .. }) = self.slot(fold) {
            return Job::Fold(Arc::clone(work));
        }
        if let Some((work, about, admit)) = self.take_admission() {
            return Job::Admit(admit, work, about);
        }
        let taken = self.first + self.slots.len() as u64;
        if taken < self.end
            && self.slots.len() < self.in_flight
            && self.waiting() < WAITING
            && let Some(pieces) = self.pieces.take()
        {
            return Job::Pull(pieces, Box::new(self.spare.pop().unwrap_or_default()));
        }
        if taken >= self.end && fold >= taken && self.error.is_none() { Job::Leave } else { Job::Wait }
    }

    /// Events of the pieces that are decoded.
    fn waiting(&self) -> usize {
        let events = |slot: &Slot<B>| match slot {
            Slot::Busy => 0,
            Slot::Decoded(work, _) => work.events.len(),
            Slot::Ready { work, .. } => work.events.len(),
        };
        self.slots.iter().map(events).sum()
    }

    fn slot(&mut self, number: u64) -> Option<&mut Slot<B>> {
        self.slots.get_mut(number.checked_sub(self.first)? as usize)
    }

    fn take_admission(&mut self) -> Option<(Box<Work>, B, A)> {
        self.admit.as_ref()?;
        let slot = self.slots.get_mut((self.admitted - self.first) as usize)?;
        match std::mem::replace(slot, Slot::Busy) {
            Slot::Decoded(work, about) => Some((work, about, self.admit.take()?)),
            other => {
                *slot = other;
                None
            }
        }
    }

    /// The iterator has given a piece; its number.
    pub(super) fn pulled(&mut self, pieces: I) -> u64 {
        self.pieces = Some(pieces);
        self.slots.push_back(Slot::Busy);
        self.first + self.slots.len() as u64 - 1
    }

    /// The iterator is at its end.
    pub(super) fn pulled_last(&mut self) {
        self.end = self.first + self.slots.len() as u64;
        self.exhausted = true;
    }

    /// The iterator has given an error instead of a piece.
    pub(super) fn pull_failed(&mut self, error: E) {
        self.failed(self.first + self.slots.len() as u64, error);
    }

    /// A piece is decoded.
    pub(super) fn decoded(&mut self, number: u64, work: Box<Work>, about: B) {
        if let Some(slot) = self.slot(number) {
            *slot = Slot::Decoded(work, about);
        }
    }

    /// A piece could not be decoded or admitted.
    pub(super) fn failed(&mut self, number: u64, error: E) {
        self.end = self.end.min(number);
        if self.error.as_ref().is_none_or(|(known, _)| number < *known) {
            self.error = Some((number, error));
        }
    }

    /// The oldest decoded piece is admitted; its number.
    pub(super) fn admitted(&mut self, admit: A) -> u64 {
        self.admit = Some(admit);
        self.admitted += 1;
        self.admitted - 1
    }

    /// The oldest decoded piece was refused.
    pub(super) fn refused(&mut self, error: E) {
        self.failed(self.admitted, error);
    }

    /// An admitted piece has its hashes.
    pub(super) fn ready(&mut self, number: u64, work: Box<Work>, totals: Totals) {
        self.totals.events += totals.events;
        self.totals.bytes = self.totals.bytes.saturating_add(totals.bytes);
        self.totals.newest_ms = self.totals.newest_ms.max(totals.newest_ms);
        let shards_left = self.shards;
        if let Some(slot) = self.slot(number) {
            *slot = Slot::Ready { work: Arc::new(*work), shards_left, prefixes: 0 };
        }
    }

    /// A shard has folded a piece, given its work back, and then holds `prefixes`. Whether that was the last shard.
    pub(super) fn folded(&mut self, number: u64, prefixes: usize) -> bool {
        let Some(Slot::Ready { shards_left, prefixes: held, .. }) = self.slot(number) else { return false };
        *shards_left -= 1;
        *held += prefixes;
        if *shards_left > 0 {
            return false;
        }
        // Every shard folds in order, so the piece that is done first is the oldest.
        if let Some(Slot::Ready { work, prefixes, .. }) = self.slots.pop_front() {
            if prefixes >= self.max_prefixes {
                self.end = self.end.min(number + LAG);
            }
            self.spare.extend(Arc::into_inner(work));
        }
        self.first += 1;
        true
    }

    /// A worker is lost: the others leave.
    pub(super) fn abandon(&mut self) {
        self.abandoned = true;
    }

    /// What came of it all, once every worker has left.
    pub(super) fn outcome(self) -> Result<(Totals, bool), E> {
        match self.error {
            Some((_, error)) => Err(error),
            None => Ok((self.totals, self.exhausted)),
        }
    }
}
