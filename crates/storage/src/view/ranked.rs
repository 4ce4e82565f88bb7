//! The ranked rows of a view, merged as far as they are asked for.

use super::{Order, Scope, View, stream::Stream};
use crate::{
    Row, Segment, StorageError,
    segment::{Heads, List, Partitions, Placed},
};
use prefix_indexer_models::PrefixKey;
use std::{
    cmp::Ordering,
    collections::{BinaryHeap, HashSet, binary_heap::PeekMut},
    sync::Arc,
};

/// Keys are compared one by one up to this many.
const FEW: usize = 32;

/// Rows of a [`View`], best first.
#[derive(Debug)]
pub struct Ranked<'a> {
    segments: &'a [Arc<Segment>],
    order: usize,
    state: State<'a>,
}

#[derive(Debug)]
enum State<'a> {
    /// Only one segment has rows in the scope, and they are one list so far.
    List { segment: &'a Segment, list: List, taken: usize, heads: Option<Heads> },
    /// Only one segment, whose partitions are merged.
    Partitions { segment: &'a Segment, partitions: Partitions },
    /// Several segments.
    Merge(Merge),
    /// What went wrong, until it has been said.
    Failed(Option<StorageError>),
}

#[derive(Debug)]
struct Merge {
    /// The best row of each segment, taken out of its stream.
    heads: BinaryHeap<Head>,
    /// The rows after them, by segment.
    streams: Vec<Option<Stream>>,
    /// Keys that have been given: several segments may hold one.
    given: Given,
    /// Segments in which a row may rank behind an older one of its key.
    faint: bool,
}

/// The greatest is the one that comes first: by rank, then key, then the newer segment.
#[derive(Debug, Clone, Copy)]
struct Head {
    placed: Placed,
    segment: usize,
}

impl<'a> Ranked<'a> {
    pub(super) fn new(view: &'a View, scope: Scope<'_>, order: Order) -> Ranked<'a> {
        let rungs = view.spec.ladder.len();
        let order = match order {
            Order::Rung(rung) if rung < rungs => rung,
            Order::Rung(_) => {
                return Ranked { segments: &view.segments, order: rungs, state: State::Failed(None) };
            }
            Order::Recency => rungs,
        };
        let state = match view.segments.as_slice() {
            [segment] => only(segment, scope, order),
            segments => several(segments, scope, order),
        };
        let state = state.unwrap_or_else(|error| State::Failed(Some(error)));
        Ranked { segments: &view.segments, order, state }
    }
}

fn only<'a>(segment: &'a Segment, scope: Scope<'_>, order: usize) -> Result<State<'a>, StorageError> {
    let Some(lists) = segment.lists(scope, order)? else { return Ok(State::Failed(None)) };
    Ok(match (lists.list, lists.heads) {
        (Some(list), heads) => State::List { segment, taken: list.len(), list, heads },
        (None, Some(heads)) => State::Partitions { segment, partitions: Partitions::new(heads, order) },
        (None, None) => State::Failed(None),
    })
}

fn several<'a>(segments: &'a [Arc<Segment>], scope: Scope<'_>, order: usize) -> Result<State<'a>, StorageError> {
    let (mut heads, mut streams) = (Vec::with_capacity(segments.len()), Vec::with_capacity(segments.len()));
    for (number, segment) in segments.iter().enumerate() {
        let mut stream = segment.lists(scope, order)?.map(|lists| Stream::new(lists, order));
        if let Some(stream) = &mut stream
            && let Some(placed) = stream.next(segment)?
        {
            heads.push(Head { placed, segment: number });
        }
        streams.push(stream);
    }
    let faint = segments.iter().any(|segment| segment.is_faint(order));
    Ok(State::Merge(Merge { heads: heads.into(), streams, given: Given::default(), faint }))
}

impl Merge {
    fn next(&mut self, segments: &[Arc<Segment>], order: usize) -> Result<Option<Head>, StorageError> {
        while let Some(mut first) = self.heads.peek_mut() {
            let best = *first;
            let (stream, segment) = (self.streams.get_mut(best.segment), segments.get(best.segment));
            let next = match (stream, segment) {
                (Some(Some(stream)), Some(segment)) => stream.next(segment)?,
                _ => None,
            };
            match next {
                Some(placed) => first.placed = placed,
                None => drop(PeekMut::pop(first)),
            }
            let superseded = self.faint && superseded(segments, order, &best)?;
            if !superseded && self.given.insert(best.placed.key) {
                return Ok(Some(best));
            }
        }
        Ok(None)
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Head) -> Ordering {
        self.placed.order(&other.placed).then(self.segment.cmp(&other.segment)).reverse()
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Head) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

/// Whether a newer segment whose row may rank behind this one has its key.
fn superseded(segments: &[Arc<Segment>], order: usize, best: &Head) -> Result<bool, StorageError> {
    for segment in segments.iter().take(best.segment).filter(|segment| segment.is_faint(order)) {
        if segment.find(&best.placed.key)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

impl<'a> Ranked<'a> {
    #[inline(never)]
    fn next_merged(&mut self) -> Option<Result<Row<'a>, StorageError>> {
        if let State::Failed(error) = &mut self.state {
            return error.take().map(Err);
        }
        let step = self.step().transpose();
        if let Some(Err(_)) = step {
            self.state = State::Failed(None);
        }
        step
    }

    /// The next row of several segments, or of what follows the list of the only one.
    fn step(&mut self) -> Result<Option<Row<'a>>, StorageError> {
        if let State::List { segment, taken, heads, .. } = &mut self.state {
            let Some(heads) = heads.take() else { return Ok(None) };
            let mut partitions = Partitions::new(heads, self.order);
            partitions.skip(segment, *taken)?;
            self.state = State::Partitions { segment, partitions };
        }
        match &mut self.state {
            State::Partitions { segment, partitions } => match partitions.next(segment)? {
                Some(placed) => segment.row(placed.row).map(Some),
                None => Ok(None),
            },
            State::Merge(merge) => {
                let Some(best) = merge.next(self.segments, self.order)? else { return Ok(None) };
                let Some(segment) = self.segments.get(best.segment) else { return Ok(None) };
                segment.row(best.placed.row).map(Some)
            }
            _ => Ok(None),
        }
    }
}

impl<'a> Iterator for Ranked<'a> {
    type Item = Result<Row<'a>, StorageError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if let State::List { segment, list, .. } = &mut self.state {
            match segment.next(list).and_then(|number| number.map(|number| segment.row(number)).transpose()) {
                Ok(Some(row)) => return Some(Ok(row)),
                Ok(None) => {}
                Err(error) => self.state = State::Failed(Some(error)),
            }
        }
        self.next_merged()
    }
}

impl std::iter::FusedIterator for Ranked<'_> {}

/// A set of keys.
#[derive(Debug, Default)]
struct Given {
    few: Vec<PrefixKey>,
    many: HashSet<PrefixKey>,
}

impl Given {
    /// Whether the key is new.
    fn insert(&mut self, key: PrefixKey) -> bool {
        if !self.many.is_empty() {
            return self.many.insert(key);
        }
        if self.few.contains(&key) {
            return false;
        }
        if self.few.len() == FEW {
            self.many.extend(self.few.drain(..));
            return self.many.insert(key);
        }
        self.few.push(key);
        true
    }
}
