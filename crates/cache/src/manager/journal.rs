//! What a tier missed, and therefore must not be asked for.
//!
//! A write that a tier refused, failed or did not answer leaves the key in doubt there: it may hold the old value, the new
//! one, or get the new one later. Until it is known to agree again the tier is *behind* on that key: not read, not filled.
//! The missed change is kept and replayed; the newest change of a key replaces an older one. A clear that was missed
//! puts the tier behind on every key it matches.
//!
//! The memory is bounded: beyond [`MAX_BYTES`] of values a missed set is replayed as a delete (the other tiers have the value);
//! beyond [`MAX_KEYS`] keys the tier is behind on everything until it has been cleared.

use super::tier::Change;
use crate::Pattern;
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{sync::Notify, time::Instant};

/// The most keys that one tier's journal remembers.
pub(super) const MAX_KEYS: usize = 1 << 18;

/// The most bytes of values that one tier's journal holds.
pub(super) const MAX_BYTES: u64 = 64 << 20;

#[derive(Default)]
pub(super) struct Journal {
    state: Mutex<State>,
    /// Whether there is anything in it: all that a hit looks at while there is not.
    behind: AtomicBool,
    /// Something may have become ready to be replayed.
    pub(super) changed: Notify,
}

#[derive(Default)]
struct State {
    keys: HashMap<Arc<str>, Missed>,
    /// Keys in the order in which they were first missed; some may have been settled since.
    queue: VecDeque<Arc<str>>,
    clears: Vec<MissedClear>,
    next_clear: u64,
    bytes: u64,
    replaying: bool,
}

struct Missed {
    change: Change,
    /// When a value to set has outlived itself.
    ends: Option<Instant>,
    /// How many calls that were given up on have not ended: they may yet take effect, so nothing is sent before they have.
    unfinished: u32,
}

struct MissedClear {
    id: u64,
    pattern: Pattern,
    /// Somebody is at it.
    running: bool,
}

/// The next thing to replay.
pub(super) enum Work {
    Clear(ClearId, Pattern),
    Key(Arc<str>),
    /// Everything waits for a call that has not ended.
    Wait,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClearId(u64);

impl Journal {
    /// Whether the tier must not be asked for `key`.
    pub(super) fn is_behind(&self, key: &str) -> bool {
        self.behind.load(Ordering::Acquire) && self.state().is_behind(key)
    }

    /// Whether a clear that is not done covers `key`: then a write of it has to wait for its turn in the journal.
    pub(super) fn awaits_clear(&self, key: &str) -> bool {
        self.behind.load(Ordering::Acquire) && self.state().clears.iter().any(|clear| clear.pattern.matches(key))
    }

    /// Whether a call on `key` that was given up on may yet take effect.
    pub(super) fn is_unfinished(&self, key: &str) -> bool {
        self.behind.load(Ordering::Acquire) && self.state().keys.get(key).is_some_and(|missed| missed.unfinished > 0)
    }

    /// How many keys and clears are waiting.
    pub(super) fn len(&self) -> usize {
        let state = self.state();
        state.keys.len() + state.clears.len()
    }

    /// Notes that `key` missed `change`. With `unfinished`, the call may yet take effect: [`finished`](Self::finished) follows.
    pub(super) fn missed(&self, key: &Arc<str>, change: Change, unfinished: bool) {
        let mut state = self.state();
        let ends = change.ends();
        let older = state.keys.remove(key);
        state.bytes -= older.as_ref().map_or(0, |missed| missed.change.size());
        let change = if state.bytes + change.size() > MAX_BYTES { Change::Delete } else { change };
        state.bytes += change.size();
        if older.is_none() {
            state.queue.push_back(Arc::clone(key));
        }
        let unfinished = older.map_or(0, |missed| missed.unfinished) + u32::from(unfinished);
        state.keys.insert(Arc::clone(key), Missed { change, ends, unfinished });
        if state.keys.len() > MAX_KEYS {
            state.give_up_keys();
        }
        self.publish(&state);
    }

