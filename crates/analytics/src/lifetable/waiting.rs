//! How many are waiting, by class and by how long, kept as time goes by.
//!
//! An age changes with the clock, so counts by age would have to be moved all the time. A *time of birth* does not change:
//! counts are kept by class and time of birth, in blocks that get coarser with age. Level 0 has blocks of one tick for
//! the newest 14 to 16 ticks, level 1 blocks of two ticks for what is older, up to twice that old, and so on: a block is always an aligned
//! stretch of time at most a seventh of its age long, and as it ages two neighbours become one on the next level
//! (an exponential histogram as of Datar, Gionis, Indyk and Motwani, 2002, but aligned, so that counts can be taken out again
//! and two histories add up block by block).
//!
//! Adding and removing cost a few shifts. Time that passes costs two block moves a tick on average, and never more
//! than all blocks (some microseconds), however long the silence.

use super::ages::{self, AGE_BINS};
use serde::{Deserialize, Serialize};

/// Blocks kept on a level: 14 to 16 are in use.
const SLOTS: usize = 16;
/// Level 19 reaches beyond the last age bin.
const LEVELS: usize = 20;
/// Where everything older is counted.
const ANCIENT: usize = SLOTS * LEVELS;

/// Numbers of the waiting by class and time of birth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    classes: usize,
    /// The newest tick seen.
    now: u64,
    /// Block after block, one number a class each; the last block is the ancient.
    counts: Vec<u32>,
}

/// The oldest block that a level keeps. Even, so that pairs move up together.
#[inline]
fn oldest(now: u64, level: usize) -> u64 {
    ((now >> level) & !1).saturating_sub(14)
}

/// The block that holds a tick.
#[inline]
fn place(now: u64, tick: u64) -> usize {
    let age = now.saturating_sub(tick);
    let level = (60_u32.saturating_sub(age.leading_zeros())) as usize;
    let level = level + usize::from(tick >> level < oldest(now, level));
    if level >= LEVELS { ANCIENT } else { level * SLOTS + (tick >> level) as usize % SLOTS }
}

impl Waiting {
    pub(crate) fn new(classes: usize) -> Waiting {
        Waiting { classes, now: 0, counts: vec![0; (ANCIENT + 1) * classes] }
    }

    /// One more that waits since `tick`.
    #[inline]
    pub(crate) fn add(&mut self, class: usize, tick: u64) {
        self.advance(tick);
        let index = place(self.now, tick) * self.classes + class;
        if let Some(count) = self.counts.get_mut(index) {
            *count = count.saturating_add(1);
        }
    }

    /// One that waited since `tick` waits no more.
    #[inline]
    pub(crate) fn remove(&mut self, class: usize, tick: u64) {
        let index = place(self.now, tick) * self.classes + class;
        if let Some(count) = self.counts.get_mut(index) {
            *count = count.saturating_sub(1);
        }
    }

    /// Brings the blocks to a later time.
    #[inline]
    pub(crate) fn advance(&mut self, tick: u64) {
        if tick > self.now {
            self.regroup(tick);
        }
    }

    fn regroup(&mut self, tick: u64) {
        let before = std::mem::replace(&mut self.now, tick);
        // A level looks at the bits above its own lowest: those below the highest bit that changed regroup.
        let levels = (63 - (before ^ tick).leading_zeros()) as usize;
        // From the top down, so that there is room for what moves up.
        for level in (0..levels.min(LEVELS)).rev() {
            let (from, to) = (oldest(before, level), oldest(tick, level));
            for block in from..to.min(from + SLOTS as u64) {
                let old = (level * SLOTS + block as usize % SLOTS) * self.classes;
                let new = place(tick, block << level) * self.classes;
                self.move_block(old, new);
            }
        }
    }

    fn move_block(&mut self, old: usize, new: usize) {
        // Blocks move up only: the new place lies behind the old one.
        let (low, high) = self.counts.split_at_mut(new.max(old + self.classes));
        let (Some(old), Some(new)) = (low.get_mut(old..old + self.classes), high.get_mut(..self.classes)) else {
            return;
        };
        for (old, new) in old.iter_mut().zip(new) {
            *new = new.saturating_add(std::mem::take(old));
        }
    }

    /// Adds those who wait elsewhere.
    pub(crate) fn merge(&mut self, other: &Waiting) {
        if self.classes != other.classes {
            return;
        }
        self.advance(other.now);
        let mut later = other.clone();
        later.advance(self.now);
        for (count, more) in self.counts.iter_mut().zip(&later.counts) {
            *count = count.saturating_add(*more);
        }
    }

