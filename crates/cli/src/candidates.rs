//! What a prefetcher takes from an index that somebody else may be writing.

use crate::output;
use anyhow::bail;
use prefix_indexer::{FeedbackLedger, IndexCandidates, IndexReader, View, analytics::Learner};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the index holds and has learned each time it is asked, whoever writes it.
pub(crate) fn of(index: IndexReader, policy: &str) -> anyhow::Result<IndexCandidates> {
    let policies = IndexCandidates::policies(index.spec());
    if !policies.iter().any(|known| known == policy) {
        bail!("[prefetch] policy: there is no `{policy}`: expected one of {}", policies.join(", "));
    }
    let views = Arc::new(Mutex::new(Followed { index, learned: None }));
    let (learned, feedback) = (Arc::clone(&views), Arc::clone(&views));
    let candidates = IndexCandidates::new(move || lock(&views).view()).with_learned(move || lock(&learned).learned());
    Ok(candidates.with_feedback(move || FeedbackLedger::of(&lock(&feedback).index)))
}

fn lock(followed: &Mutex<Followed>) -> MutexGuard<'_, Followed> {
    followed.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Followed {
    index: IndexReader,
    /// By the generation that it is of.
    learned: Option<(u64, Option<Arc<Learner>>)>,
}

impl Followed {
    fn view(&mut self) -> Arc<View> {
        if let Err(error) = self.index.refresh() {
            // What was read before still holds.
            output::warn(error);
        }
        self.index.view()
    }

    fn learned(&mut self) -> Option<Arc<Learner>> {
        let generation = self.index.status().generation;
        if self.learned.as_ref().is_none_or(|(of, _)| *of != generation) {
            match prefix_indexer::learned(&self.index) {
                Ok(learned) => self.learned = Some((generation, learned.map(Arc::new))),
                // Likewise.
                Err(error) => output::warn(error),
            }
        }
        self.learned.as_ref().and_then(|(_, learned)| learned.clone())
    }
}
