//! The fastest path: a line that is laid out as an earlier one, the same keys in the same order with the same spacing.

use super::{Fields, scan::value};
use crate::words::load;

/// Layouts remembered: lines with and without the optional fields, mostly.
const REMEMBERED: usize = 4;

/// Lines in a row that no layout fits before new ones are learned only now and then: the order of fields is random.
const PATIENCE: u32 = 16;
const RETRY: u32 = 64;

/// What is between the values of a line.
#[derive(Debug, Clone, Default)]
pub(super) struct Layout {
    slots: Vec<Slot>,
    behind: Literal,
    /// Fields that such a line has.
    seen: u16,
    /// End of the last value, while the layout is noted.
    at: usize,
    usable: bool,
}

#[derive(Debug, Clone)]
struct Slot {
    before: Literal,
    field: u8,
}

/// Up to 32 bytes that do not change, in words.
#[derive(Debug, Clone, Default)]
struct Literal {
    words: [u64; 4],
    /// Bits of the last word that count.
    mask: u64,
    full_words: usize,
    length: usize,
}

impl Literal {
    fn new(bytes: &[u8]) -> Option<Literal> {
        let mut literal = Literal { length: bytes.len(), full_words: bytes.len() / 8, ..Literal::default() };
        literal.mask = (1u64 << (8 * (bytes.len() % 8))) - 1;
        for (index, word) in bytes.chunks(8).enumerate() {
            *literal.words.get_mut(index)? = load(word, 0);
        }
        Some(literal)
    }

    /// Where it ends, if it is at `at`.
    #[inline]
    fn end(&self, bytes: &[u8], at: usize) -> Option<usize> {
        for (index, word) in self.words.iter().enumerate().take(self.full_words) {
            if load(bytes, at + 8 * index) != *word {
                return None;
            }
        }
        if self.mask != 0 {
            let last = load(bytes, at + 8 * self.full_words) & self.mask;
            if last != self.words[self.full_words & 3] {
                return None;
            }
        }
        Some(at + self.length)
    }
}

impl Layout {
    fn begin(&mut self, start: usize) {
        self.slots.clear();
        self.at = start;
        self.usable = true;
    }

    /// Notes a value and what is before it.
    pub(super) fn slot(&mut self, bytes: &[u8], start: usize, end: usize, field: u8) {
        match bytes.get(self.at..start).and_then(Literal::new) {
            Some(before) => self.slots.push(Slot { before, field }),
            None => self.usable = false,
        }
        self.at = end;
    }

    /// Notes what is behind the last value.
    pub(super) fn finish(&mut self, bytes: &[u8], end: usize, seen: u16) {
        self.seen = seen;
        match bytes.get(self.at..end).and_then(Literal::new) {
            Some(behind) if !self.slots.is_empty() => self.behind = behind,
            _ => self.usable = false,
        }
    }

    /// The fields of the line at `start`, and where it ends.
    #[inline]
    fn read(&self, bytes: &[u8], start: usize) -> Option<(Fields, usize)> {
        let mut fields = Fields { seen: self.seen, ..Fields::default() };
        let mut at = start;
        for slot in &self.slots {
            at = slot.before.end(bytes, at)?;
            at = value(bytes, at, slot.field, &mut fields)?;
        }
        at = self.behind.end(bytes, at)?;
        matches!(bytes.get(at), Some(b'\n') | None).then_some((fields, at))
    }
}

/// The layouts that lines had lately.
#[derive(Debug, Default)]
pub(super) struct Layouts {
    layouts: Vec<Layout>,
    newest: usize,
    next: usize,
    misses: u32,
    /// Noted for the line that no layout fits.
    draft: Layout,
}

impl Layouts {
    /// The fields of the line at `start`, and where it ends, if its layout is known.
    #[inline]
    pub(super) fn read(&mut self, bytes: &[u8], start: usize) -> Option<(Fields, usize)> {
        if let Some(found) = self.layouts.get(self.newest).and_then(|layout| layout.read(bytes, start)) {
            self.misses = 0;
            return Some(found);
        }
        for (index, layout) in self.layouts.iter().enumerate() {
            if index != self.newest
                && let Some(found) = layout.read(bytes, start)
            {
                (self.newest, self.misses) = (index, 0);
                return Some(found);
            }
        }
        None
    }

    /// Something to note the layout of the line at `start` in, if it is worth it.
    pub(super) fn draft(&mut self, start: usize) -> Option<&mut Layout> {
        self.misses += 1;
        if self.misses > PATIENCE && !self.misses.is_multiple_of(RETRY) {
            self.draft.usable = false;
            return None;
        }
        self.draft.begin(start);
        self.draft.seen = 0;
        Some(&mut self.draft)
    }

    /// Remembers the draft, if the line turned out to be good.
    pub(super) fn learn(&mut self) {
        if !std::mem::take(&mut self.draft.usable) || self.draft.seen == 0 {
            return;
        }
        match self.layouts.get_mut(self.next) {
            Some(oldest) => std::mem::swap(oldest, &mut self.draft),
            None => self.layouts.push(std::mem::take(&mut self.draft)),
        }
        self.newest = self.next;
        self.next = (self.next + 1) % REMEMBERED;
    }
}
