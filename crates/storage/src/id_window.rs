//! A queue of distinct 128-bit ids with membership in constant time: 24 to 32 bytes an id.

use std::collections::VecDeque;
use xxhash_rust::xxh3::xxh3_64;

const FREE: u32 = u32::MAX;

#[derive(Debug, Clone, Default)]
pub(crate) struct IdWindow {
    /// Oldest first.
    ids: VecDeque<[u8; 16]>,
    /// Number of the oldest id; numbers count up.
    first: u32,
    /// Open addressing with linear probing: numbers of ids.
    slots: Vec<u32>,
}

impl IdWindow {
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Oldest first.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &[u8; 16]> {
        self.ids.iter()
    }

    pub(crate) fn contains(&self, id: &[u8; 16]) -> bool {
        self.find(id).is_some()
    }

    /// Appends an id that is not in the window; one that is stays where it was.
    pub(crate) fn push(&mut self, id: [u8; 16]) {
        if self.contains(&id) {
            return;
        }
        let full = (self.ids.len() + 1) * 4 > self.slots.len() * 3;
        if full || self.number(self.ids.len()) >= FREE - 1 {
            let slots = ((self.ids.len() + 1) * 4 / 3 + 1).next_power_of_two().max(64);
            self.rebuild(slots.max(self.slots.len()));
        }
        let number = self.number(self.ids.len());
        self.ids.push_back(id);
        self.occupy(&id, number);
    }

    /// Removes the oldest until `len` are left.
    pub(crate) fn trim(&mut self, len: usize) {
        while self.ids.len() > len {
            if let Some(id) = self.ids.front().copied() {
                self.vacate(&id);
                self.ids.pop_front();
                self.first += 1;
            }
        }
    }

    pub(crate) fn pop_newest(&mut self) {
        if let Some(id) = self.ids.back().copied() {
            self.vacate(&id);
            self.ids.pop_back();
        }
    }

    fn number(&self, index: usize) -> u32 {
        (u64::from(self.first) + index as u64).min(u64::from(FREE)) as u32
    }

    fn rebuild(&mut self, slots: usize) {
        self.first = 0;
        self.slots.clear();
        self.slots.resize(slots, FREE);
        for index in 0..self.ids.len() {
            let id = self.ids[index];
            self.occupy(&id, index as u32);
        }
    }

    fn occupy(&mut self, id: &[u8; 16], number: u32) {
        let mask = self.slots.len() - 1;
        let mut place = xxh3_64(id) as usize & mask;
        while self.slots[place] != FREE {
            place = (place + 1) & mask;
        }
        self.slots[place] = number;
    }

    fn find(&self, id: &[u8; 16]) -> Option<usize> {
        if self.ids.is_empty() {
            return None;
        }
        let mask = self.slots.len() - 1;
        let mut place = xxh3_64(id) as usize & mask;
        while self.slots[place] != FREE {
            if self.ids[(self.slots[place] - self.first) as usize] == *id {
                return Some(place);
            }
            place = (place + 1) & mask;
        }
        None
    }

    /// Frees the slot of an id and moves up those that had to make way for it.
    fn vacate(&mut self, id: &[u8; 16]) {
        let Some(mut hole) = self.find(id) else { return };
        let mask = self.slots.len() - 1;
        let mut place = hole;
        loop {
            place = (place + 1) & mask;
            let number = self.slots[place];
            if number == FREE {
                break;
            }
            let home = xxh3_64(&self.ids[(number - self.first) as usize]) as usize & mask;
            // It may move into the hole unless its home lies between the hole and where it is.
            if (place.wrapping_sub(home) & mask) >= (place.wrapping_sub(hole) & mask) {
                self.slots[hole] = number;
                hole = place;
            }
        }
        self.slots[hole] = FREE;
    }
}

impl FromIterator<[u8; 16]> for IdWindow {
    fn from_iter<I: IntoIterator<Item = [u8; 16]>>(ids: I) -> IdWindow {
        let mut window = IdWindow::default();
        ids.into_iter().for_each(|id| window.push(id));
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_a_list(steps in prop::collection::vec((0..3_u8, 0..300_u128), 1..600)) {
            let mut window = IdWindow::default();
            let mut list: Vec<[u8; 16]> = Vec::new();
            for (step, number) in steps {
                let id = number.to_le_bytes();
                match step {
                    0 | 1 => {
                        window.push(id);
                        if !list.contains(&id) {
                            list.push(id);
                        }
                    }
                    _ if number % 2 == 0 => {
                        let len = list.len().saturating_sub(3);
                        window.trim(len);
                        list.drain(..list.len() - len);
                    }
                    _ => {
                        window.pop_newest();
                        list.pop();
                    }
                }
                prop_assert!(window.iter().eq(&list));
            }
            for number in 0..300_u128 {
                let id = number.to_le_bytes();
                prop_assert_eq!(window.contains(&id), list.contains(&id));
            }
        }
    }

    #[test]
    fn numbers_start_again_before_they_run_out() {
        let mut window: IdWindow = (0..10_u128).map(u128::to_le_bytes).collect();
        // As after four billion ids.
        let shift = FREE - 13;
        window.first += shift;
        window.slots.iter_mut().filter(|slot| **slot != FREE).for_each(|slot| *slot += shift);
        for number in 10..50_u128 {
            window.push(number.to_le_bytes());
            window.trim(10);
            assert!(window.contains(&(number - 9).to_le_bytes()));
            assert!(!window.contains(&(number - 10).to_le_bytes()));
        }
    }
}
