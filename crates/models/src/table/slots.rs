//! A hash index: open addressing with linear probing, half of the hash in the slot.

const LEAST: usize = 1024;

/// From hashes to numbers of entries, which are kept elsewhere.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    /// Upper half of the hash, then entry number plus one; 0 is free. A slot's home is given by the upper half alone, so
    /// the index grows without looking at the entries.
    slots: Vec<u64>,
    used: usize,
}

impl Slots {
    pub(super) fn new() -> Slots {
        Slots { slots: vec![0; LEAST], used: 0 }
    }

    #[inline]
    fn home(&self, hash: u64) -> usize {
        (hash >> 32) as usize & (self.slots.len() - 1)
    }

    /// The number that is most likely the one of a hash; anything if there is none.
    #[inline]
    pub(super) fn guess(&self, hash: u64) -> usize {
        let mut place = self.home(hash);
        loop {
            let slot = self.slots[place];
            if slot >> 32 == hash >> 32 || slot == 0 {
                return (slot as u32).wrapping_sub(1) as usize;
            }
            place = (place + 1) & (self.slots.len() - 1);
        }
    }

    /// The number with this hash for which `is` holds, or the free place where it belongs.
    #[inline]
    pub(super) fn find(&self, hash: u64, is: impl Fn(usize) -> bool) -> Result<usize, usize> {
        let mut place = self.home(hash);
        loop {
            let slot = self.slots[place];
            if slot >> 32 == hash >> 32 && slot != 0 {
                let number = (slot as u32).wrapping_sub(1) as usize;
                if is(number) {
                    return Ok(number);
                }
            } else if slot == 0 {
                return Err(place);
            }
            place = (place + 1) & (self.slots.len() - 1);
        }
    }

    /// Takes the free place that [`find`](Self::find) gave.
    pub(super) fn fill(&mut self, place: usize, hash: u64, number: usize) {
        self.slots[place] = (hash >> 32) << 32 | (number as u64 + 1);
        self.used += 1;
    }

    /// Keeps the slots at most three quarters full with `more` entries.
    pub(super) fn reserve(&mut self, more: usize) {
        let needed = self.used + more;
        if needed * 4 > self.slots.len() * 3 {
            self.grow((needed * 4 / 3 + 1).next_power_of_two());
        }
    }

    #[cold]
    fn grow(&mut self, size: usize) {
        let old = std::mem::replace(&mut self.slots, vec![0; size]);
        for slot in old.into_iter().filter(|&slot| slot != 0) {
            let mut place = self.home(slot);
            while self.slots[place] != 0 {
                place = (place + 1) & (size - 1);
            }
            self.slots[place] = slot;
        }
    }

    /// Bytes of memory in use.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(self.slots.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_hashes_are_told_apart() {
        let mut slots = Slots::new();
        // All the same hash, all the same home, and all different.
        for hash_of in [|_| 7u64 << 32, |number: u64| (number << 52) | 9 << 32, |number: u64| number << 32] {
            for number in 0..3000 {
                slots.reserve(1);
                let hash = hash_of(number);
                let found = slots.find(hash, |other| other as u64 == number);
                if let Err(place) = found {
                    slots.fill(place, hash, number as usize);
                }
                assert_eq!(slots.find(hash, |other| other as u64 == number), Ok(number as usize));
            }
            for number in 0..3000 {
                assert_eq!(slots.find(hash_of(number), |other| other as u64 == number), Ok(number as usize));
            }
            assert!(slots.find(hash_of(5000), |_| false).is_err());
        }
    }
}
