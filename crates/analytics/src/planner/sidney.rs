//! Sidney's decomposition of a forest: the order in which closed sets grow densest.
//!
//! From the leaves up, each node absorbs the densest of the segments that stand on it as long as that is denser than its own
//! segment (Horn's algorithm). What is left standing on a segment waits in a pairing heap, which two nodes join in O(1).

use super::forest::{Forest, NONE};
use std::{cmp::Ordering, collections::BinaryHeap};

/// Saving a byte; what takes no bytes is denser than all that does, unless it saves nothing.
#[inline]
pub(super) fn density(saving: f64, bytes: u64) -> f64 {
    match bytes {
        0 if saving > 0.0 => f64::INFINITY,
        0 => 0.0,
        bytes => saving / bytes as f64,
    }
}

/// A segment by the node that it begins with.
#[derive(Debug, Clone, Copy)]
struct Segment {
    saving: f64,
    bytes: u64,
    density: f64,
    /// Its last node.
    last: u32,
    /// The densest segment that stands on it.
    pending: u32,
    /// In the heap that it waits in.
    child: u32,
    sibling: u32,
}

struct Decomposition {
    segments: Vec<Segment>,
    /// The node behind each in its segment.
    next: Vec<u32>,
    /// Heaps that are being joined.
    row: Vec<u32>,
}

/// Nodes by segment, densest segment first and parents before their children.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    pub(super) nodes: Vec<u32>,
    /// Where in `nodes` each segment begins.
    starts: Vec<u32>,
}

impl Sequence {
    pub(super) fn segments(&self) -> impl Iterator<Item = &[u32]> {
        let ends = self.starts.iter().skip(1).map(|&start| start as usize).chain([self.nodes.len()]);
        self.starts.iter().zip(ends).filter_map(|(&start, end)| self.nodes.get(start as usize..end))
    }
}

/// The nodes that `member` says are in. Those whose parents are not are roots. Ties go to the smaller block.
pub(super) fn sequence(forest: &Forest, member: impl Fn(u32) -> bool) -> Sequence {
    let count = forest.nodes.len();
    let segment = |(number, node): (u32, &super::forest::Node)| Segment {
        saving: node.saving,
        bytes: node.bytes,
        density: density(node.saving, node.bytes),
        last: number,
        pending: NONE,
        child: NONE,
        sibling: NONE,
    };
    let segments = (0..).zip(&forest.nodes).map(segment).collect();
    let mut parts = Decomposition { segments, next: vec![NONE; count], row: Vec::new() };
    let mut queue = BinaryHeap::new();
    for number in (0..count as u32).rev().filter(|&number| member(number)) {
        parts.absorb(number, forest);
        let parent = forest.nodes[number as usize].parent;
        if parent == NONE || !member(parent) {
            queue.push(parts.head(number, forest));
        } else {
            let pending = parts.segments[parent as usize].pending;
            parts.segments[parent as usize].pending = parts.join(pending, number, forest);
        }
    }
    let mut order = Sequence::default();
    let mut waiting = Vec::new();
    while let Some(Head { number, .. }) = queue.pop() {
        order.starts.push(order.nodes.len() as u32);
        let mut node = number;
        while node != NONE {
            order.nodes.push(node);
            node = parts.next[node as usize];
        }
        waiting.push(parts.segments[number as usize].pending);
        while let Some(number) = waiting.pop() {
            if number != NONE {
                queue.push(parts.head(number, forest));
                let Segment { child, sibling, .. } = parts.segments[number as usize];
                waiting.extend([child, sibling]);
            }
        }
    }
    order
}

impl Decomposition {
    fn head(&self, number: u32, forest: &Forest) -> Head {
        Head { density: self.segments[number as usize].density, block: forest.block(number), number }
    }

    /// Makes denser segments that stand on this node part of its own.
    fn absorb(&mut self, number: u32, forest: &Forest) {
        loop {
            let own = self.segments[number as usize];
            if own.pending == NONE || self.segments[own.pending as usize].density <= own.density {
                return;
            }
            let top = own.pending;
            let rest = self.without_first(top, forest);
            let absorbed = self.segments[top as usize];
            let pending = self.join(rest, absorbed.pending, forest);
            self.next[own.last as usize] = top;
            let (saving, bytes) = (own.saving + absorbed.saving, own.bytes.saturating_add(absorbed.bytes));
            let merged =
                Segment { saving, bytes, density: density(saving, bytes), last: absorbed.last, pending, ..own };
            self.segments[number as usize] = merged;
        }
    }

    /// One heap of two.
    fn join(&mut self, a: u32, b: u32, forest: &Forest) -> u32 {
        if a == NONE || b == NONE {
            return if a == NONE { b } else { a };
        }
        let (top, below) = if self.head(a, forest) > self.head(b, forest) { (a, b) } else { (b, a) };
        self.segments[below as usize].sibling = self.segments[top as usize].child;
        self.segments[top as usize].child = below;
        top
    }

