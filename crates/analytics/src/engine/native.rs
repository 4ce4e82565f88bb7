//! The engine that uses the cores of this machine.

use super::{
    Aggregate, AggregationEngine,
    window::{Job, Totals, Window, Work},
};
use prefix_indexer_models::{EventBatch, IndexSpec, PrefixTable, Shard};
use std::{
    num::NonZeroU32,
    panic::resume_unwind,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

/// Aggregates on several threads of this process.
///
/// Each worker owns the prefixes whose hash falls into its shard, and folds their events in the order of the input; in between, it
/// takes, decodes and admits pieces. So there is nothing to merge at the end, and a worker whose shard has
/// nothing to do helps with the parsing. Some four pieces a thread are in flight (at most 32): memory does not depend on
/// the length of the input. With one worker no thread is started.
///
/// Time: some 70 ns an event beside decoding, divided among the threads. Memory: the tables, and a batch with its text for each piece in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NativeEngine {
    /// Workers, the calling thread among them.
    pub threads: NonZeroU32,
    /// How many prefixes the tables may hold together before the engine returns what it has. It finishes what is in
    /// flight first, so it goes over by the new prefixes of up to 32 pieces.
    pub max_prefixes: usize,
}

impl NativeEngine {
    /// An engine with this many workers.
    pub fn new(threads: NonZeroU32, max_prefixes: usize) -> NativeEngine {
        NativeEngine { threads, max_prefixes }
    }

    /// A worker a core.
    pub fn on_all_cores(max_prefixes: usize) -> NativeEngine {
        let cores = thread::available_parallelism().ok().and_then(|cores| NonZeroU32::try_from(cores).ok());
        NativeEngine { threads: cores.unwrap_or(NonZeroU32::MIN), max_prefixes }
    }
}

impl AggregationEngine for NativeEngine {
    fn aggregate<P, B, E>(
        &self,
        spec: &IndexSpec,
        pieces: impl Iterator<Item = Result<P, E>> + Send,
        decode: impl Fn(P, &mut EventBatch) -> Result<B, E> + Sync,
        admit: impl FnMut(&mut EventBatch, B) -> Result<(), E> + Send,
    ) -> Result<Aggregate, E>
    where
        P: Send,
        B: Send,
        E: Send,
    {
        let count = self.threads.get();
        let window = Window::new(pieces, admit, count as usize, self.max_prefixes);
        let floor = Floor { spec, decode, window: Mutex::new(window), changed: Condvar::new(), count };
        let tables = thread::scope(|scope| {
            let floor = &floor;
            let others: Vec<_> = (1..count).map(|index| scope.spawn(move || floor.work(index))).collect();
            let mut tables = vec![floor.work(0)];
            for worker in others {
                tables.push(worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
            }
            tables
        });
        let window = floor.window.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (totals, exhausted) = window.outcome()?;
        let Totals { events, bytes, newest_ms } = totals;
        Ok(Aggregate { tables, events, bytes, newest_ms, exhausted })
    }
}

/// Where the workers meet.
struct Floor<'a, I, D, A, B, E> {
    spec: &'a IndexSpec,
    decode: D,
    window: Mutex<Window<I, A, B, E>>,
    changed: Condvar,
    count: u32,
}

impl<P, I, D, A, B, E> Floor<'_, I, D, A, B, E>
where
    I: Iterator<Item = Result<P, E>>,
    D: Fn(P, &mut EventBatch) -> Result<B, E>,
    A: FnMut(&mut EventBatch, B) -> Result<(), E>,
{
    /// One worker, from beginning to end. The lock is never held while a job is done.
    fn work(&self, index: u32) -> PrefixTable {
        let _watch = Watch(self);
        let shard = Shard { index, count: self.count };
        let mut table = PrefixTable::new(self.spec.clone());
        let mut fold = 0;
        let mut window = self.lock();
        loop {
            let job = window.job(fold);
            if let Job::Wait = job {
                window.asleep += 1;
                window = self.changed.wait(window).unwrap_or_else(PoisonError::into_inner);
                window.asleep -= 1;
                continue;
            }
            drop(window);
            window = match job {
                Job::Wait | Job::Leave => return table,
                Job::Fold(work) => {
                    table.fold(&work.events, &work.hashes, shard, |_| ());
                    drop(work);
                    let mut window = self.lock();
                    if window.folded(fold, table.len()) {
                        self.wake(&window);
                    }
                    fold += 1;
                    window
                }
                Job::Admit(admit, work, about) => self.admit(admit, work, about),
                Job::Pull(pieces, work) => self.pull(pieces, work),
            };
        }
    }

    /// Takes a piece and decodes it.
    fn pull(&self, mut pieces: I, mut work: Box<Work>) -> Guard<'_, I, A, B, E> {
        let piece = pieces.next();
        let mut window = self.lock();
        self.wake(&window);
        let (number, piece) = match piece {
            Some(Ok(piece)) => (window.pulled(pieces), piece),
            Some(Err(error)) => {
                window.pull_failed(error);
                return window;
            }
            None => {
                window.pulled_last();
                return window;
            }
        };
        drop(window);
        work.events.clear();
        let decoded = (self.decode)(piece, &mut work.events);
        let mut window = self.lock();
        match decoded {
            Ok(about) => window.decoded(number, work, about),
            Err(error) => window.failed(number, error),
        }
        self.wake(&window);
        window
    }

    /// Lets a decoded piece in, and hashes its prefixes while others may let in the next.
    fn admit(&self, mut admit: A, mut work: Box<Work>, about: B) -> Guard<'_, I, A, B, E> {
        if let Err(error) = admit(&mut work.events, about) {
            let mut window = self.lock();
            window.refused(error);
            self.wake(&window);
            return window;
        }
        let mut window = self.lock();
        let number = window.admitted(admit);
        self.wake(&window);
        drop(window);
        PrefixTable::hashes(self.spec, &work.events, &mut work.hashes);
        let totals = Totals {
            events: work.events.len() as u64,
            bytes: work.events.bytes().iter().fold(0, |sum: u64, bytes| sum.saturating_add(*bytes)),
            newest_ms: work.events.timestamps_ms().iter().max().copied(),
        };
        let mut window = self.lock();
        window.ready(number, work, totals);
        self.wake(&window);
        window
    }
}

type Guard<'a, I, A, B, E> = MutexGuard<'a, Window<I, A, B, E>>;

impl<I, D, A, B, E> Floor<'_, I, D, A, B, E> {
    fn lock(&self) -> Guard<'_, I, A, B, E> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something has changed. Waking is a call of the system even where nobody sleeps.
    fn wake(&self, window: &Window<I, A, B, E>) {
        if window.asleep > 0 {
            self.changed.notify_all();
        }
    }
}

/// Sends the other workers home when one panics (in a function of the caller): they would wait for its piece.
struct Watch<'a, 'b, I, D, A, B, E>(&'b Floor<'a, I, D, A, B, E>);

impl<I, D, A, B, E> Drop for Watch<'_, '_, I, D, A, B, E> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.lock().abandon();
            self.0.changed.notify_all();
        }
    }
}
