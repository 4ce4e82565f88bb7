//! Whole indexes, made by different machines or on different days, become one: statistics, what was learned, plans and what became of
//! them.
//!
//! Habits of sessions ([`predict`](crate::PrefixIndexer::predict)) stay behind: they are numbered by the blocks that one machine met, fade
//! with its requests, and are learned anew within minutes.

use crate::{FeedbackLedger, PlanBook, ServiceError};
use prefix_indexer_models::{PrefixTable, SourcePosition};
use prefix_indexer_storage::{Commit, Counters, IndexReader, IndexStore};

/// Rows that are collected before they are loaded as one table.
const TABLE_PREFIXES: usize = 4_000_000;

/// Adds what `part` holds to `store`: statistics merge, counters and outcomes add, plans are those of both, and files that `part` has
/// read are known to the result, so that reading them again adds nothing.
///
/// Merging the same part twice counts it twice.
///
/// # Errors
/// When the two were made with different half-lives, utility or key bands, or a file cannot be read or written.
pub fn merge_into(store: &mut dyn IndexStore, part: &IndexReader) -> Result<(), ServiceError> {
    let view = part.view();
    store.spec().check_same(view.spec()).map_err(prefix_indexer_storage::StorageError::from)?;
    let mut table = PrefixTable::new(store.spec().clone());
    for row in view.rows() {
        let row = row?;
        let names = [row.tenant(), row.model_id(), row.prefix_id()];
        let sums: Vec<f64> = (0..store.spec().ladder.len()).map(|rung| row.sum(rung)).collect();
        table.merge(names, row.parent_id(), &row.tally(), &sums);
        if table.len() >= TABLE_PREFIXES {
            let full = std::mem::replace(&mut table, PrefixTable::new(store.spec().clone()));
            store.load(vec![full], &Commit::default(), Counters::default())?;
        }
    }
    let sources: Vec<SourcePosition> = part.sources().cloned().collect();
    store.load(vec![table], &Commit { batch_id: None, sources }, part.status().counters)?;
    if let Some((version, bytes)) = crate::learning::side(part)? {
        store.merge_followed(version, &bytes)?;
    }
    let mut feedback = FeedbackLedger::load(store)?;
    feedback.merge(FeedbackLedger::of(part)?);
    let mut plans = PlanBook::load(store)?;
    plans.merge(PlanBook::of(part)?, &mut feedback);
    plans.written(&feedback)?.put(store)?;
    store.flush()?;
    Ok(())
}
