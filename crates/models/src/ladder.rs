//! Half-lives, decayed sums, and the order they give.
//!
//! For each half-life h an index keeps, per prefix, the sum over its uses of `weight * 2^((t - landmark) / h)`: forward
//! decay (Cormode, Shkapenyuk, Srivastava, Xu: Forward decay, ICDE 2009). The score at any later `now` is that sum divided
//! by `2^((now - landmark) / h)`, so nothing has to be touched as time passes, and the order of two prefixes does
//! not depend on `now`.
//!
//! The landmark is not stored: it is the prefix's last use rounded down to a multiple of the rung's *span*, itself a
//! multiple of h. Moving it multiplies the sum by a whole power of two, which is exact; the newest use weighs at least
//! 1, so nothing that matters underflows. Two sums compare by whole half-lives plus binary exponent, then mantissa: integers.

use crate::{
    LadderError, MAX_INTEGER,
    exp2::{exp2_ratio, scale},
};
use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, fmt, str::FromStr};

/// The most half-lives that one index keeps.
pub const MAX_RUNGS: usize = 8;

/// A landmark at most this many half-lives back keeps sums of any weights far inside the range of f64.
const MAX_SPAN_HALF_LIVES: u64 = 512;

const TEN_YEARS_MS: u64 = 3653 * 24 * 3_600_000;

/// The half-lives of an index, ascending.
///
/// ```
/// use prefix_indexer_models::Ladder;
/// let ladder: Ladder = "1m,5m,1h".parse()?;
/// assert_eq!(ladder.half_lives_ms().collect::<Vec<_>>(), [60_000, 300_000, 3_600_000]);
/// assert_eq!(ladder.rung(300_000)?, 1);
/// assert!(ladder.rung(7).unwrap_err().to_string().contains("1m,5m,1h"));
/// # Ok::<(), prefix_indexer_models::LadderError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<u64>", into = "Vec<u64>")]
pub struct Ladder {
    rungs: Vec<Rung>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Rung {
    half_life_ms: u64,
    /// What landmarks are multiples of: the same for all rungs where that is not too long for the first, the half-life
    /// otherwise.
    span_ms: u64,
}

impl Ladder {
    /// A ladder of 1 to [`MAX_RUNGS`] half-lives in milliseconds, strictly ascending.
    ///
    /// # Errors
    /// [`LadderError`] when there are none or too many, or one is zero, over ten years, or out of order.
    pub fn new(half_lives_ms: &[u64]) -> Result<Ladder, LadderError> {
        let count = half_lives_ms.len();
        if count == 0 || count > MAX_RUNGS {
            return Err(LadderError::Count { count, max: MAX_RUNGS });
        }
        if let Some(&half_life_ms) = half_lives_ms.iter().find(|&&ms| ms == 0 || ms > TEN_YEARS_MS) {
            return Err(LadderError::OutOfRange { half_life_ms });
        }
        if half_lives_ms.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(LadderError::Order);
        }
        let longest_span = half_lives_ms[0] * MAX_SPAN_HALF_LIVES;
        let common_span_ms = half_lives_ms.iter().try_fold(1, |span, &half_life| {
            least_common_multiple(span, half_life).filter(|&span| span <= longest_span)
        });
        let rungs = half_lives_ms
            .iter()
            .map(|&half_life_ms| Rung { half_life_ms, span_ms: common_span_ms.unwrap_or(half_life_ms) })
            .collect();
        Ok(Ladder { rungs })
    }

    /// Number of half-lives.
    #[expect(clippy::len_without_is_empty, reason = "a ladder has at least one rung")]
    pub fn len(&self) -> usize {
        self.rungs.len()
    }

    /// The half-lives in milliseconds.
    pub fn half_lives_ms(&self) -> impl ExactSizeIterator<Item = u64> + Clone {
        self.rungs.iter().map(|rung| rung.half_life_ms)
    }

    /// Half-life and span of every rung in milliseconds.
    pub(crate) fn spans_ms(&self) -> impl Iterator<Item = (u64, u64)> {
        self.rungs.iter().map(|rung| (rung.half_life_ms, rung.span_ms))
    }

    /// The position of a half-life.
    ///
    /// # Errors
    /// [`LadderError::Unknown`] lists those that there are.
    pub fn rung(&self, half_life_ms: u64) -> Result<usize, LadderError> {
        self.half_lives_ms()
            .position(|kept| kept == half_life_ms)
            .ok_or_else(|| LadderError::Unknown { asked: DurationMs(half_life_ms).to_string(), kept: self.to_string() })
    }

    /// Adds the sums of another part of a prefix's history. Both slices hold one sum a rung; times are the last uses.
    /// Commutative; associative to rounding.
    pub fn merge(&self, last_ms: u64, sums: &mut [f64], other_last_ms: u64, other: &[f64]) {
        for ((sum, rung), other) in sums.iter_mut().zip(&self.rungs).zip(other) {
            let shift = rung.shift(last_ms, other_last_ms);
            *sum = if shift >= 0 { scale(*sum, -shift) + other } else { *sum + scale(*other, shift) };
        }
    }