    /// A call on `key` that was given up on has ended, whatever it did.
    pub(super) fn finished(&self, key: &str) {
        let mut state = self.state();
        if let Some(missed) = state.keys.get_mut(key) {
            missed.unfinished = missed.unfinished.saturating_sub(1);
        }
        self.publish(&state);
    }

    /// The tier agrees on `key` again.
    pub(super) fn settled(&self, key: &str) {
        if self.behind.load(Ordering::Acquire) {
            let mut state = self.state();
            if let Some(missed) = state.keys.remove(key) {
                state.bytes -= missed.change.size();
            }
            self.publish(&state);
        }
    }

    /// A clear begins: the tier is behind on what it covers until [`cleared`](Self::cleared), and what those keys missed before
    /// no longer matters.
    pub(super) fn clear_begins(&self, pattern: &Pattern) -> ClearId {
        let mut state = self.state();
        let id = state.add_clear(pattern.clone(), true);
        state.forget_covered(pattern);
        self.publish(&state);
        ClearId(id)
    }

    /// The clear was not done; it stays and will be replayed.
    pub(super) fn clear_missed(&self, id: ClearId) {
        let mut state = self.state();
        if let Some(clear) = state.clears.iter_mut().find(|clear| clear.id == id.0) {
            clear.running = false;
        }
        self.publish(&state);
    }

    /// The clear is done.
    pub(super) fn cleared(&self, id: ClearId) {
        let mut state = self.state();
        state.clears.retain(|clear| clear.id != id.0);
        self.publish(&state);
    }

    /// Makes the caller the one that replays. False when there is one, or nothing to do.
    pub(super) fn begin_replay(&self) -> bool {
        let mut state = self.state();
        !state.is_empty() && !std::mem::replace(&mut state.replaying, true)
    }

    /// What to replay next: clears before keys, so that a key written after a clear survives it. `None` ends the replay.
    pub(super) fn next(&self) -> Option<Work> {
        let mut state = self.state();
        if let Some(clear) = state.clears.iter_mut().find(|clear| !clear.running) {
            clear.running = true;
            return Some(Work::Clear(ClearId(clear.id), clear.pattern.clone()));
        }
        for _ in 0..state.queue.len() {
            let key = state.queue.pop_front()?;
            let ready = match state.keys.get(&key) {
                None => continue,
                Some(missed) => missed.unfinished == 0,
            };
            let ready = ready && !state.clears.iter().any(|clear| clear.pattern.matches(&key));
            // It keeps its place at the end until it is settled.
            state.queue.push_back(Arc::clone(&key));
            if ready {
                return Some(Work::Key(key));
            }
        }
        if state.is_empty() {
            state.replaying = false;
            return None;
        }
        Some(Work::Wait)
    }

    /// The change that `key` missed, if it still does and nothing stands in its way. A value that has outlived itself is
    /// replayed as a delete.
    pub(super) fn change_of(&self, key: &str) -> Option<Change> {
        let state = self.state();
        let missed = state.keys.get(key).filter(|missed| missed.unfinished == 0)?;
        Some(missed.change.clone().aged(missed.ends))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, state: &State) {
        self.behind.store(!state.is_empty(), Ordering::Release);
        self.changed.notify_one();
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.clears.is_empty()
    }

    fn is_behind(&self, key: &str) -> bool {
        self.keys.contains_key(key) || self.clears.iter().any(|clear| clear.pattern.matches(key))
    }

    fn add_clear(&mut self, pattern: Pattern, running: bool) -> u64 {
        self.next_clear += 1;
        self.clears.push(MissedClear { id: self.next_clear, pattern, running });
        self.next_clear
    }

