//! Blocks as trees: numbered so that parents come before their children, without what cannot be of use.

use super::{Block, Parent};

/// No node.
pub(super) const NONE: u32 = u32::MAX;

/// What choosing looks at of a block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Node {
    /// A smaller number, or [`NONE`].
    pub(super) parent: u32,
    /// That of its root: a tree counts against one quota.
    pub(super) quota: u32,
    pub(super) bytes: u64,
    pub(super) saving: f64,
    /// Which of the blocks it is.
    block: u32,
    resident: bool,
}

/// Trees of blocks. Resident blocks whose ancestors are resident are not in it: their children are roots.
#[derive(Debug)]
pub(super) struct Forest {
    pub(super) nodes: Vec<Node>,
    /// Resident blocks that were taken out.
    closed: usize,
}

impl Forest {
    pub(super) fn new(blocks: &[Block]) -> Forest {
        let children = Children::new(blocks);
        let mut forest = Forest { nodes: Vec::with_capacity(blocks.len()), closed: 0 };
        // (block, its parent's node), in the order of visits.
        let mut visits: Vec<(u32, u32)> = Vec::with_capacity(blocks.len());
        let roots = (0..).zip(blocks).filter(|(_, block)| block.parent == Parent::None);
        visits.extend(roots.map(|(number, _)| (number, NONE)));
        let mut next = 0;
        while let Some(&(number, parent)) = visits.get(next) {
            next += 1;
            let Some(block) = blocks.get(number as usize) else { continue };
            let node = if block.resident && parent == NONE {
                forest.closed += 1;
                NONE
            } else {
                let inherited = forest.nodes.get(parent as usize).map(|parent| parent.quota);
                forest.nodes.push(Node {
                    parent,
                    quota: inherited.unwrap_or(block.quota.unwrap_or(NONE)),
                    bytes: if block.resident { 0 } else { block.bytes },
                    saving: if block.saving_ms > 0.0 { block.saving_ms } else { 0.0 },
                    block: number,
                    resident: block.resident,
                });
                forest.nodes.len() as u32 - 1
            };
            visits.extend(children.of(number).iter().map(|&child| (child, node)));
        }
        forest
    }

    /// Blocks that were reached from a root.
    pub(super) fn len(&self) -> usize {
        self.nodes.len() + self.closed
    }

    pub(super) fn is_resident(&self, node: u32) -> bool {
        self.nodes.get(node as usize).is_some_and(|node| node.resident)
    }

    /// The block that a node is.
    pub(super) fn block(&self, node: u32) -> u32 {
        self.nodes.get(node as usize).map_or(NONE, |node| node.block)
    }

    /// Takes out blocks that are computed faster than loaded at so many bytes a second, and returns how many.
    ///
    /// A block without its ancestors is of no use whether it is loaded or computed, so a block and what stands on it are
    /// judged together: it stays when loading all that stays of its tree takes no longer than computing it. A block of
    /// which nobody knows how long computing takes stays, and what it stands on with it.
    pub(super) fn leave_recomputed(&mut self, blocks: &[Block], bytes_per_second: f64) -> usize {
        let mut margins = vec![0.0; self.nodes.len()];
        for (number, node) in self.nodes.iter().enumerate().rev() {
            let load_ms = node.bytes as f64 / bytes_per_second * 1e3;
            let recompute_ms = blocks.get(node.block as usize).and_then(|block| block.recompute_ms);
            margins[number] += recompute_ms.map_or(f64::INFINITY, |recompute_ms| recompute_ms - load_ms);
            if let Some(parent) = margins.get(node.parent as usize) {
                margins[node.parent as usize] = parent + f64::max(margins[number], 0.0);
            }
        }
        let mut new = vec![NONE; self.nodes.len()];
        let mut kept = Vec::with_capacity(self.nodes.len());
        for (number, node) in self.nodes.iter().enumerate() {
            let parent = new.get(node.parent as usize).copied().unwrap_or(NONE);
            if margins[number] >= 0.0 && (node.parent == NONE || parent != NONE) {
                new[number] = kept.len() as u32;
                kept.push(Node { parent, ..*node });
            }
        }
        let gone = self.nodes.iter().filter(|node| !node.resident).count();
        self.nodes = kept;
        gone - self.nodes.iter().filter(|node| !node.resident).count()
    }
}

/// Children by block, in the order of the blocks.
struct Children {
    starts: Vec<u32>,
    children: Vec<u32>,
}

impl Children {
    fn new(blocks: &[Block]) -> Children {
        let parent = |block: &Block| match block.parent {
            Parent::Block(parent) if (parent as usize) < blocks.len() => Some(parent as usize),
            _ => None,
        };
        let mut starts = vec![0_u32; blocks.len() + 1];
        for parent in blocks.iter().filter_map(parent) {
            starts[parent + 1] += 1;
        }
        for number in 0..blocks.len() {
            starts[number + 1] += starts[number];
        }
        let mut free = starts.clone();
        let mut children = vec![0; starts.last().map_or(0, |&count| count as usize)];
        for (number, block) in (0..).zip(blocks) {
            if let Some(parent) = parent(block) {
                children[free[parent] as usize] = number;
                free[parent] += 1;
            }
        }
        Children { starts, children }
    }

    fn of(&self, block: u32) -> &[u32] {
        let range = self.starts[block as usize] as usize..self.starts[block as usize + 1] as usize;
        self.children.get(range).unwrap_or(&[])
    }
}
