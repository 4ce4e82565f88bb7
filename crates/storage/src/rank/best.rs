//! The best rows of an order: of each partition, and over all of them.

use crate::segment::Plan;
use prefix_indexer_models::{PrefixKey, Rank};
use std::{cmp::Ordering, collections::BinaryHeap};

/// Watches the rows of an order go by, partition by partition and best first.
#[derive(Debug)]
pub(crate) struct Best {
    limit: usize,
    heads: Vec<Entry>,
    top: BinaryHeap<Entry>,
    /// Whether the next row of the partition may be among the best.
    open: bool,
}

/// What an order comes to.
#[derive(Debug)]
pub(crate) struct Ranking {
    /// The best rows over all partitions.
    pub(crate) top: Vec<u32>,
    /// Partitions by their best row: all, grouped by tenant, grouped by model.
    pub(crate) lists: [Vec<u32>; 3],
}

/// Ascending is best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    rank: Rank,
    key: PrefixKey,
    /// Row or partition.
    number: u32,
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> Ordering {
        Rank::order((self.rank, self.key), (other.rank, other.key))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Best {
    /// Keeps the best `limit` rows over all partitions.
    pub(crate) fn new(limit: usize) -> Best {
        Best { limit, heads: Vec::new(), top: BinaryHeap::new(), open: false }
    }

    /// The rows that follow are of partition `number`; the first of them has this place.
    pub(crate) fn partition(&mut self, number: u32, rank: Rank, key: PrefixKey) {
        self.heads.push(Entry { rank, key, number });
        self.open = self.limit > 0;
    }

    /// Whether the next row of the partition is to be [offered](Self::offer).
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// The next row of the partition.
    pub(crate) fn offer(&mut self, number: u32, rank: Rank, key: PrefixKey) {
        let entry = Entry { rank, key, number };
        if self.top.len() < self.limit {
            self.top.push(entry);
        } else if self.top.peek().is_some_and(|worst| entry < *worst) {
            self.top.pop();
            self.top.push(entry);
        } else {
            self.open = false;
        }
    }

    /// Adds what was seen of later partitions.
    pub(crate) fn absorb(&mut self, later: Best) {
        self.heads.extend(later.heads);
        self.open = true;
        for entry in later.top {
            self.offer(entry.number, entry.rank, entry.key);
        }
    }

    pub(crate) fn finish(self, plan: &Plan) -> Ranking {
        let mut heads = self.heads;
        heads.sort_unstable();
        let all: Vec<u32> = heads.iter().map(|head| head.number).collect();
        let lists = [plan.by_tenant(&all), plan.by_model(&all)];
        let [by_tenant, by_model] = lists;
        let top = self.top.into_sorted_vec().iter().map(|entry| entry.number).collect();
        Ranking { top, lists: [all, by_tenant, by_model] }
    }
}
