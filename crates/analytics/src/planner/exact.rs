//! The best choice among few blocks, by dynamic programming.
//!
//! Nodes in preorder: a node that is not taken takes its whole subtree with it, so after a node the next decision is about
//! the node behind it, or behind its subtree. For each decision the *frontier* is kept: the choices so far of which none
//! takes fewer bytes and saves as much. It is exact as long as no frontier is longer than [`MOST_STATES`]; longer ones
//! are thinned evenly by bytes.

use super::{
    forest::{Forest, NONE},
    greedy::Room,
};

/// Nodes that are chosen among: one a bit.
const WINDOW: usize = 64;

/// Choices on a frontier.
const MOST_STATES: usize = 2_048;

/// Choices of one quota, when those of several are combined.
const MOST_COMBINED: usize = 128;

/// A choice: bytes, saving, and which nodes of the window.
#[derive(Debug, Clone, Copy, PartialEq)]
struct State {
    bytes: u64,
    saving: f64,
    set: u64,
}

/// Ascending by bytes and by saving.
type Frontier = Vec<State>;

/// The nodes of a sequence as far as they fit, but those around the place where the room ends chosen exactly. None when
/// all of them fit.
pub(super) fn around_the_end(forest: &Forest, sequence: &[u32], room: &Room) -> Option<Vec<bool>> {
    let mut left = room.clone();
    let end = sequence.iter().position(|&number| {
        let node = &forest.nodes[number as usize];
        let fits = node.bytes <= left.of(node.quota);
        left.take(node.quota, node.bytes);
        !fits
    })?;
    let first = end.saturating_sub(WINDOW / 2).min(sequence.len().saturating_sub(WINDOW));
    let (fixed, rest) = sequence.split_at(first);
    let mut taken = vec![false; forest.nodes.len()];
    let mut left = room.clone();
    for &number in fixed {
        let node = &forest.nodes[number as usize];
        taken[number as usize] = true;
        left.take(node.quota, node.bytes);
    }
    let window = Window::new(forest, rest.get(..WINDOW).unwrap_or(rest));
    let best = window.best(&left);
    let inside = window.nodes.iter().enumerate().filter(|(place, _)| best >> place & 1 == 1);
    inside.for_each(|(_, node)| taken[node.number as usize] = true);
    Some(taken)
}

/// Some nodes of a forest, tree after tree in preorder, trees of a quota together.
struct Window {
    nodes: Vec<Inside>,
}

struct Inside {
    number: u32,
    bytes: u64,
    saving: f64,
    quota: u32,
    /// Nodes of its subtree, itself among them.
    size: usize,
}

impl Window {
    /// Of nodes that come behind their parents.
    fn new(forest: &Forest, numbers: &[u32]) -> Window {
        let parent = |&number: &u32| forest.nodes[number as usize].parent;
        let quota = |&number: &u32| forest.nodes[number as usize].quota;
        let mut roots: Vec<u32> = numbers.iter().filter(|number| !numbers.contains(&parent(number))).copied().collect();
        roots.sort_by_key(quota);
        let mut waiting: Vec<u32> = roots.into_iter().rev().collect();
        let mut window = Window { nodes: Vec::with_capacity(numbers.len()) };
        let mut sizes = vec![0; numbers.len()];
        let place = |number: u32| numbers.iter().position(|other| *other == number);
        for (own, number) in numbers.iter().enumerate().rev() {
            sizes[own] += 1;
            if let Some(parent) = place(parent(number)) {
                sizes[parent] += sizes[own];
            }
        }
        while let Some(number) = waiting.pop() {
            let node = &forest.nodes[number as usize];
            let size = place(number).map_or(1, |own| sizes[own]);
            let inside = Inside { number, bytes: node.bytes, saving: node.saving, quota: node.quota, size };
            window.nodes.push(inside);
            waiting.extend(numbers.iter().rev().filter(|child| parent(child) == number));
        }
        window
    }

    /// The set that saves most in the room.
    fn best(&self, room: &Room) -> u64 {
        let mut frontier = vec![State { bytes: 0, saving: 0.0, set: 0 }];
        let mut start = 0;
        while let Some(first) = self.nodes.get(start) {
            let count = self.nodes[start..].iter().take_while(|node| node.quota == first.quota).count();
            let most = room.of(first.quota);
            frontier = if first.quota == NONE {
                self.decide(start, start + count, frontier, most)
            } else {
                let nothing = vec![State { bytes: 0, saving: 0.0, set: 0 }];
                let own = thinned(self.decide(start, start + count, nothing, most), MOST_COMBINED);
                let sums = own.iter().fold(Frontier::new(), |sums, own| merge(sums, &frontier, own, room.bytes));
                thinned(sums, MOST_STATES)
            };
            start += count;
        }
        frontier.last().map_or(0, |best| best.set)
    }

    /// What nodes from one to another add to what was chosen before them.
    fn decide(&self, start: usize, end: usize, before: Frontier, most: u64) -> Frontier {
        let mut frontiers = vec![Frontier::new(); end - start + 1];
        frontiers[0] = before;
        for place in start..end {
            let frontier = thinned(std::mem::take(&mut frontiers[place - start]), MOST_STATES);
            let node = &self.nodes[place];
            let with = State { bytes: node.bytes, saving: node.saving, set: 1 << place };
            let without = State { bytes: 0, saving: 0.0, set: 0 };
            for (behind, step) in [(place + 1, with), (place + node.size, without)] {
                let target = std::mem::take(&mut frontiers[behind - start]);
                frontiers[behind - start] = merge(target, &frontier, &step, most);
            }
        }
        frontiers.pop().unwrap_or_default()
    }
}

/// The frontier of one, and of another with a step added to each of its choices, of at most so many bytes.
fn merge(one: Frontier, other: &[State], step: &State, most: u64) -> Frontier {
    let stepped = other.iter().filter_map(|state| {
        let bytes = state.bytes.checked_add(step.bytes).filter(|bytes| *bytes <= most)?;
        Some(State { bytes, saving: state.saving + step.saving, set: state.set | step.set })
    });
    let (mut one, mut stepped) = (one.into_iter().peekable(), stepped.peekable());
    let mut merged = Frontier::new();
    loop {
        let next = match (one.peek(), stepped.peek()) {
            (Some(a), Some(b)) if (b.bytes, -b.saving) < (a.bytes, -a.saving) => stepped.next(),
            (Some(_), _) => one.next(),
            (None, _) => stepped.next(),
        };
        let Some(next) = next else { return merged };
        if merged.last().is_none_or(|last| next.saving > last.saving) {
            merged.push(next);
        }
    }
}

/// At most so many choices: of those that take nearly the same bytes, the one that saves most.
fn thinned(frontier: Frontier, most: usize) -> Frontier {
    let (Some(first), Some(last)) = (frontier.first(), frontier.last()) else { return frontier };
    if frontier.len() <= most {
        return frontier;
    }
    let (least, width) = (first.bytes, (last.bytes - first.bytes) / (most as u64 - 1) + 1);
    let mut kept: Frontier = vec![*first];
    for state in frontier.iter().skip(1) {
        match kept.last_mut() {
            Some(last) if (last.bytes - least) / width == (state.bytes - least) / width && last.bytes > least => {
                *last = *state;
            }
            _ => kept.push(*state),
        }
    }
    kept
}