    /// How many of each class are in each age bin at `tick` (not before the newest seen). The ages within a block are taken to be
    /// spread evenly.
    pub(crate) fn census(&self, tick: u64) -> Vec<[f64; AGE_BINS]> {
        let tick = tick.max(self.now);
        let mut bins = vec![[0.0; AGE_BINS]; self.classes];
        for level in 0..LEVELS {
            let first = oldest(self.now, level);
            for block in first..first + SLOTS as u64 {
                let start = (level * SLOTS + block as usize % SLOTS) * self.classes;
                let Some(counts) = self.counts.get(start..start + self.classes) else { continue };
                if counts.iter().all(|&count| count == 0) {
                    continue;
                }
                let youngest = tick.saturating_sub(((block + 1) << level) - 1);
                let oldest = tick.saturating_sub(block << level);
                for (bin, share) in shares(youngest, oldest) {
                    for (bins, &count) in bins.iter_mut().zip(counts) {
                        bins[bin] += f64::from(count) * share;
                    }
                }
            }
        }
        for (bins, &count) in bins.iter_mut().zip(self.counts.iter().skip(ANCIENT * self.classes)) {
            bins[AGE_BINS - 1] += f64::from(count);
        }
        bins
    }
}

/// How a stretch of ages, both ends included, is shared among the bins.
fn shares(youngest: u64, oldest: u64) -> impl Iterator<Item = (usize, f64)> {
    let length = (oldest - youngest + 1) as f64;
    (ages::bin(youngest)..=ages::bin(oldest)).map(move |bin| {
        let end = if bin + 1 == AGE_BINS { u64::MAX } else { ages::edge(bin + 1) };
        let inside = end.min(oldest + 1) - ages::edge(bin).max(youngest);
        (bin, inside as f64 / length)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(seed: &mut u64) -> u64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *seed >> 33
    }

    /// Births and ends at random times, against a plain list.
    #[test]
    fn counts_what_waits() {
        for (seed, pace) in [(1, 3), (2, 40), (3, 3_000), (4, 200_000)] {
            let (mut random, mut now) = (seed, 1_000_000_u64);
            let mut waiting = Waiting::new(3);
            let mut list: Vec<(usize, u64)> = Vec::new();
            for step in 0..4_000 {
                now += next(&mut random) % pace;
                let class = (next(&mut random) % 3) as usize;
                if next(&mut random) % 3 < 2 || list.is_empty() {
                    // Some come late.
                    let tick = now - if step % 7 == 0 { next(&mut random) % 50_000 } else { 0 };
                    waiting.add(class, tick);
                    list.push((class, tick));
                } else {
                    let gone = list.swap_remove(next(&mut random) as usize % list.len());
                    waiting.remove(gone.0, gone.1);
                }
                if step % 500 == 499 {
                    check(&waiting, &list, now + if step % 1000 == 999 { next(&mut random) % (pace * 100) } else { 0 });
                }
            }
            assert_eq!(waiting.counts.iter().map(|&count| u64::from(count)).sum::<u64>(), list.len() as u64);
            list.iter().for_each(|&(class, tick)| waiting.remove(class, tick));
            assert!(waiting.counts.iter().all(|&count| count == 0), "every one is found where it was put");
        }
    }

    fn check(waiting: &Waiting, list: &[(usize, u64)], now: u64) {
        let census = waiting.census(now);
        for (class, census) in census.iter().enumerate() {
            let ages: Vec<u64> = list.iter().filter(|of| of.0 == class).map(|of| now - of.1).collect();
            let total: f64 = census.iter().sum();
            assert!((total - ages.len() as f64).abs() < 1e-6);
            let mut older = total;
            for (bin, here) in census.iter().enumerate() {
                // Those older than an edge, to within those whose age is less than a seventh away from it.
                let edge = ages::edge(bin);
                let at_least = ages.iter().filter(|&&age| age > edge + edge / 6).count() as f64;
                let at_most = ages.iter().filter(|&&age| age + age / 6 + 1 >= edge).count() as f64;
                assert!(
                    older >= at_least - 1e-6 && older <= at_most + 1e-6,
                    "{at_least} {older} {at_most} from {edge}"
                );
                older -= here;
            }
        }
    }

    #[test]
    fn young_ages_are_exact() {
        let mut waiting = Waiting::new(1);
        (100..114).for_each(|tick| waiting.add(0, tick));
        let census = waiting.census(113);
        // Ages 0 to 13 in bins 0, 1, 2, 3, 4, 5, 6, 7, 8-9, 10-11, 12-13.
        let expect = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 0.0];
        assert_eq!(census[0][..12], expect);
    }

    #[test]
    fn parts_merge_exactly() {
        let (mut all, mut parts) = (Waiting::new(2), [Waiting::new(2), Waiting::new(2)]);
        let (mut random, mut now) = (9, 0);
        for _ in 0..5_000 {
            now += next(&mut random) % 500;
            let class = (next(&mut random) % 2) as usize;
            all.add(class, now);
            parts[(next(&mut random) % 2) as usize].add(class, now);
        }
        let [mut one, other] = parts;
        one.merge(&other);
        assert_eq!(one, all);
    }
}
