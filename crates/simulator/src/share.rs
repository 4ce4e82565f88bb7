//! Shares and capacities as people write them, without a rounding error in between.

use crate::SimulatorError;
use serde::{Serialize, Serializer};
use std::{fmt, str::FromStr};

/// Decimal places of a percentage that are kept.
const PLACES: u32 = 9;
const ONE_PERCENT: u64 = 10_u64.pow(PLACES);
const WHOLE: u64 = 100 * ONE_PERCENT;

/// A share from 0 to 100 %, exact to nine decimal places of a percentage.
///
/// ```
/// use prefix_indexer_simulator::Share;
/// let share: Share = "2.5%".parse()?;
/// assert_eq!((share.floor_of(999), share.ceil_of(999)), (24, 25));
/// assert_eq!(Share::list("10%,40%..42%/1%")?.len(), 4);
/// # Ok::<(), prefix_indexer_simulator::SimulatorError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u64);

impl Share {
    /// Everything.
    pub const ALL: Share = Share(WHOLE);

    /// A quarter.
    pub const QUARTER: Share = Share(WHOLE / 4);

    /// A whole percentage, at most 100.
    pub fn percent(percent: u8) -> Share {
        Share(u64::from(percent).min(100) * ONE_PERCENT)
    }

    /// That share of a number, rounded down.
    pub fn floor_of(self, number: u64) -> u64 {
        (u128::from(number) * u128::from(self.0) / u128::from(WHOLE)) as u64
    }

    /// That share of a number, rounded up.
    pub fn ceil_of(self, number: u64) -> u64 {
        (u128::from(number) * u128::from(self.0)).div_ceil(u128::from(WHOLE)) as u64
    }

    /// From 0 to 1.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / WHOLE as f64
    }

    /// Reads shares and ranges (`FROM..TO/STEP`, both ends included), separated by commas.
    ///
    /// # Errors
    /// [`SimulatorError::Share`] or [`SimulatorError::Range`] with the part that is wrong. A range of more than 10,000
    /// shares is one.
    pub fn list(text: &str) -> Result<Vec<Share>, SimulatorError> {
        const MOST: u64 = 10_000;
        let mut shares = Vec::new();
        for part in text.split(',') {
            let Some((from, rest)) = part.split_once("..") else {
                shares.push(part.parse()?);
                continue;
            };
            let bad = || SimulatorError::Range { text: part.to_owned() };
            let (to, step) = rest.split_once('/').ok_or_else(bad)?;
            let (from, to, step): (Share, Share, Share) = (from.parse()?, to.parse()?, step.parse()?);
            if from > to || step.0 == 0 || (to.0 - from.0) / step.0 >= MOST {
                return Err(bad());
            }
            shares.extend((0..=(to.0 - from.0) / step.0).map(|index| Share(from.0 + index * step.0)));
        }
        Ok(shares)
    }
}

impl FromStr for Share {
    type Err = SimulatorError;

    fn from_str(text: &str) -> Result<Share, SimulatorError> {
        let bad = || SimulatorError::Share { text: text.to_owned() };
        let number = text.trim().strip_suffix('%').ok_or_else(bad)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > PLACES as usize {
            return Err(bad());
        }
        let whole: u64 = whole.parse().ok().filter(|&whole| whole <= 100).ok_or_else(bad)?;
        let parts: u64 = fraction.parse().map_err(|_| bad())?;
        let parts = whole * ONE_PERCENT + parts * 10_u64.pow(PLACES - fraction.len() as u32);
        if parts > WHOLE { Err(bad()) } else { Ok(Share(parts)) }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, parts) = (self.0 / ONE_PERCENT, self.0 % ONE_PERCENT);
        if parts == 0 {
            return write!(f, "{whole}%");
        }
        let digits = format!("{parts:0width$}", width = PLACES as usize);
        write!(f, "{whole}.{}%", digits.trim_end_matches('0'))
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A number of blocks, or a share of a trace's unique blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Capacity {
    /// So many blocks.
    Blocks(u64),
    /// That share of the unique blocks, rounded down.
    Share(Share),
}

impl Capacity {
    /// The number of blocks for a trace with `unique` blocks. More than there are is as good as all.
    pub fn blocks(self, unique: u64) -> u64 {
        match self {
            Capacity::Blocks(blocks) => blocks,
            Capacity::Share(share) => share.floor_of(unique),
        }
    }
}

impl FromStr for Capacity {
    type Err = SimulatorError;

    fn from_str(text: &str) -> Result<Capacity, SimulatorError> {
        if text.contains('%') {
            return text.parse().map(Capacity::Share);
        }
        let bad = |_| SimulatorError::Capacity { text: text.to_owned() };
        text.trim().parse().map(Capacity::Blocks).map_err(bad)
    }
}

impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Capacity::Blocks(blocks) => write!(f, "{blocks}"),
            Capacity::Share(share) => write!(f, "{share}"),
        }
    }
}

impl Serialize for Capacity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_read_and_print() {
        for text in ["0%", "5%", "100%", "2.5%", "0.000000001%", "99.999%"] {
            assert_eq!(text.parse::<Share>().unwrap().to_string(), text);
        }
        for text in ["", "%", "5", "-5%", "101%", "100.1%", "5.%", ".5%", "1e1%", "0.0000000001%", "5%%"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_exact() {
        let check = |text: &str, number, floor, ceil| {
            let share: Share = text.parse().unwrap();
            assert_eq!((share.floor_of(number), share.ceil_of(number)), (floor, ceil), "{text} of {number}");
        };
        check("1%", 182_790, 1_827, 1_828);
        check("7%", 100, 7, 7); // 0.07 * 100.0 is 7.000000000000001
        check("58%", 50, 29, 29);
        check("100%", u64::MAX, u64::MAX, u64::MAX);
        check("0%", u64::MAX, 0, 0);
    }

    #[test]
    fn lists_and_ranges() {
        let check = |text, expect| {
            let list: Vec<_> = Share::list(text).unwrap().iter().map(Share::to_string).collect();
            assert_eq!(list.join(" "), expect, "{text}");
        };
        check("1%,5%", "1% 5%");
        check("40%..42%/1%", "40% 41% 42%");
        check("1%..2%/0.4%,3%", "1% 1.4% 1.8% 3%");
        assert_eq!(Share::list("40%..80%/1%").unwrap().len(), 41);
        for text in ["", "1%,", "40%..", "40%..80%", "80%..40%/1%", "1%..2%/0%", "0%..100%/0.000001%"] {
            assert!(Share::list(text).is_err(), "{text}");
        }
    }

    #[test]
    fn capacities() {
        let blocks = |text: &str| text.parse::<Capacity>().ok().map(|capacity| capacity.blocks(1_999));
        assert_eq!((blocks("1%"), blocks("70"), blocks("100%")), (Some(19), Some(70), Some(1_999)));
        assert_eq!((blocks("many"), blocks("-1"), blocks("200%")), (None, None, None));
    }
}
