//! Doubly linked lists of blocks, in one vector.

/// Several circular lists over the numbers below `members`. A number is in at most one list. List `n` is closed by the
/// node `members + n`, so that no end needs a special case.
#[derive(Debug, Clone)]
pub(super) struct Lists {
    /// Neighbour towards the front, neighbour towards the back; [`OUT`] twice for a number that is in no list.
    nodes: Vec<[u32; 2]>,
    members: u32,
}

const OUT: u32 = u32::MAX;
const FRONTWARD: usize = 0;
const BACKWARD: usize = 1;

impl Lists {
    /// Empty lists.
    pub(super) fn new(members: u32, lists: u32) -> Lists {
        let mut nodes = vec![[OUT; 2]; members as usize];
        nodes.extend((members..members + lists).map(|end| [end; 2]));
        Lists { nodes, members }
    }

    /// Makes sure that list `list` is there.
    pub(super) fn reserve(&mut self, list: u32) {
        for end in self.nodes.len() as u32..=self.members + list {
            self.nodes.push([end; 2]);
        }
    }

    /// Whether a number is in any list.
    #[inline]
    pub(super) fn contains(&self, member: u32) -> bool {
        self.nodes[member as usize][FRONTWARD] != OUT
    }

    /// Puts a number that is in no list at the front of one.
    #[inline]
    pub(super) fn push_front(&mut self, list: u32, member: u32) {
        let end = self.members + list;
        let first = self.nodes[end as usize][BACKWARD];
        self.nodes[member as usize] = [end, first];
        self.nodes[first as usize][FRONTWARD] = member;
        self.nodes[end as usize][BACKWARD] = member;
    }

    /// Takes a number out of the list it is in.
    #[inline]
    pub(super) fn remove(&mut self, member: u32) {
        let [frontward, backward] = std::mem::replace(&mut self.nodes[member as usize], [OUT; 2]);
        self.nodes[frontward as usize][BACKWARD] = backward;
        self.nodes[backward as usize][FRONTWARD] = frontward;
    }

    /// The last of a list.
    #[inline]
    pub(super) fn back(&self, list: u32) -> Option<u32> {
        self.member(self.nodes[(self.members + list) as usize][FRONTWARD])
    }

    /// The neighbour towards the front.
    #[inline]
    pub(super) fn before(&self, member: u32) -> Option<u32> {
        self.member(self.nodes[member as usize][FRONTWARD])
    }

    #[inline]
    fn member(&self, node: u32) -> Option<u32> {
        (node < self.members).then_some(node)
    }

    /// Takes the last of a list out.
    #[inline]
    pub(super) fn pop_back(&mut self, list: u32) -> Option<u32> {
        let last = self.back(list)?;
        self.remove(last);
        Some(last)
    }

    /// Empties a list. O(its length).
    pub(super) fn clear(&mut self, list: u32) {
        while self.pop_back(list).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_move_between_lists() {
        let mut lists = Lists::new(4, 1);
        lists.reserve(1);
        assert_eq!((lists.back(0), lists.contains(2)), (None, false));
        [0, 1, 2].into_iter().for_each(|member| lists.push_front(0, member));
        assert_eq!((lists.back(0), lists.before(0), lists.before(2)), (Some(0), Some(1), None));
        lists.remove(1);
        assert_eq!((lists.before(0), lists.contains(1)), (Some(2), false));
        lists.push_front(1, 1);
        assert_eq!((lists.back(1), lists.before(1)), (Some(1), None));
        assert_eq!([lists.pop_back(0), lists.pop_back(0), lists.pop_back(0)], [Some(0), Some(2), None]);
        lists.clear(1);
        assert_eq!(lists.back(1), None);
    }
}
