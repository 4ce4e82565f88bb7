//! Powers of two of quotients, the same to the last bit on every machine.
//!
//! A libm differs between systems, and equal input must give equal bytes. The Taylor series of e^(x ln 2) on
//! [-1/2, 1/2] to degree 13 leaves 4e-18, below the rounding of its sum; the result is within 2 units in the last
//! place. Written without branches or divisions so that it vectorises over the rungs of a ladder.

/// ln(2)^n / n!, n from 0 to 13.
const TERMS: [f64; 14] = [
    1.0,
    std::f64::consts::LN_2,
    2.402_265_069_591_007e-1,
    5.550_410_866_482_158e-2,
    9.618_129_107_628_477e-3,
    1.333_355_814_642_844_3e-3,
    1.540_353_039_338_161e-4,
    1.525_273_380_405_984_1e-5,
    1.321_548_679_014_431e-6,
    1.017_808_600_923_97e-7,
    7.054_911_620_801_123e-9,
    4.445_538_271_870_811_5e-10,
    2.567_843_599_348_820_4e-11,
    1.369_148_885_390_412_8e-12,
];

/// 2^x as a mantissa from 1 to 2 and a whole exponent, for powers that would leave the range of f64. For finite `x` between
/// -2^62 and 2^62. The same to the last bit on every machine; within 3 units in the last place.
///
/// ```
/// assert_eq!(prefix_indexer_models::exp2_parts(-4.0), (1.0, -4));
/// ```
pub fn exp2_parts(x: f64) -> (f64, i64) {
    let whole = x.floor();
    (exp2_ratio(x - whole, 1.0, 1.0), whole as i64)
}

/// 2^x, the same to the last bit on every machine: 0 or infinity outside the range of f64.
///
/// ```
/// assert_eq!(prefix_indexer_models::exp2(-3.0), 0.125);
/// ```
pub fn exp2(x: f64) -> f64 {
    let (mantissa, exponent) = exp2_parts(x);
    scale(mantissa, exponent)
}

/// Adding and subtracting it rounds a small number of at least 0 to the nearest integer, which is then in the low bits of the sum.
const ROUND: f64 = (1u64 << 52) as f64;

/// 2^(offset / period), where `per` is 1.0 / period. Offset and period are whole numbers (or the period is 1), the offset below 2^50, the quotient
/// at most 600. Exact where the offset is a multiple of the period.
#[inline(always)]
pub(crate) fn exp2_ratio(offset: f64, period: f64, per: f64) -> f64 {
    // Off by one only where the rest is half a period either way, and the rest is exact: whole numbers below 2^53.
    let whole = offset * per + ROUND;
    let rest = offset - (whole - ROUND) * period;
    let x = rest * per;
    // Even and odd powers apart: two short chains of operations that wait for each other instead of one long one.
    let square = x * x;
    let (mut even, mut odd) = (TERMS[12], TERMS[13]);
    let mut term = 12;
    while term > 0 {
        term -= 2;
        even = even * square + TERMS[term];
        odd = odd * square + TERMS[term + 1];
    }
    let power = even + odd * x;
    f64::from_bits(power.to_bits().wrapping_add(whole.to_bits() << 52))
}

/// value * 2^exponent, exact unless it leaves the range of normal numbers (towards 0, or infinity).
#[inline]
pub(crate) fn scale(mut value: f64, exponent: i64) -> f64 {
    let mut left = exponent.clamp(-2200, 2200);
    while left != 0 {
        let step = left.clamp(-1000, 1000);
        value *= f64::from_bits(((1023 + step) as u64) << 52);
        left -= step;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_system_to_the_last_digits() {
        for period in [1.0, 777.0, 60_000.0, 21_600_000.0, 3.2e11] {
            for step in 0..100_000 {
                let offset = (f64::from(step) / 100_000.0 * period * 5.0).floor();
                let (ours, system) = (exp2_ratio(offset, period, 1.0 / period), (offset / period).exp2());
                assert!((ours / system - 1.0).abs() < 7e-16, "{offset}/{period}: {ours} {system}");
            }
        }
    }

    #[test]
    fn whole_powers_are_exact() {
        for period in [1.0, 3.0, 777.0, 60_000.0, 3.2e11] {
            for whole in 0..=512 {
                let power = exp2_ratio(f64::from(whole) * period, period, 1.0 / period);
                assert_eq!(power, 2f64.powi(whole), "{whole} x {period}");
            }
        }
    }

    #[test]
    fn powers_of_any_number() {
        for step in -100_000..100_000 {
            let x = f64::from(step) / 100.0;
            assert!((exp2(x) / x.exp2() - 1.0).abs() < 7e-16, "{x}");
        }
        assert_eq!((exp2(-1e300), exp2(1e300)), (0.0, f64::INFINITY));
        let (mantissa, exponent) = exp2_parts(-100_000.25);
        assert_eq!((mantissa, exponent), (exp2(0.75), -100_001));
    }

    #[test]
    fn scaling_is_exact_and_saturates() {
        assert_eq!(scale(1.5, 3), 12.0);
        assert_eq!(scale(1.0, -1050), f64::from_bits(1 << (1074 - 1050)));
        assert_eq!(scale(scale(1.5, 1000), -1000), 1.5);
        assert_eq!(scale(1.0, -1_000_000), 0.0);
        assert_eq!(scale(1.0, i64::MAX), f64::INFINITY);
        assert_eq!(scale(0.0, 5000), 0.0);
    }
}
