//! Not trying for ever what lines are not made for.

/// Lines in a row that a path cannot read before it is tried only now and then.
pub(super) const MISSES: u32 = 16;
/// How often it is tried then: for one line of so many.
pub(super) const RETRY: u32 = 64;

/// How a path has fared lately.
#[derive(Debug, Default)]
pub(super) struct Patience {
    misses: u32,
}

impl Patience {
    /// Tries to read a line, if that is likely to work. Returns whether it did.
    #[inline]
    pub(super) fn attempt(&mut self, read: impl FnOnce() -> bool) -> bool {
        let tried = self.misses <= MISSES || self.misses.is_multiple_of(RETRY);
        if tried && read() {
            self.misses = 0;
            return true;
        }
        self.misses = self.misses.wrapping_add(1);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_work_is_tried_now_and_then() {
        let (mut patience, mut tried) = (Patience::default(), Vec::new());
        for line in 0..300 {
            patience.attempt(|| {
                tried.push(line);
                line == 256
            });
        }
        assert_eq!(tried[..17], Vec::from_iter(0..17));
        assert_eq!(tried[17..21], [64, 128, 192, 256]);
        assert_eq!(tried[21..], Vec::from_iter(257..274));
    }
}
