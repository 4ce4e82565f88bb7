//! What an index learns from its own events, beside counting them: how prefixes come back, and which policy plans best.
//!
//! A [`Learner`] follows a sample of the prefixes. The store shows it every event that counts, once and in order, and commits its
//! state with each generation (see [`Follower`]); so after a crash it knows what the index knows, no more and no less. It
//! keeps hashes of names, and no names.

use crate::ServiceError;
use prefix_indexer_analytics::Learner;
use prefix_indexer_models::{EventBatch, IndexSpec, Ladder};
use prefix_indexer_storage::{Follower, FollowerKind, IndexReader, IndexStore, OpenOptions};

/// Name of the side file.
const NAME: &str = "learned";
/// Version of its bytes: MessagePack of a [`Learner`].
const VERSION: u32 = 3;

/// What every index is opened with, for writing, so that it learns.
pub const LEARNING: FollowerKind = FollowerKind { name: NAME, make };

/// Options that let an index learn; [`OpenOptions`] alone do not.
pub fn learning(options: OpenOptions) -> OpenOptions {
    OpenOptions { follower: Some(LEARNING), ..options }
}

/// What an index has learned up to its newest generation; none where it was never opened with [`LEARNING`].
///
/// # Errors
/// [`ServiceError::SideFile`] when that cannot be read.
pub fn learned(index: &IndexReader) -> Result<Option<Learner>, ServiceError> {
    read(index.side(NAME)?)
}

/// As [`learned`], for whoever has the index open for writing.
///
/// # Errors
/// As [`learned`].
pub fn learned_by(store: &dyn IndexStore) -> Result<Option<Learner>, ServiceError> {
    read(store.side(NAME)?)
}

fn read(side: Option<(u32, Vec<u8>)>) -> Result<Option<Learner>, ServiceError> {
    let Some((VERSION, bytes)) = side else { return Ok(None) };
    decode(&bytes).map(Some).map_err(|reason| ServiceError::SideFile { name: NAME, reason })
}

/// The bytes that an index's learned state is kept as, to be merged into another's.
pub(crate) fn side(index: &IndexReader) -> Result<Option<(u32, Vec<u8>)>, ServiceError> {
    Ok(index.side(NAME)?)
}

fn decode(bytes: &[u8]) -> Result<Learner, String> {
    rmp_serde::from_slice(bytes).map_err(|error| error.to_string())
}

/// Of another version, nothing is taken over: it learns anew.
fn make(spec: &IndexSpec, side: Option<(u32, Vec<u8>)>) -> Result<Box<dyn Follower>, String> {
    let ladder = spec.ladder.clone();
    let counted = match side {
        Some((VERSION, bytes)) => decode(&bytes)?,
        Some((version, _)) => {
            tracing::warn!(version, "the learned state is of another version of this program; learning begins anew");
            Learner::new(&ladder)
        }
        None => Learner::new(&ladder),
    };
    Ok(Box::new(Learning { ladder, counted, admitted: None }))
}

struct Learning {
    ladder: Ladder,
    counted: Learner,
    /// With what has been admitted since.
    admitted: Option<Learner>,
}

impl Follower for Learning {
    fn observe(&mut self, events: &EventBatch) {
        self.counted.observe(events);
        if let Some(admitted) = &mut self.admitted {
            admitted.observe(events);
        }
    }

    fn admit(&mut self, events: &EventBatch) {
        self.admitted.get_or_insert_with(|| self.counted.clone()).observe(events);
    }

    fn settle(&mut self) {
        if let Some(admitted) = self.admitted.take() {
            self.counted = admitted;
        }
    }

    fn abandon(&mut self) {
        self.admitted = None;
    }

    fn merge(&mut self, version: u32, bytes: &[u8]) -> Result<(), String> {
        if version != VERSION {
            return Ok(());
        }
        let other = decode(bytes)?;
        if *other.model().ladder() != self.ladder {
            return Err("it was learned with other half-lives".to_owned());
        }
        self.counted.merge(&other);
        if let Some(admitted) = &mut self.admitted {
            admitted.merge(&other);
        }
        Ok(())
    }

    fn save(&self, with_admitted: bool) -> Result<(u32, Vec<u8>), String> {
        let learner = self.admitted.as_ref().filter(|_| with_admitted).unwrap_or(&self.counted);
        Ok((VERSION, rmp_serde::to_vec(learner).map_err(|error| error.to_string())?))
    }
}
