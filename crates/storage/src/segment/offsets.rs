//! Where the text of each row starts, in four bytes a row.

/// Rows that share a base: their text, two ids each, stays below 2^32 bytes.
const GROUP: usize = 64;

/// Ascending offsets.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    bases: Vec<u64>,
    within: Vec<u32>,
}

impl Offsets {
    pub(crate) fn with_capacity(count: usize) -> Offsets {
        Offsets { bases: Vec::with_capacity(count / GROUP + 1), within: Vec::with_capacity(count) }
    }

    pub(crate) fn push(&mut self, offset: u64) {
        if self.within.len().is_multiple_of(GROUP) {
            self.bases.push(offset);
        }
        let base = self.bases.last().copied().unwrap_or(0);
        self.within.push((offset - base) as u32);
    }

    /// 0 for a row that there is not.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> u64 {
        match (self.bases.get(row / GROUP), self.within.get(row)) {
            (Some(base), Some(within)) => base + u64::from(*within),
            _ => 0,
        }
    }
}

const _: () = assert!(GROUP * 2 * crate::format::segment::MAX_TEXT <= u32::MAX as usize);
