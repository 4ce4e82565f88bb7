//! Removing a tenant or a model for good, from everything that is kept.

use crate::{FeedbackLedger, PlanBook, ServiceError, predictor};
use prefix_indexer_storage::{Forget, IndexStore};

/// Removes prefixes from segments, log, feedback and plans. Returns how many prefixes there were. Which prefixes follow each other is
/// learned anew, for all.
///
/// # Errors
/// Those of reading and writing the index's files.
pub fn forget(store: &mut dyn IndexStore, what: &Forget) -> Result<u64, ServiceError> {
    let mut feedback = FeedbackLedger::load(store)?;
    feedback.forget(what.tenant.as_deref(), what.model_id.as_deref());
    feedback.save(store)?;
    let mut plans = PlanBook::load(store)?;
    plans.forget(what.tenant.as_deref(), what.model_id.as_deref());
    plans.save(store)?;
    predictor::forget(store)?;
    let removed = store.forget(what)?;
    store.flush()?;
    Ok(removed)
}
