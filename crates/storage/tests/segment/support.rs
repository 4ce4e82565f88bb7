//! Events into segments, and the model that answers are compared with.

use prefix_indexer_models::{EventBatch, IndexSpec, PrefixEvent, PrefixStats, PrefixTable, Rank, Shard};
use prefix_indexer_storage::{Order, Scope, Segment, Source, TablePart, View, write_merged, write_tables};
use std::{collections::BTreeSet, path::Path, sync::Arc};

/// Where bytes on the heap claim to be.
pub(crate) fn nowhere() -> &'static Path {
    Path::new("test.segment")
}

/// Totals of all events so far, and the segments that batches of them became, newest first.
pub(crate) struct Index {
    pub(crate) spec: IndexSpec,
    pub(crate) table: PrefixTable,
    pub(crate) segments: Vec<Arc<Segment>>,
}

impl Index {
    pub(crate) fn new(spec: IndexSpec) -> Index {
        Index { table: PrefixTable::new(spec.clone()), spec, segments: Vec::new() }
    }

    /// Counts a batch; a new segment holds the totals of what it touched.
    pub(crate) fn append(&mut self, events: &[PrefixEvent]) {
        let batch: EventBatch = events.iter().cloned().collect();
        let mut hashes = Vec::new();
        PrefixTable::hashes(&self.spec, &batch, &mut hashes);
        let before = self.table.len();
        let mut touched = BTreeSet::new();
        self.table.fold(&batch, &hashes, Shard::WHOLE, |number| {
            touched.insert(number);
        });
        let numbers: Vec<u32> = touched.into_iter().rev().collect();
        let part = TablePart { table: &self.table, numbers: Some(&numbers) };
        let fresh = (self.table.len() - before) as u64;
        let segment = Segment::build(&self.spec, &[part], fresh).unwrap();
        self.segments.insert(0, Arc::new(segment));
    }

    /// Replaces some neighbouring segments by their merge.
    pub(crate) fn merge(&mut self, range: std::ops::Range<usize>) {
        let parts: Vec<&Segment> = self.segments[range.clone()].iter().map(|segment| &**segment).collect();
        let merged = Segment::merge(&self.spec, &parts, &mut |_| true).unwrap();
        self.segments.splice(range, [Arc::new(merged)]);
    }

    pub(crate) fn view(&self) -> View {
        View::new(self.spec.clone(), self.segments.clone()).unwrap()
    }

    pub(crate) fn stats(&self) -> Vec<PrefixStats> {
        self.table.rows().map(|row| row.to_stats()).collect()
    }
}

/// The same segment as a file would have it, with checksums.
pub(crate) fn bytes_of(segments: &[&Segment], spec: &IndexSpec) -> Vec<u8> {
    let mut bytes = Vec::new();
    let written = write_merged(spec, segments, &mut |_| true, &mut bytes, nowhere()).unwrap();
    assert_eq!(written, bytes.len() as u64);
    bytes
}

/// A table as a file would have it.
pub(crate) fn bytes_of_table(table: &PrefixTable) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_tables(table.spec(), &[table.into()], table.len() as u64, &mut bytes, nowhere()).unwrap();
    bytes
}

pub(crate) fn open(bytes: Vec<u8>) -> Segment {
    Segment::open(Source::heap(bytes), nowhere()).unwrap()
}

/// What the model lists: everything in scope, sorted by exact rank, then key.
pub(crate) fn expected(spec: &IndexSpec, stats: &[PrefixStats], scope: Scope<'_>, order: Order) -> Vec<PrefixStats> {
    let place = |stats: &PrefixStats| {
        let last = stats.tally.last_seen_ms;
        let rank = match order {
            Order::Rung(rung) => spec.ladder.rank(rung, last, stats.decayed[rung]),
            Order::Recency => Rank::of_time(last),
        };
        (rank, stats.key(spec.key_policy))
    };
    let mut listed: Vec<PrefixStats> = stats
        .iter()
        .filter(|stats| scope.tenant.is_none_or(|tenant| stats.tenant == tenant))
        .filter(|stats| scope.model_id.is_none_or(|model_id| stats.model_id == model_id))
        .cloned()
        .collect();
    listed.sort_by(|a, b| Rank::order(place(a), place(b)));
    listed
}

/// Every scope and order, the lookup of every key, and all rows, against the model.
pub(crate) fn assert_answers(view: &View, stats: &[PrefixStats]) {
    let spec = view.spec();
    assert_eq!(view.len(), stats.len() as u64);
    let names = |of: fn(&PrefixStats) -> &String| stats.iter().map(of).collect::<BTreeSet<_>>();
    let (tenants, models) = (names(|stats| &stats.tenant), names(|stats| &stats.model_id));
    let tenants: Vec<Option<&str>> =
        tenants.into_iter().map(|name| Some(name.as_str())).chain([None, Some("?")]).collect();
    let models: Vec<Option<&str>> =
        models.into_iter().map(|name| Some(name.as_str())).chain([None, Some("?")]).collect();
    let orders = (0..spec.ladder.len()).map(Order::Rung).chain([Order::Recency]);
    for order in orders {
        for &tenant in &tenants {
            for &model_id in &models {
                let scope = Scope { tenant, model_id };
                let listed: Vec<PrefixStats> = view.ranked(scope, order).map(|row| row.unwrap().to_stats()).collect();
                assert_eq!(listed, expected(spec, stats, scope, order), "{scope:?} {order:?}");
            }
        }
    }
    for stats in stats {
        let row = view.get(&stats.key(spec.key_policy)).unwrap().unwrap();
        assert_eq!(row.to_stats(), *stats);
        for rung in 0..spec.ladder.len() {
            let now = stats.tally.last_seen_ms + 12_345;
            assert_eq!(row.recommend(rung, now), stats.recommend(spec, rung, now));
        }
    }
    let mut all = expected(spec, stats, Scope::default(), Order::Recency);
    all.sort_by(|a, b| (&a.tenant, &a.model_id).cmp(&(&b.tenant, &b.model_id)));
    assert_eq!(view.rows().map(|row| row.unwrap().to_stats()).collect::<Vec<_>>(), all);
    for count in [0, stats.len() as u64 / 3, stats.len() as u64, u64::MAX] {
        let below = (u128::from(count) << 32) / (stats.len() as u128).max(1);
        let mut keys: Vec<_> = stats.iter().map(|stats| stats.key(spec.key_policy)).collect();
        keys.retain(|key| u128::from(key.hash64() >> 32) < below);
        keys.sort_unstable();
        let sample = view.sample(count).unwrap();
        assert_eq!(sample.iter().map(|row| row.key()).collect::<Vec<_>>(), keys, "sample of {count}");
        assert!(sample.iter().all(|row| stats.iter().any(|stats| *stats == row.to_stats())), "newest rows");
    }
    for segment in view.segments() {
        segment.verify().unwrap();
    }
}
