//! The order of changes of one key, also of those whose caller has gone.
//!
//! A change takes a ticket when it is asked for and works on a thread of the pool, where it cannot be called back. Just before it takes
//! effect (a rename, an unlink) it looks, under the key's lock, whether a later change has been asked for: then it does
//! nothing. So what was asked for last is what stays.

use super::layout::Id;
use crate::Pattern;
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

const SHARDS: usize = 32;

/// How many clears are remembered for changes that were asked for before them.
const CLEARS: usize = 64;

#[derive(Default)]
pub(super) struct Turns {
    next: AtomicU64,
    asked: [Mutex<HashMap<Id, Asked>>; SHARDS],
    clears: Mutex<VecDeque<(u64, Pattern)>>,
}

impl std::fmt::Debug for Turns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Turns")
    }
}

struct Asked {
    newest: u64,
    unfinished: u32,
    /// Held while a change of this key takes effect.
    effect: Arc<Mutex<()>>,
}

/// A change that was asked for.
pub(super) struct Ticket {
    turns: Arc<Turns>,
    id: Id,
    number: u64,
    effect: Arc<Mutex<()>>,
}

impl Turns {
    pub(super) fn ticket(self: &Arc<Turns>, id: Id) -> Ticket {
        self.enter(id, self.next.fetch_add(1, SeqCst) + 1)
    }

    /// A ticket for what is no change of the key, but must not happen during one.
    pub(super) fn aside(self: &Arc<Turns>, id: Id) -> Ticket {
        self.enter(id, 0)
    }

    fn enter(self: &Arc<Turns>, id: Id, number: u64) -> Ticket {
        let mut asked = self.shard(id);
        let entry = asked.entry(id).or_insert_with(|| Asked { newest: 0, unfinished: 0, effect: Arc::default() });
        // Numbers may arrive here out of order by the width of a race between two callers.
        entry.newest = entry.newest.max(number);
        entry.unfinished += 1;
        let effect = Arc::clone(&entry.effect);
        drop(asked);
        Ticket { turns: Arc::clone(self), id, number, effect }
    }

    /// What is asked for from now on comes after this clear, what was asked for before is subject to it.
    pub(super) fn clear(&self, pattern: &Pattern) {
        let mut clears = lock(&self.clears);
        if clears.len() == CLEARS {
            clears.pop_front();
        }
        clears.push_back((self.next.fetch_add(1, SeqCst) + 1, pattern.clone()));
    }

    fn shard(&self, id: Id) -> MutexGuard<'_, HashMap<Id, Asked>> {
        lock(&self.asked[id.0 as usize % SHARDS])
    }
}

impl Ticket {
    /// Waits for the key's other changes that are taking effect now, and keeps them out while the guard lives.
    pub(super) fn effect(&self) -> MutexGuard<'_, ()> {
        lock(&self.effect)
    }

    /// Whether a later change of `key` makes this one moot. To be asked under [`effect`](Self::effect).
    pub(super) fn is_overtaken(&self, key: &str) -> bool {
        let newest = self.turns.shard(self.id).get(&self.id).map_or(0, |asked| asked.newest);
        newest > self.number
            || lock(&self.turns.clears).iter().any(|(at, pattern)| *at > self.number && pattern.matches(key))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut asked = self.turns.shard(self.id);
        if let Some(entry) = asked.get_mut(&self.id) {
            entry.unfinished -= 1;
            if entry.unfinished == 0 {
                asked.remove(&self.id);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_asked_stays_and_nothing_is_left_over() {
        let turns = Arc::new(Turns::default());
        let (first, other) = (turns.ticket(Id(1)), turns.ticket(Id(2)));
        let second = turns.ticket(Id(1));
        assert!(first.is_overtaken("a") && !second.is_overtaken("a") && !other.is_overtaken("b"));
        turns.clear(&Pattern::new("a*"));
        assert!(second.is_overtaken("a") && !other.is_overtaken("b"));
        assert!(!turns.ticket(Id(1)).is_overtaken("a"));
        drop((first, second, other));
        assert!(turns.asked.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }
}
