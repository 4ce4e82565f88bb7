//! Rows that a plan may be made of: the heads of several rankings, and what they stand on.

use super::{PlanQuery, estimates::Facts};
use crate::ServiceError;
use prefix_indexer_models::{PrefixKey, Tally};
use prefix_indexer_storage::{Order, Row, View};
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// Of each ranking so many times the budget is looked at: a chain that does not fit is passed over for what follows.
const SPARE: f64 = 1.25;
/// Rows of each ranking that are looked at whatever the budget.
const LEAST_ROWS: usize = 1_000;
/// Rows of each ranking that are looked at at most.
const MOST_ROWS: usize = 500_000;
/// Rows that stand for all rows of the index.
const SAMPLE: u64 = 2_048;

/// A row with what is asked of it more than once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate<'v> {
    pub(super) row: Row<'v>,
    pub(super) is_active: bool,
    pub(super) parent: Link,
}

/// What a row says of its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// There is none, or it is resident.
    None,
    /// Another candidate.
    To(u32),
    /// It is not in the index.
    Unknown,
}

#[derive(Debug)]
pub(super) struct Candidates<'v> {
    pub(super) rows: Vec<Candidate<'v>>,
    /// Of each of the rows.
    pub(super) facts: Vec<Facts>,
    /// A uniform sample of the index.
    pub(super) sample: Vec<Facts>,
    /// Those of the sample that are asked about and are no candidates.
    pub(super) rest: Vec<Facts>,
    /// Rows of the index for each of the sample.
    pub(super) weight: f64,
}

/// The heads of these rankings that fill the room, and what they stand on.
pub(super) fn find<'v>(
    query: &PlanQuery<'_>,
    view: &'v View,
    orders: &[Order],
) -> Result<Candidates<'v>, ServiceError> {
    let mut search = Search::of_heads(query, view, orders, MOST_ROWS)?;
    search.link()?;
    search.end()
}

/// So many rows of these rankings, each with no word about its parent.
pub(super) fn heads<'v>(
    query: &PlanQuery<'_>,
    view: &'v View,
    orders: &[Order],
    rows: usize,
) -> Result<Candidates<'v>, ServiceError> {
    Search::of_heads(query, view, orders, rows.div_ceil(orders.len().max(1)))?.end()
}

/// Keys are digests: any eight bytes of one are as good a hash as can be made of it.
type ByDigest = BuildHasherDefault<DigestHasher>;

#[derive(Debug, Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 ^= u64::from_ne_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

struct Search<'q, 'v> {
    query: &'q PlanQuery<'q>,
    view: &'v View,
    rows: Vec<Candidate<'v>>,
    facts: Vec<Facts>,
    places: HashMap<PrefixKey, u32, ByDigest>,
}

impl<'q, 'v> Search<'q, 'v> {
    /// With the heads of rankings, of each at most so many rows.
    fn of_heads(
        query: &'q PlanQuery<'q>,
        view: &'v View,
        orders: &[Order],
        most: usize,
    ) -> Result<Search<'q, 'v>, ServiceError> {
        let mut search = Search { query, view, rows: Vec::new(), facts: Vec::new(), places: HashMap::default() };
        orders.iter().try_for_each(|&order| search.take(order, most))?;
        Ok(search)
    }

    /// Takes the head of a ranking: enough to fill the room.
    fn take(&mut self, order: Order, most: usize) -> Result<(), ServiceError> {
        let mut room = Room::new(self.query);
        for (count, row) in self.view.ranked(self.query.scope(), order).enumerate() {
            if count >= most || (count >= LEAST_ROWS && room.is_full()) {
                break;
            }
            let number = self.add(row?);
            if let Some(candidate) = self.rows.get(number as usize) {
                room.count(candidate);
            }
        }
        Ok(())
    }

    /// The number of a row among the candidates.
    fn add(&mut self, row: Row<'v>) -> u32 {
        let next = self.rows.len() as u32;
        let place = *self.places.entry(row.key()).or_insert(next);
        if place == next {
            let active = self.query.active;
            let is_active = active.is_some_and(|set| set.contains(row.tenant(), row.model_id(), row.prefix_id()));
            self.rows.push(Candidate { row, is_active, parent: Link::None });
            self.facts.push(Facts::of(&row));
        }
        place
    }

    /// Finds the parents of all candidates, which become candidates too. A parent is looked for in the layer and page band of
    /// its child.
    fn link(&mut self) -> Result<(), ServiceError> {
        let policy = self.view.spec().key_policy;
        let mut number = 0;
        while let (Some(&Candidate { row, .. }), Some(facts)) = (self.rows.get(number), self.facts.get(number)) {
            let Tally { layer_min, page_start, .. } = facts.tally;
            if let Some(parent_id) = row.parent_id() {
                let key = PrefixKey::new(policy, row.tenant(), row.model_id(), parent_id, layer_min, page_start);
                let link = match self.places.get(&key) {
                    Some(&parent) => Link::To(parent),
                    None => match self.view.get(&key)? {
                        Some(parent) => Link::To(self.add(parent)),
                        None => self.absent(row.tenant(), row.model_id(), parent_id),
                    },
                };
                self.rows[number].parent = link;
            }
            number += 1;
        }
        Ok(())
    }

    /// What was found, with a sample of the index.
    fn end(self) -> Result<Candidates<'v>, ServiceError> {
        let Search { query, view, places, rows, facts } = self;
        let sample = view.sample(SAMPLE)?;
        let is_asked = |row: &Row<'_>| {
            query.tenant.is_none_or(|tenant| tenant == row.tenant())
                && query.model_id.is_none_or(|model_id| model_id == row.model_id())
        };
        let rest = sample.iter().filter(|row| is_asked(row) && !places.contains_key(&row.key()));
        Ok(Candidates {
            rest: rest.map(Facts::of).collect(),
            weight: view.len() as f64 / sample.len().max(1) as f64,
            sample: sample.iter().map(Facts::of).collect(),
            rows,
            facts,
        })
    }

    fn absent(&self, tenant: &str, model_id: &str, prefix_id: &str) -> Link {
        let is_active = self.query.active.is_some_and(|active| active.contains(tenant, model_id, prefix_id));
        if is_active { Link::None } else { Link::Unknown }
    }
}

/// How much of the limits the rows of a ranking have used up so far.
struct Room {
    bytes: f64,
    quotas: HashMap<String, f64>,
}

impl Room {
    fn new(query: &PlanQuery<'_>) -> Room {
        let quota = |(tenant, bytes): &(String, u64)| (tenant.clone(), SPARE * *bytes as f64);
        Room { bytes: SPARE * query.bytes() as f64, quotas: query.quotas.iter().map(quota).collect() }
    }

    fn is_full(&self) -> bool {
        self.bytes < 0.0
    }

    fn count(&mut self, candidate: &Candidate<'_>) {
        if candidate.is_active {
            return;
        }
        let bytes = candidate.row.footprint_bytes() as f64;
        if !self.quotas.is_empty()
            && let Some(left) = self.quotas.get_mut(candidate.row.tenant())
        {
            if *left < 0.0 {
                return;
            }
            *left -= bytes;
        }
        self.bytes -= bytes;
    }
}