    /// Forgets the changes of keys that a clear covers. Calls that have not ended stay: what they may yet do has to be
    /// undone.
    fn forget_covered(&mut self, pattern: &Pattern) {
        let mut bytes = 0;
        self.keys.retain(|key, missed| {
            if pattern.matches(key) {
                missed.change = Change::Delete;
            }
            let stays = !pattern.matches(key) || missed.unfinished > 0;
            bytes += if stays { missed.change.size() } else { 0 };
            stays
        });
        self.bytes = bytes;
        self.queue.retain(|key| self.keys.contains_key(key));
    }

    fn give_up_keys(&mut self) {
        self.add_clear(Pattern::all(), false);
        self.forget_covered(&Pattern::all());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Entry;

    fn set(text: &'static str) -> Change {
        Change::Set(Entry::new(text))
    }

    fn key(text: &str) -> Arc<str> {
        text.into()
    }

    #[test]
    fn a_key_is_behind_until_it_is_settled_and_the_newest_change_counts() {
        let journal = Journal::default();
        assert!(!journal.is_behind("a") && !journal.begin_replay());
        journal.missed(&key("a"), set("1"), false);
        journal.missed(&key("a"), Change::Delete, false);
        assert!(journal.is_behind("a") && !journal.is_behind("b"));
        assert!(journal.begin_replay() && !journal.begin_replay());
        assert!(matches!(journal.next(), Some(Work::Key(found)) if &*found == "a"));
        assert!(matches!(journal.change_of("a"), Some(Change::Delete)));
        journal.settled("a");
        assert!(!journal.is_behind("a") && journal.next().is_none() && journal.len() == 0);
        journal.missed(&key("a"), set("2"), false);
        assert!(journal.begin_replay(), "a new replay may begin");
    }

    #[test]
    fn nothing_is_replayed_before_an_unfinished_call_has_ended() {
        let journal = Journal::default();
        journal.missed(&key("a"), set("1"), true);
        assert!(journal.begin_replay() && journal.is_unfinished("a"));
        assert!(matches!(journal.next(), Some(Work::Wait)) && journal.change_of("a").is_none());
        journal.finished("a");
        assert!(matches!(journal.next(), Some(Work::Key(_))) && journal.is_behind("a"));
    }

    #[test]
    fn clears_go_first_and_cover_what_was_missed_before_them() {
        let journal = Journal::default();
        journal.missed(&key("a/1"), set("1"), false);
        journal.missed(&key("a/2"), set("1"), true);
        journal.missed(&key("b"), set("1"), false);
        let clear = journal.clear_begins(&Pattern::new("a/*"));
        assert!(journal.is_behind("a/1") && journal.is_behind("a/3") && journal.awaits_clear("a/3"));
        journal.missed(&key("a/3"), set("after"), false);
        assert!(journal.begin_replay());
        assert!(matches!(journal.next(), Some(Work::Key(found)) if &*found == "b"), "others go on while it runs");
        journal.settled("b");
        journal.clear_missed(clear);
        assert!(matches!(journal.next(), Some(Work::Clear(id, _)) if id == clear));
        assert!(matches!(journal.next(), Some(Work::Wait)));
        journal.cleared(clear);
        assert!(!journal.is_behind("a/1"), "the clear settled it");
        assert!(matches!(journal.next(), Some(Work::Key(found)) if &*found == "a/3"));
        journal.settled("a/3");
        journal.finished("a/2");
        assert!(matches!(journal.change_of("a/2"), Some(Change::Delete)), "what it may have done is undone");
    }

    #[test]
    fn too_much_to_remember_means_a_clear_of_everything() {
        let journal = Journal::default();
        let big = Entry::new(vec![0; 40 << 20]);
        journal.missed(&key("a"), Change::Set(big.clone()), false);
        journal.missed(&key("b"), Change::Set(big), false);
        assert!(matches!(journal.change_of("a"), Some(Change::Set(_))));
        assert!(matches!(journal.change_of("b"), Some(Change::Delete)));
        for i in 0..MAX_KEYS {
            journal.missed(&key(&format!("{i}")), Change::Delete, false);
        }
        assert!(journal.len() < 10 && journal.is_behind("anything"));
    }
}
