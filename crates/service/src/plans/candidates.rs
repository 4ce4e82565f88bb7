//! Rows that a plan may be made of: the heads of several rankings, and what they stand on.

use super::PlanQuery;
use crate::ServiceError;
use prefix_indexer_models::{PrefixKey, Tally};
use prefix_indexer_storage::{Order, Row, View};
use std::collections::HashMap;

/// Of each ranking so many times the budget is looked at: a chain that does not fit is passed over for what follows.
const SPARE: f64 = 1.25;
/// Rows of each ranking that are looked at whatever the budget.
const LEAST_ROWS: usize = 1_000;
/// Rows of each ranking that are looked at at most.
const MOST_ROWS: usize = 500_000;
/// Rows beyond those that are counted, to know how much a plan leaves out.
const MOST_COUNTED: u64 = 50_000;

/// A row with what is asked of it more than once.
#[derive(Debug, Clone)]
pub(super) struct Candidate<'v> {
    pub(super) row: Row<'v>,
    pub(super) tally: Tally,
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
    /// Rows of the scope that were not looked at, at least.
    pub(super) rest: u64,
}

pub(super) fn find<'v>(
    query: &PlanQuery<'_>,
    view: &'v View,
    orders: &[Order],
) -> Result<Candidates<'v>, ServiceError> {
    let mut search = Search { query, view, rows: Vec::new(), places: HashMap::new() };
    let mut is_all = false;
    for &order in orders {
        is_all |= search.take(order)?;
    }
    let listed = search.rows.len() as u64;
    search.link()?;
    let rest = match query.tenant.or(query.model_id) {
        _ if is_all => 0,
        None => view.len().saturating_sub(search.rows.len() as u64),
        Some(_) => {
            let counted = view.ranked(query.scope(), Order::Recency).take((listed + MOST_COUNTED) as usize).count();
            (counted as u64).saturating_sub(search.rows.len() as u64)
        }
    };
    Ok(Candidates { rows: search.rows, rest })
}

struct Search<'q, 'v> {
    query: &'q PlanQuery<'q>,
    view: &'v View,
    rows: Vec<Candidate<'v>>,
    places: HashMap<PrefixKey, u32>,
}

impl<'v> Search<'_, 'v> {
    /// Takes the head of a ranking: enough to fill the room. Returns whether that was all of it.
    fn take(&mut self, order: Order) -> Result<bool, ServiceError> {
        let mut room = Room::new(self.query);
        for (count, row) in self.view.ranked(self.query.scope(), order).enumerate() {
            if count >= MOST_ROWS || (count >= LEAST_ROWS && room.is_full()) {
                return Ok(false);
            }
            let number = self.add(row?);
            if let Some(candidate) = self.rows.get(number as usize) {
                room.count(candidate);
            }
        }
        Ok(true)
    }

    /// The number of a row among the candidates.
    fn add(&mut self, row: Row<'v>) -> u32 {
        let next = self.rows.len() as u32;
        let place = *self.places.entry(row.key()).or_insert(next);
        if place == next {
            let active = self.query.active;
            let is_active = active.is_some_and(|set| set.contains(row.tenant(), row.model_id(), row.prefix_id()));
            self.rows.push(Candidate { row, tally: row.tally(), is_active, parent: Link::None });
        }
        place
    }

    /// Finds the parents of all candidates, which become candidates too. A parent is looked for in the layer and page band of
    /// its child.
    fn link(&mut self) -> Result<(), ServiceError> {
        let policy = self.view.spec().key_policy;
        let mut number = 0;
        while let Some(candidate) = self.rows.get(number) {
            let (row, Tally { layer_min, page_start, .. }) = (candidate.row, candidate.tally);
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
        let bytes = candidate.tally.footprint_bytes as f64;
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
