//! Who may write a key now, and whether anything was written since.
//!
//! Sets, deletes and fills of one key take turns (readers never wait). A fill carries a value that was read some time ago, so it
//! also needs to know that nobody wrote the key since: every write moves the key's stamp when it begins *and* when it ends, so
//! that a fill whose value was read while a write was under way is refused too. Stamps are striped over hashes of keys; two
//! keys that share one cost a fill that was not necessary to refuse, never one that should have been.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};
use tokio::sync::OwnedMutexGuard;
use xxhash_rust::xxh3::xxh3_64;

const STRIPES: usize = 4096;
const SHARDS: usize = 16;

type Turns = HashMap<Arc<str>, Arc<tokio::sync::Mutex<()>>>;

pub(super) struct Order {
    stamps: Box<[AtomicU64]>,
    /// Moved by what writes many keys at once.
    all: AtomicU64,
    turns: [Mutex<Turns>; SHARDS],
}

/// The state of a key's writes at a moment. It never comes back once left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp(u64);

/// The right to write a key.
pub(super) struct Turn<'a> {
    order: &'a Order,
    key: Arc<str>,
    held: Option<OwnedMutexGuard<()>>,
}

impl Order {
    pub(super) fn new() -> Order {
        Order {
            stamps: (0..STRIPES).map(|_| AtomicU64::new(0)).collect(),
            all: AtomicU64::new(0),
            turns: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// The stamp of `key` now. Both parts only grow, so equal sums mean that neither moved.
    pub(super) fn stamp(&self, key: &str) -> Stamp {
        Stamp(self.stamps[stripe(key)].load(SeqCst) + self.all.load(SeqCst))
    }

    /// A write of `key` begins or ends.
    pub(super) fn touch(&self, key: &str) {
        self.stamps[stripe(key)].fetch_add(1, SeqCst);
    }

    /// A write of many keys begins or ends.
    pub(super) fn touch_all(&self) {
        self.all.fetch_add(1, SeqCst);
    }

    /// Waits until it is this caller's turn to write `key`.
    pub(super) async fn turn(&self, key: &Arc<str>) -> Turn<'_> {
        let mutex = Arc::clone(self.shard(key).entry(Arc::clone(key)).or_default());
        // Built before the wait, so that a caller that goes away while waiting leaves no empty place behind.
        let mut turn = Turn { order: self, key: Arc::clone(key), held: None };
        turn.held = Some(mutex.lock_owned().await);
        turn
    }

    /// The turn, if nobody has it.
    pub(super) fn try_turn(&self, key: &Arc<str>) -> Option<Turn<'_>> {
        let mutex = Arc::clone(self.shard(key).entry(Arc::clone(key)).or_default());
        let held = mutex.try_lock_owned().ok()?;
        Some(Turn { order: self, key: Arc::clone(key), held: Some(held) })
    }

    fn shard(&self, key: &str) -> MutexGuard<'_, Turns> {
        self.turns[stripe(key) % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut turns = self.order.shard(&self.key);
        self.held = None;
        // Only the map has it: nobody waits, and nobody can begin to while the shard is locked.
        if turns.get(&self.key).is_some_and(|mutex| Arc::strong_count(mutex) == 1) {
            turns.remove(&self.key);
        }
    }
}

fn stripe(key: &str) -> usize {
    xxh3_64(key.as_bytes()) as usize % STRIPES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_are_taken_one_at_a_time_and_leave_nothing_behind() {
        let order = Order::new();
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let held = order.turn(&a).await;
        assert!(order.try_turn(&a).is_none());
        drop(order.turn(&b).await);
        let waiting = tokio::time::timeout(std::time::Duration::from_millis(5), order.turn(&a)).await;
        assert!(waiting.is_err());
        drop(held);
        drop(order.try_turn(&a).unwrap());
        assert!(order.turns.iter().all(|turns| turns.lock().unwrap().is_empty()));
    }

    #[test]
    fn any_write_moves_the_stamp() {
        let order = Order::new();
        let before = order.stamp("a");
        order.touch("a");
        let between = order.stamp("a");
        order.touch_all();
        assert!(before != between && between != order.stamp("a"));
    }
}
