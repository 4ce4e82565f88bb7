//! Ages in bins a quarter of an octave wide.
//!
//! The unit is a tick of 256 ms. Up to four ticks a bin is one tick wide; from there on each octave (4 to 8, 8 to 16, ...) has
//! four bins of equal width, as in an HDR histogram: integers only, so every machine puts an age in the same bin.

/// Bins; the last one is open.
pub(crate) const AGE_BINS: usize = 84;

const TICK_BITS: u32 = 8;

/// The tick that a time or an age in milliseconds lies in.
#[inline]
pub(crate) fn ticks(ms: u64) -> u64 {
    ms >> TICK_BITS
}

/// A time in ticks with its fraction.
#[inline]
pub(crate) fn exact_ticks(ms: u64) -> f64 {
    ms as f64 / f64::from(1 << TICK_BITS)
}

/// The middle of a bin in milliseconds.
pub(crate) fn middle_ms(bin: usize) -> f64 {
    (edge(bin) + edge(bin + 1)) as f64 / 2.0 * f64::from(1 << TICK_BITS)
}

/// The bin of an age in ticks.
#[inline]
pub(crate) fn bin(age: u64) -> usize {
    if age < 4 {
        return age as usize;
    }
    let octave = 61 - age.leading_zeros();
    let quarter = (age >> octave) & 3;
    ((4 + 4 * octave) as usize + quarter as usize).min(AGE_BINS - 1)
}

/// Where a bin begins, in ticks; the end of the last bin for [`AGE_BINS`].
#[inline]
pub(crate) fn edge(bin: usize) -> u64 {
    if bin < 4 {
        return bin as u64;
    }
    let octave = (bin - 4) / 4;
    (4 + (bin as u64 & 3)) << octave
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_and_edges_agree() {
        for number in 0..AGE_BINS {
            assert_eq!(bin(edge(number)), number);
            if number > 0 {
                assert_eq!(bin(edge(number) - 1), number - 1);
            }
        }
        assert_eq!(edge(AGE_BINS), 1 << 22);
        assert_eq!(bin(u64::MAX), AGE_BINS - 1);
        assert_eq!((ticks(255), ticks(256), exact_ticks(128)), (0, 1, 0.5));
        assert_eq!(middle_ms(0), 128.0);
    }
}
