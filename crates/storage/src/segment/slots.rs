//! Hash tables that are written in order and never change.
//!
//! A slot is a 32-bit tag (the upper half of a hash) over a 32-bit number plus one; 0 is free. A tag's home is its share of the
//! table, so homes ascend with tags, and slots written in ascending order, each at its home or the next free place, make an
//! open-addressing table that is sorted: a search that meets a larger tag is over. Building is sorting integers; two
//! tables merge like any sorted lists.

use crate::format::segment::buckets;

/// The value of a slot.
#[inline]
pub(crate) fn slot(hash: u64, number: u32) -> u64 {
    hash >> 32 << 32 | (u64::from(number) + 1)
}

#[inline]
pub(crate) fn tag(slot: u64) -> u32 {
    (slot >> 32) as u32
}

/// `None` for a free slot.
#[inline]
pub(crate) fn number(slot: u64) -> Option<u32> {
    (slot as u32).checked_sub(1)
}

/// Where the search for a tag begins in a table of `count` entries.
#[inline]
pub(crate) fn home(tag: u32, count: u64) -> u64 {
    (u64::from(tag) * buckets(count)) >> 32
}

/// Writes slots, given in ascending order, as a table.
pub(crate) struct SlotWriter {
    count: u64,
    position: u64,
}

impl SlotWriter {
    /// For a table of `count` entries.
    pub(crate) fn new(count: u64) -> SlotWriter {
        SlotWriter { count, position: 0 }
    }

    /// Appends a slot, after free ones up to its home.
    pub(crate) fn push(&mut self, slot: u64, out: &mut Vec<u8>) {
        let home = home(tag(slot), self.count);
        while self.position < home {
            self.write(0, out);
        }
        self.write(slot, out);
    }

    /// Appends the free slots at the end; returns how many slots the table has.
    pub(crate) fn finish(mut self, out: &mut Vec<u8>) -> u64 {
        while self.position < buckets(self.count) {
            self.write(0, out);
        }
        self.position
    }

    fn write(&mut self, slot: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&slot.to_le_bytes());
        self.position += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_found_before_a_larger_tag_or_a_free_slot() {
        for count in [0u64, 1, 2, 100, 5000] {
            for spread in [1u64 << 63, 0x9e37_79b9_7f4a_7c15, 0x1_0000_0001, 0] {
                let mut slots: Vec<u64> = (0..count).map(|n| slot(n.wrapping_mul(spread), n as u32)).collect();
                slots.sort_unstable();
                let (mut writer, mut out) = (SlotWriter::new(count), Vec::new());
                slots.iter().for_each(|&slot| writer.push(slot, &mut out));
                let length = writer.finish(&mut out);
                let table: Vec<u64> = out.chunks(8).map(|c| u64::from_le_bytes(c.try_into().unwrap())).collect();
                assert_eq!(table.len() as u64, length);
                assert!(length >= buckets(count) && length <= buckets(count) + count);
                for wanted in slots {
                    let mut position = home(tag(wanted), count) as usize;
                    while table[position] != wanted {
                        assert!(table[position] != 0 && tag(table[position]) <= tag(wanted));
                        position += 1;
                    }
                }
            }
        }
    }
}