    /// The heap below a segment.
    fn without_first(&mut self, top: u32, forest: &Forest) -> u32 {
        let mut heap = std::mem::replace(&mut self.segments[top as usize].child, NONE);
        let mut row = std::mem::take(&mut self.row);
        while heap != NONE {
            let second = std::mem::replace(&mut self.segments[heap as usize].sibling, NONE);
            let mut rest = NONE;
            if second != NONE {
                rest = std::mem::replace(&mut self.segments[second as usize].sibling, NONE);
            }
            row.push(self.join(heap, second, forest));
            heap = rest;
        }
        let mut joined = NONE;
        while let Some(pair) = row.pop() {
            joined = self.join(joined, pair, forest);
        }
        self.row = row;
        joined
    }
}

/// A segment in the order of loading: the greatest comes first.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Head {
    density: f64,
    block: u32,
    number: u32,
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Head) -> Ordering {
        self.density.total_cmp(&other.density).then_with(|| other.block.cmp(&self.block))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::{Block, Parent};

    /// Blocks as (parent, bytes, saving).
    fn check(blocks: &[(Option<u32>, u64, f64)], expect: &[u32]) {
        let block = |&(parent, bytes, saving_ms): &(Option<u32>, u64, f64)| Block {
            parent: parent.map_or(Parent::None, Parent::Block),
            bytes,
            saving_ms,
            recompute_ms: None,
            resident: false,
            quota: None,
        };
        let blocks: Vec<Block> = blocks.iter().map(block).collect();
        let forest = Forest::new(&blocks);
        let order: Vec<u32> = sequence(&forest, |_| true).nodes.into_iter().map(|node| forest.block(node)).collect();
        assert_eq!(order, expect);
    }

    #[test]
    fn densest_first_but_parents_before_children() {
        check(&[], &[]);
        check(&[(None, 1, 1.0), (None, 1, 3.0), (None, 1, 2.0)], &[1, 2, 0]);
        // A poor root under a rich child goes with it: 6 in 2 bytes before 2 in 1.
        check(&[(None, 1, 0.0), (Some(0), 1, 6.0), (None, 1, 2.0)], &[0, 1, 2]);
        check(&[(None, 1, 0.0), (Some(0), 1, 3.0), (None, 1, 2.0)], &[2, 0, 1]);
        // A child that is poorer than its root waits.
        check(&[(None, 1, 5.0), (Some(0), 1, 1.0), (None, 1, 2.0)], &[0, 2, 1]);
        // Children before their parents in the list; ties to the smaller number.
        check(&[(Some(2), 1, 1.0), (Some(0), 1, 1.0), (None, 1, 1.0), (None, 1, 1.0)], &[2, 0, 1, 3]);
        check(&[(None, 0, 0.0), (None, 0, 1.0), (None, 1, 9.0)], &[1, 2, 0]);
    }

    /// Of every length, the densest closed set that the sequence passes through is as dense as any closed set: tried on all.
    #[test]
    fn the_first_segment_is_the_densest_closed_set() {
        let mut seed = 7_u64;
        let mut next = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        for _ in 0..200 {
            let count = 1 + next(10) as usize;
            let blocks: Vec<Block> = (0..count)
                .map(|number| Block {
                    parent: if number == 0 || next(4) == 0 {
                        Parent::None
                    } else {
                        Parent::Block(next(number as u64) as u32)
                    },
                    bytes: 1 + next(9),
                    saving_ms: next(50) as f64,
                    recompute_ms: None,
                    resident: false,
                    quota: None,
                })
                .collect();
            let forest = Forest::new(&blocks);
            let of = |set: u32| {
                let inside = forest.nodes.iter().enumerate().filter(|(number, _)| set >> number & 1 == 1);
                inside.fold((0.0, 0), |(saving, bytes), (_, node)| (saving + node.saving, bytes + node.bytes))
            };
            let closed = |set: u32| {
                let inside = (0..count).filter(|number| set >> number & 1 == 1);
                inside.map(|number| forest.nodes[number].parent).all(|parent| parent == NONE || set >> parent & 1 == 1)
            };
            let density = |(saving, bytes): (f64, u64)| saving / bytes as f64;
            let best = (1..1 << count).filter(|&set| closed(set)).map(|set| density(of(set))).fold(0.0, f64::max);
            let mut set = 0;
            let grown = sequence(&forest, |_| true).nodes.into_iter().map(|node| {
                set |= 1 << node;
                assert!(closed(set));
                density(of(set))
            });
            let found = grown.fold(0.0, f64::max);
            assert!((found - best).abs() <= 1e-12 * best, "{found} {best}");
        }
    }
}