    /// The decayed sum as of `now_ms`: the sum over uses of `weight * 0.5^((now - t) / h)`. A `now` before the last use is
    /// raised to it; one after [`MAX_INTEGER`] is as good as that.
    pub fn score(&self, rung: usize, last_seen_ms: u64, sum: f64, now_ms: u64) -> f64 {
        let Some(rung) = self.rungs.get(rung) else { return 0.0 };
        let now_ms = now_ms.min(MAX_INTEGER).max(last_seen_ms);
        // Dividing by the weight of a use at `now` makes a single use at `now` score exactly 1.
        scale(sum / rung.unit_weight(now_ms), -rung.shift(last_seen_ms, now_ms))
    }

    /// The place of a decayed sum in the ranking by that rung: independent of `now`, and exact.
    pub fn rank(&self, rung: usize, last_seen_ms: u64, sum: f64) -> Rank {
        let Some(rung) = self.rungs.get(rung) else { return Rank::LAST };
        let (exponent, mantissa) = split(sum);
        if mantissa == 0 {
            return Rank::LAST;
        }
        let half_lives = (last_seen_ms / rung.span_ms) * (rung.span_ms / rung.half_life_ms);
        Rank { whole: half_lives as i64 - Rank::MIDDLE + exponent, mantissa }
    }
}

impl Rung {
    /// 2^((t mod span) / h).
    fn unit_weight(&self, t_ms: u64) -> f64 {
        let half_life = self.half_life_ms as f64;
        exp2_ratio((t_ms % self.span_ms) as f64, half_life, 1.0 / half_life)
    }

    /// Half-lives from the landmark of `from_ms` to that of `to_ms`.
    #[inline]
    fn shift(&self, from_ms: u64, to_ms: u64) -> i64 {
        let spans = (to_ms / self.span_ms) as i64 - (from_ms / self.span_ms) as i64;
        spans * (self.span_ms / self.half_life_ms) as i64
    }
}

/// Binary exponent and full 53-bit mantissa of a number of at least 0; mantissa 0 for 0.
fn split(value: f64) -> (i64, u64) {
    const MANTISSA: u64 = (1 << 52) - 1;
    let bits = value.to_bits();
    let (exponent, mantissa) = ((bits >> 52) as i64, bits & MANTISSA);
    if exponent == 0 {
        let missing = i64::from(mantissa.leading_zeros()) - 11;
        return (-1022 - missing, if mantissa == 0 { 0 } else { mantissa << missing });
    }
    (exponent - 1023, mantissa | (MANTISSA + 1))
}

fn least_common_multiple(a: u64, b: u64) -> Option<u64> {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    (a / x).checked_mul(b)
}

/// A place in a ranking: larger comes first. Ranks of different rungs do not compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank {
    /// Whole half-lives and binary exponent, less [`Rank::MIDDLE`] so that the latest times have room for exponents.
    whole: i64,
    mantissa: u64,
}

impl Rank {
    const MIDDLE: i64 = 1 << 62;

    /// The rank of a sum of zero.
    pub const LAST: Rank = Rank { whole: i64::MIN, mantissa: 0 };

    /// The place in the ranking by recency.
    pub fn of_time(last_seen_ms: u64) -> Rank {
        Rank { whole: last_seen_ms.min(MAX_INTEGER) as i64 - Rank::MIDDLE, mantissa: 0 }
    }

    /// The place of a score of `value * 2^exponent`, for scores that themselves would leave the range of f64. Scores of at most
    /// 0 (and what is not a number) are all last.
    pub fn of_score(value: f64, exponent: i64) -> Rank {
        let (whole, mantissa) = if value > 0.0 { split(value) } else { (0, 0) };
        if mantissa == 0 { Rank::LAST } else { Rank { whole: whole.saturating_add(exponent), mantissa } }
    }

    /// An integer that orders almost like the rank does: where two differ, so do the ranks, the same way; where they are
    /// equal, the ranks have to be compared. For sorting by machine words.
    ///
    /// Exact to 2^-22 of a score while all ranks lie within a thousand billion half-lives.
    pub fn coarse(self) -> u64 {
        const MANTISSA_BITS: u32 = 22;
        const HALF: i64 = 1 << (63 - MANTISSA_BITS);
        let whole = self.whole.saturating_add(Rank::MIDDLE);
        let inside = whole > -HALF && whole < HALF - 1;
        let whole = (whole.clamp(-HALF, HALF - 1) + HALF) as u64;
        let mantissa = if inside { (self.mantissa >> (52 - MANTISSA_BITS)) & ((1 << MANTISSA_BITS) - 1) } else { 0 };
        (whole << MANTISSA_BITS) | mantissa
    }

    /// Descending by rank, then ascending by key: the order of every ranked list.
    pub fn order<K: Ord>(a: (Rank, K), b: (Rank, K)) -> Ordering {
        b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1))
    }
}

