//! The second fastest path: a line that is laid out as an earlier one, the same keys in the same order with the same spacing.

use super::{
    Fields,
    patience::{MISSES, RETRY},
    scan::value,
};
use crate::words::load_two;

/// Layouts remembered: lines with and without the optional fields, mostly.
const REMEMBERED: usize = 8;

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

#[derive(Debug, Clone, PartialEq)]
struct Slot {
    before: Literal,
    field: u8,
}

/// Up to 32 bytes that do not change, in two halves.
#[derive(Debug, Clone, Default, PartialEq)]
struct Literal {
    halves: [u128; 2],
    /// Bits of the halves that count.
    masks: [u128; 2],
    length: usize,
}

/// Bytes of half a literal.
const HALF: usize = 16;

impl Literal {
    fn new(bytes: &[u8]) -> Option<Literal> {
        let mut literal = Literal { length: bytes.len(), ..Literal::default() };
        for (index, part) in bytes.chunks(HALF).enumerate() {
            *literal.masks.get_mut(index)? = u128::MAX >> (8 * (HALF - part.len()));
            *literal.halves.get_mut(index)? = load_two(part, 0);
        }
        Some(literal)
    }

    /// Where it ends, if it is at `at`.
    #[inline]
    fn end(&self, bytes: &[u8], at: usize) -> Option<usize> {
        let differs = |index: usize| (load_two(bytes, at + HALF * index) ^ self.halves[index]) & self.masks[index] != 0;
        let here = !differs(0) && (self.length <= HALF || !differs(1));
        here.then_some(at + self.length)
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

    /// Reads on from where another layout, the same so far, had to give up. Returns where the line ends.
    #[inline]
    fn read(&self, bytes: &[u8], progress: &mut Progress) -> Option<usize> {
        for slot in self.slots.iter().skip(progress.slot) {
            let start = slot.before.end(bytes, progress.at)?;
            progress.at = value(bytes, start, slot.field, &mut progress.fields)?;
            progress.slot += 1;
        }
        let end = self.behind.end(bytes, progress.at)?;
        matches!(bytes.get(end), Some(b'\n') | None).then_some(end)
    }

    /// How many slots two layouts begin with alike.
    fn shared(&self, other: &Layout) -> usize {
        self.slots.iter().zip(&other.slots).take_while(|(one, other)| one == other).count()
    }
}

/// How far a line has been read.
struct Progress {
    /// Slots that were read.
    slot: usize,
    at: usize,
    fields: Fields,
}

/// The layouts that lines had lately.
#[derive(Debug, Default)]
pub(super) struct Layouts {
    layouts: Vec<Layout>,
    /// How many slots each two of them begin with alike.
    shared: [[usize; REMEMBERED]; REMEMBERED],
    newest: usize,
    next: usize,
    misses: u32,
    /// Noted for the line that no layout fits.
    draft: Layout,
}

impl Layouts {
    /// The fields of the line at `start`, and where it ends, if its layout is known.
    ///
    /// Lines with and without an optional field are alike up to there, so the next layout goes on where one gives up.
    #[inline]
    pub(super) fn read(&mut self, bytes: &[u8], start: usize) -> Option<(Fields, usize)> {
        if self.misses > MISSES {
            return None;
        }
        let begin = || Progress { slot: 0, at: start, fields: Fields::default() };
        let (mut progress, mut last) = (begin(), None);
        let (before, behind) = self.layouts.split_at_checked(self.newest)?;
        let numbered = behind.iter().zip(self.newest..).chain(before.iter().zip(0..));
        for (layout, index) in numbered {
            if let Some(last) = last {
                let shared: usize = self.shared[index][last];
                if shared > progress.slot {
                    // It would give up at the same slot.
                    continue;
                }
                if shared < progress.slot {
                    progress = begin();
                }
            }
            if let Some(end) = layout.read(bytes, &mut progress) {
                progress.fields.seen = layout.seen;
                (self.newest, self.misses) = (index, 0);
                return Some((progress.fields, end));
            }
            last = Some(index);
        }
        None
    }

    /// Something to note the layout of the line at `start` in, if it is worth it.
    pub(super) fn draft(&mut self, start: usize) -> Option<&mut Layout> {
        self.misses += 1;
        if self.misses > MISSES && !self.misses.is_multiple_of(RETRY) {
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
        // The next line shows whether it was worth it.
        self.misses = self.misses.min(MISSES);
        match self.layouts.get_mut(self.next) {
            Some(oldest) => std::mem::swap(oldest, &mut self.draft),
            None => self.layouts.push(std::mem::take(&mut self.draft)),
        }
        for index in 0..self.layouts.len() {
            let shared = self.layouts[index].shared(&self.layouts[self.next]);
            (self.shared[index][self.next], self.shared[self.next][index]) = (shared, shared);
        }
        self.newest = self.next;
        self.next = (self.next + 1) % REMEMBERED;
    }
}
