//! Powers of two of fractions, the same to the last bit on every machine.
//!
//! A libm differs between systems, and equal input must give equal bytes. The Taylor series of e^(x ln 2) on
//! [-1/2, 1/2] to degree 13 leaves 4e-18, below the rounding of its sum; the result is within 2 units in the last
//! place. Written without branches so that it vectorises over the rungs of a ladder.

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

/// 2^x as a mantissa in [1, 2) and a whole exponent, for powers that would leave the range of f64. For finite `x` between
/// -2^62 and 2^62. The same to the last bit on every machine; within 2 units in the last place.
///
/// ```
/// assert_eq!(prefix_indexer_models::exp2_parts(-4.0), (1.0, -4));
/// ```
pub fn exp2_parts(x: f64) -> (f64, i64) {
    let whole = x.floor();
    (exp2_fraction(x - whole), whole as i64)
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

/// 2^fraction for a fraction in [0, 1): in [1, 2), and exactly 1 at 0.
#[inline]
pub(crate) fn exp2_fraction(fraction: f64) -> f64 {
    let upper = fraction > 0.5;
    let x = if upper { fraction - 1.0 } else { fraction };
    let mut sum = TERMS[13];
    let mut term = 13;
    while term > 0 {
        term -= 1;
        sum = sum * x + TERMS[term];
    }
    if upper { sum * 2.0 } else { sum }
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
        for step in 0..100_000 {
            let fraction = f64::from(step) / 100_000.0;
            let (ours, system) = (exp2_fraction(fraction), fraction.exp2());
            assert!((ours / system - 1.0).abs() < 5e-16, "{fraction}: {ours} {system}");
        }
        assert_eq!(exp2_fraction(0.0), 1.0);
    }

    #[test]
    fn powers_of_any_number() {
        for step in -100_000..100_000 {
            let x = f64::from(step) / 100.0;
            assert!((exp2(x) / x.exp2() - 1.0).abs() < 5e-16, "{x}");
        }
        assert_eq!((exp2(-1e300), exp2(1e300)), (0.0, f64::INFINITY));
        let (mantissa, exponent) = exp2_parts(-100_000.25);
        assert_eq!((mantissa, exponent), (exp2_fraction(0.75), -100_001));
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