impl Default for Ladder {
    /// 1 min, 5 min, 20 min, 1 h and 6 h.
    fn default() -> Ladder {
        const MINUTE: u64 = 60_000;
        let rung = |minutes| Rung { half_life_ms: minutes * MINUTE, span_ms: 360 * MINUTE };
        Ladder { rungs: [1, 5, 20, 60, 360].map(rung).to_vec() }
    }
}

impl TryFrom<Vec<u64>> for Ladder {
    type Error = LadderError;

    fn try_from(half_lives_ms: Vec<u64>) -> Result<Ladder, LadderError> {
        Ladder::new(&half_lives_ms)
    }
}

impl From<Ladder> for Vec<u64> {
    fn from(ladder: Ladder) -> Vec<u64> {
        ladder.half_lives_ms().collect()
    }
}

impl FromStr for Ladder {
    type Err = LadderError;

    fn from_str(text: &str) -> Result<Ladder, LadderError> {
        let half_lives = text.split(',').map(parse_duration_ms).collect::<Result<Vec<_>, _>>()?;
        Ladder::new(&half_lives)
    }
}

impl fmt::Display for Ladder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, half_life) in self.half_lives_ms().enumerate() {
            write!(f, "{}{}", if index > 0 { "," } else { "" }, DurationMs(half_life))?;
        }
        Ok(())
    }
}

const UNITS_MS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Milliseconds in the largest unit that divides them.
struct DurationMs(u64);

impl fmt::Display for DurationMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |&&(_, unit): &&(&str, u64)| self.0.is_multiple_of(unit);
        let (name, unit) = UNITS_MS.iter().find(fits).copied().unwrap_or(("ms", 1));
        write!(f, "{}{name}", self.0 / unit)
    }
}

/// Reads a duration: a whole number and `ms`, `s`, `m`, `h` or `d`.
///
/// # Errors
/// [`LadderError::Duration`] for anything else, also for more than 2^64 ms.
///
/// ```
/// assert_eq!(prefix_indexer_models::parse_duration_ms("5m"), Ok(300_000));
/// assert!(prefix_indexer_models::parse_duration_ms("5").is_err());
/// ```
pub fn parse_duration_ms(text: &str) -> Result<u64, LadderError> {
    let bad = || LadderError::Duration { text: text.to_owned() };
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
    let (number, unit) = text.split_at(digits);
    let unit = UNITS_MS.iter().find(|(name, _)| *name == unit).ok_or_else(bad)?.1;
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coarse_ranks_never_contradict_ranks() {
        let ladder = Ladder::default();
        let sums = [0.0, 1e-310, 0.5, 1.0, 1.0 + f64::EPSILON, 1.5, 3e12, 1e300];
        let times = [0, 1, 21_599_999, 21_600_000, 1_700_000_000_000, i64::MAX as u64];
        let ranks: Vec<Rank> = (0..ladder.len())
            .flat_map(|rung| times.map(|t| sums.map(|sum| ladder.rank(rung, t, sum))))
            .flatten()
            .chain(times.map(Rank::of_time))
            .collect();
        for a in &ranks {
            for b in &ranks {
                if a.coarse() != b.coarse() {
                    assert_eq!(a.coarse().cmp(&b.coarse()), a.cmp(b), "{a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn ranks_of_scores_order_like_the_scores() {
        let ascending = [-1.0, 0.0, 1e-310, 1e-300, 0.5, 1.0, 1.0 + f64::EPSILON, 1.5, 2.0, 3e12, 1e300, f64::INFINITY];
        for (i, a) in ascending.into_iter().enumerate().skip(1) {
            for b in &ascending[i..] {
                assert_eq!(Rank::of_score(a, 7).cmp(&Rank::of_score(*b, 7)), a.total_cmp(b), "{a} {b}");
            }
        }
        assert_eq!(Rank::of_score(3.0, -5000), Rank::of_score(1.5, -4999));
        assert_eq!(Rank::of_score(f64::NAN, 0), Rank::LAST);
        assert_eq!(Rank::of_score(-1.0, 0), Rank::LAST);
    }

    #[test]
    fn the_latest_times_and_the_shortest_half_life_do_not_overflow() {
        let ladder = Ladder::new(&[1]).unwrap();
        let (last, before) = (i64::MAX as u64, i64::MAX as u64 - 100);
        assert!(ladder.rank(0, last, 8.0) > ladder.rank(0, before, 8.0));
        assert!(ladder.rank(0, last, 4.0) > ladder.rank(0, last, 3.0));
        assert_eq!(ladder.score(0, last, 8.0, u64::MAX), 8.0);
        assert_eq!(ladder.score(0, 0, 8.0, u64::MAX), 0.0);
    }

    #[test]
    fn durations_read_and_print() {
        for text in ["1ms", "90s", "5m", "6h", "30d"] {
            assert_eq!(DurationMs(parse_duration_ms(text).unwrap()).to_string(), text);
        }
        for text in ["", "m", "5", "-5m", "5.5m", "99999999999999999999d", "5 m", "300000000000000d"] {
            assert!(parse_duration_ms(text).is_err(), "{text}");
        }
    }
}
