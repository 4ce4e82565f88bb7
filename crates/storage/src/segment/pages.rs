//! Checksums: a page is verified when it is first touched, and so are the checksums themselves.
//!
//! The checksums of the data's pages are a level of pages with checksums of their own, and so on up to the few that the
//! directory holds. Opening a segment therefore reads none of them; touching a byte for the first time reads one page of each
//! level.

use crate::format::segment::{CHECKSUM, Checksum, Layout, PAGE};
use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

/// Whether two checksums are the same. A fuzzer takes any for right, to get past them.
pub(super) fn matches(found: Checksum, expected: Checksum) -> bool {
    cfg!(fuzzing) || found == expected
}

/// The digest of a page.
pub(super) fn checksum(page: &[u8]) -> Checksum {
    let mut checksum = [0; CHECKSUM];
    checksum.copy_from_slice(&blake3::hash(page).as_bytes()[..CHECKSUM]);
    checksum
}

/// Which numbers below a bound have been marked. Marks only ever get set, and what they stand for is true whoever looks
/// again, so no ordering is needed.
#[derive(Debug)]
pub(super) struct Marks(Vec<AtomicU64>);

impl Marks {
    pub(super) fn none(count: usize) -> Marks {
        Marks((0..count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect())
    }

    fn all(count: usize) -> Marks {
        Marks((0..count.div_ceil(64)).map(|_| AtomicU64::new(u64::MAX)).collect())
    }

    #[inline(always)]
    pub(super) fn has(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word.load(Ordering::Relaxed) >> (number % 64) & 1 == 1)
    }

    pub(super) fn set(&self, number: usize) {
        if let Some(word) = self.0.get(number / 64) {
            word.fetch_or(1 << (number % 64), Ordering::Relaxed);
        }
    }
}

/// What has been verified so far.
#[derive(Debug)]
pub(super) struct Pages {
    data: Level,
    levels: Vec<Level>,
    roots: Vec<Checksum>,
}

#[derive(Debug)]
struct Level {
    bytes: Range<usize>,
    verified: Marks,
}

impl Level {
    fn page(&self, number: usize) -> Range<usize> {
        let start = self.bytes.start + number * PAGE;
        start..(start + PAGE).min(self.bytes.end)
    }
}

impl Pages {
    /// Nothing is verified yet.
    pub(super) fn unverified(layout: &Layout, roots: Vec<Checksum>) -> Pages {
        let level =
            |bytes: Range<usize>| Level { verified: Marks::none(bytes.len().div_ceil(PAGE)), bytes: bytes.clone() };
        Pages { data: level(0..layout.end), levels: layout.levels.iter().cloned().map(level).collect(), roots }
    }

    /// Bytes that this process made and nobody else can reach.
    pub(super) fn trusted(layout: &Layout) -> Pages {
        let bytes = 0..layout.end;
        Pages {
            data: Level { verified: Marks::all(bytes.len().div_ceil(PAGE)), bytes },
            levels: Vec::new(),
            roots: Vec::new(),
        }
    }

    /// Whether the bytes from `start` on, at least one, are known to be what was written.
    #[inline(always)]
    pub(super) fn known(&self, start: usize, length: usize) -> bool {
        let (first, last) = (start / PAGE, (start + length.saturating_sub(1)) / PAGE);
        self.data.verified.has(first) && (first == last || (first + 1..=last).all(|page| self.data.verified.has(page)))
    }

    /// Verifies the pages of some data. `Err` is the offset of a page that is not what was written.
    #[cold]
    pub(super) fn verify(&self, bytes: &[u8], start: usize, length: usize) -> Result<(), usize> {
        let (first, last) = (start / PAGE, (start + length.saturating_sub(1)) / PAGE);
        (first..=last).try_for_each(|page| self.verify_page(bytes, 0, page))
    }

    /// Level 0 is the data, 1 its checksums, and so on.
    fn verify_page(&self, bytes: &[u8], level: usize, page: usize) -> Result<(), usize> {
        let own = level.checked_sub(1).map_or(Some(&self.data), |level| self.levels.get(level)).ok_or(0usize)?;
        if own.verified.has(page) {
            return Ok(());
        }
        let range = own.page(page);
        let expected = match self.levels.get(level) {
            None => self.roots.get(page).copied(),
            Some(above) => {
                self.verify_page(bytes, level + 1, page * CHECKSUM / PAGE)?;
                let start = above.bytes.start + page * CHECKSUM;
                bytes.get(start..start + CHECKSUM).and_then(|bytes| bytes.try_into().ok())
            }
        };
        let found = bytes.get(range.clone()).map(checksum);
        match (found, expected) {
            (Some(found), Some(expected)) if matches(found, expected) => own.verified.set(page),
            _ => return Err(range.start),
        }
        Ok(())
    }
}
