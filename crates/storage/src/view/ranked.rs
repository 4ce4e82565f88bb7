//! The ranked rows of a view, merged as far as they are asked for.

use super::{Order, Scope, View};
use crate::{
    Row, Segment, StorageError,
    front::Front,
    segment::{Cursor, Heads, List},
};
use prefix_indexer_models::PrefixKey;
use std::{collections::HashSet, sync::Arc};

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
    /// Several lists.
    Merge(Merge),
    /// What went wrong, until it has been said.
    Failed(Option<StorageError>),
}

#[derive(Debug)]
struct Merge {
    front: Front,
    /// Per segment, what follows its list of the best over all.
    rest: Vec<Rest>,
    /// Keys that have been given, when several segments may hold one.
    given: Option<Given>,
    /// Segments in which a row may rank behind an older one of its key.
    faint: bool,
}

#[derive(Debug)]
struct Rest {
    segment: u32,
    /// Rows of the list that have not come up.
    listed: usize,
    /// Rows that the list had.
    taken: usize,
    heads: Heads,
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
    match (lists.list, lists.heads) {
        (Some(list), heads) => Ok(State::List { segment, taken: list.len(), list, heads }),
        (None, None) => Ok(State::Failed(None)),
        (None, Some(heads)) => {
            let mut front = Front::new(order, 16);
            front.add_heads(segment, 0, heads)?;
            Ok(State::Merge(Merge { front, rest: Vec::new(), given: None, faint: false }))
        }
    }
}

fn several<'a>(segments: &'a [Arc<Segment>], scope: Scope<'_>, order: usize) -> Result<State<'a>, StorageError> {
    let mut front = Front::new(order, segments.len() + 16);
    let mut rest = Vec::new();
    for (number, segment) in (0..).zip(segments) {
        let Some(lists) = segment.lists(scope, order)? else { continue };
        match (lists.list, lists.heads) {
            (Some(list), heads) => {
                let listed = list.len();
                rest.extend(heads.map(|heads| Rest { segment: number, listed, taken: listed, heads }));
                front.add_list(segment, number, list)?;
            }
            (None, Some(heads)) => front.add_heads(segment, number, heads)?,
            (None, None) => {}
        }
    }
    let faint = segments.iter().any(|segment| segment.is_faint(order));
    Ok(State::Merge(Merge { front, rest, given: Some(Given::default()), faint }))
}

impl Merge {
    fn next(&mut self, segments: &[Arc<Segment>], order: usize) -> Result<Option<Cursor>, StorageError> {
        while let Some(best) = self.front.next(segments)? {
            self.refill(segments, order, best.segment)?;
            let superseded = self.faint && superseded(segments, order, &best)?;
            if !superseded && self.given.as_mut().is_none_or(|given| given.insert(best.key)) {
                return Ok(Some(best));
            }
        }
        Ok(None)
    }

    /// When the list of a segment's best has been used up, goes on with its partitions.
    fn refill(&mut self, segments: &[Arc<Segment>], order: usize, number: u32) -> Result<(), StorageError> {
        let Some(place) = self.rest.iter().position(|rest| rest.segment == number) else { return Ok(()) };
        let rest = &mut self.rest[place];
        rest.listed = rest.listed.saturating_sub(1);
        if rest.listed == 0 {
            let rest = self.rest.swap_remove(place);
            self.front.add_all(after(segments, number, rest.heads, rest.taken, order)?);
        }
        Ok(())
    }
}

/// The merge of a segment's partitions without its first `taken` rows.
fn after(
    segments: &[Arc<Segment>],
    number: u32,
    heads: Heads,
    taken: usize,
    order: usize,
) -> Result<Front, StorageError> {
    let mut front = Front::new(order, 64);
    if let Some(segment) = segments.get(number as usize) {
        front.add_heads(segment, number, heads)?;
    }
    for _ in 0..taken {
        front.next(segments)?;
    }
    Ok(front)
}

/// Whether a newer segment whose row may rank behind this one has its key.
fn superseded(segments: &[Arc<Segment>], order: usize, best: &Cursor) -> Result<bool, StorageError> {
    for segment in segments.iter().take(best.segment as usize).filter(|segment| segment.is_faint(order)) {
        if segment.find(&best.key)?.is_some() {
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

    /// The next row of several lists, or of what follows the only one.
    fn step(&mut self) -> Result<Option<Row<'a>>, StorageError> {
        if let State::List { taken, heads, .. } = &mut self.state {
            let Some(heads) = heads.take() else { return Ok(None) };
            let front = after(self.segments, 0, heads, *taken, self.order)?;
            self.state = State::Merge(Merge { front, rest: Vec::new(), given: None, faint: false });
        }
        let State::Merge(merge) = &mut self.state else { return Ok(None) };
        let Some(best) = merge.next(self.segments, self.order)? else { return Ok(None) };
        let Some(segment) = self.segments.get(best.segment as usize) else { return Ok(None) };
        segment.row(best.row).map(Some)
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
