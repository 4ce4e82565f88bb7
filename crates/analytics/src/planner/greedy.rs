//! Taking segments as long as they fit, and filling up with what still does.

use super::{
    Limits,
    forest::{Forest, NONE},
    sidney::{self, Sequence},
};

/// Times that what still fits is ordered anew. Each leaves less room than the one before.
const ROUNDS: usize = 16;

/// What may be taken.
#[derive(Debug, Clone)]
pub(super) struct Room {
    pub(super) bytes: u64,
    pub(super) quotas: Vec<u64>,
}

impl Room {
    pub(super) fn new(limits: &Limits) -> Room {
        Room { bytes: limits.bytes, quotas: limits.quotas.clone() }
    }

    /// Bytes that may be taken of a quota.
    pub(super) fn of(&self, quota: u32) -> u64 {
        self.quotas.get(quota as usize).map_or(self.bytes, |left| self.bytes.min(*left))
    }

    pub(super) fn take(&mut self, quota: u32, bytes: u64) {
        self.bytes -= bytes.min(self.bytes);
        if let Some(left) = self.quotas.get_mut(quota as usize) {
            *left -= bytes.min(*left);
        }
    }
}

/// A set of nodes that is closed under ancestors.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) nodes: Vec<bool>,
    /// Milliseconds that it is expected to save.
    pub(super) saving: f64,
}

/// Fills what a closed set leaves of the room. Returns what is taken then, and the order in which all that fitted beside the
/// set was looked at first.
pub(super) fn fill(forest: &Forest, chosen: Vec<bool>, room: &Room) -> (Taken, Sequence) {
    let mut filling = Filling { forest, taken: chosen, room: room.clone(), closure: vec![0; forest.nodes.len()] };
    filling.taken.resize(forest.nodes.len(), false);
    for (node, _) in forest.nodes.iter().zip(&filling.taken).filter(|(_, taken)| **taken) {
        filling.room.take(node.quota, node.bytes);
    }
    let mut first = None;
    for _ in 0..ROUNDS {
        let sequence = filling.open();
        if sequence.nodes.is_empty() {
            break;
        }
        filling.round(&sequence);
        first.get_or_insert(sequence);
    }
    let saving = forest.nodes.iter().zip(&filling.taken).map(|(node, taken)| if *taken { node.saving } else { 0.0 });
    (Taken { saving: saving.sum(), nodes: filling.taken }, first.unwrap_or_default())
}

struct Filling<'a> {
    forest: &'a Forest,
    taken: Vec<bool>,
    room: Room,
    /// Bytes of each node with those of its ancestors that are not taken; `u64::MAX` where that does not fit. As of the last
    /// [`open`](Self::open).
    closure: Vec<u64>,
}

impl Filling<'_> {
    /// What is not taken, would fit with its ancestors, and saves something or carries what does: in the order of loading.
    fn open(&mut self) -> Sequence {
        for (number, node) in self.forest.nodes.iter().enumerate() {
            let above = self.closure.get(node.parent as usize).copied().unwrap_or(0);
            let here = if self.taken[number] { 0 } else { above.saturating_add(node.bytes) };
            self.closure[number] = if here <= self.room.of(node.quota) { here } else { u64::MAX };
        }
        let mut is_open = vec![false; self.forest.nodes.len()];
        for (number, node) in self.forest.nodes.iter().enumerate().rev() {
            let fits = !self.taken[number] && self.closure[number] != u64::MAX;
            is_open[number] = fits && (is_open[number] || node.saving > 0.0);
            if is_open[number] && node.parent != NONE {
                is_open[node.parent as usize] = true;
            }
        }
        sidney::sequence(self.forest, |node| is_open[node as usize])
    }

    /// Takes the segments that fit; the best block with its ancestors where none does.
    fn round(&mut self, sequence: &Sequence) {
        let mut any = false;
        for segment in sequence.segments() {
            let Some(head) = segment.first().map(|&head| self.forest.nodes[head as usize]) else { continue };
            let carried = head.parent == NONE || self.taken[head.parent as usize];
            let bytes = segment.iter().map(|&node| self.forest.nodes[node as usize].bytes);
            let bytes = bytes.fold(0, u64::saturating_add);
            if carried && bytes <= self.room.of(head.quota) {
                any = true;
                self.room.take(head.quota, bytes);
                segment.iter().for_each(|&node| self.taken[node as usize] = true);
            }
        }
        if !any {
            self.take_chain(&sequence.nodes);
        }
    }

    /// Takes the block whose chain, as far as it is not taken, is the densest.
    fn take_chain(&mut self, nodes: &[u32]) {
        let mut chain = vec![0.0; self.forest.nodes.len()];
        let mut best = (f64::NEG_INFINITY, NONE);
        for &number in nodes {
            let node = self.forest.nodes[number as usize];
            let saving = node.saving + chain.get(node.parent as usize).copied().unwrap_or(0.0);
            chain[number as usize] = saving;
            let density = sidney::density(saving, self.closure[number as usize]);
            if density > best.0 {
                best = (density, number);
            }
        }
        let mut number = best.1;
        while number != NONE && !self.taken[number as usize] {
            let node = self.forest.nodes[number as usize];
            self.taken[number as usize] = true;
            self.room.take(node.quota, node.bytes);
            number = node.parent;
        }
    }
}
