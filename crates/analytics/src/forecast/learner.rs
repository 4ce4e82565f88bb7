//! Learning beside ingestion: from a sample of the prefixes, in bounded memory.
//!
//! A prefix is followed when the hash of its name lies below a threshold, so all of its uses are seen or none (SHARDS: Waldspurger
//! et al., FAST 2015). When more prefixes are followed than there is room for, first those go that have been silent for
//! long; when that does not free a quarter, the threshold is halved. Shares and probabilities of the sample are
//! those of the whole. What an event costs whose prefix is not followed is the hash of its name.

use super::{Effort, Forecaster, Model};
use prefix_indexer_models::{EventBatch, Ladder, ScopeSpans};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};
use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Prefixes that a learner follows at most, unless told otherwise: some 1 MiB. Judging plans of four times as many doubled the
/// time of a bulk load.
pub const FOLLOWED: usize = 4_096;

/// Version of what a learner is written as.
const VERSION: u32 = 3;
/// Silence, in multiples of the longest horizon, after which a prefix may be forgotten.
const SILENCE: u64 = 64;

/// A [`Model`] that learns from the events of an index as they are ingested, in order.
///
/// It is plain data that can be written and read back; reading checks what it needs. The same events make the same
/// learner, however they are cut into batches.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "State")]
pub struct Learner(State);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    version: u32,
    room: usize,
    /// Hashes of followed names lie below it.
    threshold: u64,
    forecaster: Forecaster,
    /// Hash of the name of each followed prefix, by number.
    names: Vec<u64>,
    /// Events since the last one of a followed prefix.
    passed: u64,
    #[serde(skip)]
    numbers: HashMap<u64, u32, BuildHasherDefault<OfHash>>,
    /// The hash of each tenant and model of the batch at hand.
    #[serde(skip)]
    scopes: Vec<u64>,
}

/// The hash of a hash: all names that are followed begin with zeros, which a map would take for its tags. Whoever makes names
/// that collide slows down a map of bounded size.
#[derive(Debug, Default)]
struct OfHash(u64);

impl Hasher for OfHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(self.0 << 8 | u64::from(byte)));
    }

    #[inline]
    fn write_u64(&mut self, name: u64) {
        self.0 = name.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// Why what was read is no learner.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LearnerError {
    /// Written by another version.
    #[error("learned state of version {found}, expected {VERSION}")]
    Version {
        /// Of what was read.
        found: u32,
    },
    /// Parts that do not belong together.
    #[error("learned state is inconsistent: {what}")]
    Inconsistent {
        /// What is wrong.
        what: &'static str,
    },
}

impl Learner {
    /// Nothing has happened yet. The sums of the index's rows are over the half-lives of `ladder`.
    pub fn new(ladder: &Ladder) -> Learner {
        Learner::with_room(ladder, FOLLOWED)
    }

    /// Likewise, following at most so many prefixes.
    pub fn with_room(ladder: &Ladder, room: usize) -> Learner {
        Learner(State {
            version: VERSION,
            room: room.clamp(16, u32::MAX as usize / 2),
            threshold: u64::MAX,
            forecaster: Forecaster::new(ladder, Effort::ingestion()),
            names: Vec::new(),
            passed: 0,
            numbers: HashMap::default(),
            scopes: Vec::new(),
        })
    }

    /// Learns from uses. Events come in the order of time; one that is late counts as now.
    pub fn observe(&mut self, events: &EventBatch) {
        let Learner(state) = self;
        let hash = |scope: &ScopeSpans| {
            let tenant = xxh3_64_with_seed(events.str(scope.tenant).as_bytes(), 0);
            xxh3_64_with_seed(events.str(scope.model_id).as_bytes(), tenant)
        };
        state.scopes.clear();
        state.scopes.extend(events.scopes().iter().map(hash));
        let uses = events.timestamps_ms().iter().zip(events.bytes());
        for (index, (&time_ms, &bytes)) in uses.enumerate() {
            let scope = state.scopes.get(events.scope_at(index) as usize).copied().unwrap_or(0);
            let name = xxh3_64_with_seed(events.prefix_id_bytes_at(index), scope);
            if name > state.threshold {
                state.passed += 1;
            } else {
                state.follow(name, time_ms, events.depth_at(index), bytes);
            }
        }
    }

    /// What has been learned.
    pub fn model(&self) -> &Model {
        self.0.forecaster.model()
    }

    /// Prefixes that are followed now.
    pub fn followed(&self) -> usize {
        self.0.names.len()
    }

    /// The share of all prefixes that is followed, 0 to 1.
    pub fn share(&self) -> f64 {
        self.0.threshold as f64 / u64::MAX as f64
    }

    /// Adds what another index's learner knows to the model (as [`Model::merge`] says). The prefixes that the other one follows
    /// are not taken over: what becomes of them is learned when they are used again.
    pub fn merge(&mut self, other: &Learner) {
        self.0.forecaster.merge_model(other.model());
    }
}

impl State {
    fn follow(&mut self, name: u64, time_ms: u64, depth: Option<u32>, bytes: u64) {
        let new = self.names.len() as u32;
        let number = *self.numbers.entry(name).or_insert(new);
        if number == new {
            self.names.push(name);
        }
        self.forecaster.pass(std::mem::take(&mut self.passed));
        self.forecaster.observe_one(time_ms, number, depth, bytes);
        if self.names.len() > self.room {
            self.make_room();
        }
    }

    #[cold]
    fn make_room(&mut self) {
        let keep = self.forecaster.used_within(SILENCE);
        self.retain(&keep);
        while self.names.len() > self.room - self.room / 4 {
            self.threshold /= 2;
            let keep: Vec<bool> = self.names.iter().map(|&name| name <= self.threshold).collect();
            self.retain(&keep);
        }
    }

    fn retain(&mut self, keep: &[bool]) {
        self.forecaster.retain(keep);
        let mut kept = keep.iter();
        self.names.retain(|_| kept.next().copied().unwrap_or(false));
        self.number();
    }

    fn number(&mut self) {
        self.numbers = self.names.iter().copied().zip(0..).collect();
    }
}

impl TryFrom<State> for Learner {
    type Error = LearnerError;

    fn try_from(mut state: State) -> Result<Learner, LearnerError> {
        if state.version != VERSION {
            return Err(LearnerError::Version { found: state.version });
        }
        state.forecaster.check().map_err(|what| LearnerError::Inconsistent { what })?;
        if state.names.len() != state.forecaster.len() {
            return Err(LearnerError::Inconsistent { what: "as many names as prefixes" });
        }
        state.number();
        if state.numbers.len() != state.names.len() || state.room < 16 {
            return Err(LearnerError::Inconsistent { what: "a name for each prefix" });
        }
        Ok(Learner(state))
    }
}
