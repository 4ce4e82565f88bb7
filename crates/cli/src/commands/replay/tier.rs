//! Tiers as people describe them: `cold,capacity=50%,latency=2ms,bandwidth=1GiB/s`.

use super::capacity::CapacityArg;
use crate::units::bandwidth;
use prefix_indexer::simulator::{Access, TierSpec, Trace};
use std::str::FromStr;

/// A tier below the first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TierArg {
    name: String,
    capacity: Option<CapacityArg>,
    access: Access,
}

impl FromStr for TierArg {
    type Err = String;

    fn from_str(text: &str) -> Result<TierArg, String> {
        let mut parts = text.split(',');
        let name =
            parts.next().filter(|name| !name.is_empty() && !name.contains('=')).ok_or("a tier begins with its name")?;
        let mut tier = TierArg { name: name.to_owned(), capacity: None, access: Access::default() };
        for part in parts {
            match part.split_once('=') {
                Some(("capacity", value)) => tier.capacity = Some(value.parse()?),
                Some(("latency", value)) => tier.access.latency_ms = latency_ms(value)?,
                Some(("bandwidth", value)) => tier.access.bytes_per_second = Some(bandwidth(value)?),
                _ => return Err(format!("`{part}`: expected capacity=, latency= or bandwidth=")),
            }
        }
        Ok(tier)
    }
}

impl TierArg {
    pub(crate) fn spec(&self, trace: &Trace) -> anyhow::Result<TierSpec> {
        let capacity = self.capacity.map(|capacity| capacity.resolve(trace)).transpose()?;
        Ok(TierSpec { name: self.name.clone(), capacity, access: self.access })
    }
}

/// Reads `150us`, `0.2ms` or `1s`, in milliseconds.
pub(crate) fn latency_ms(text: &str) -> Result<f64, String> {
    let bad = || format!("`{text}` is not a latency: expected a number and us, ms or s");
    // The longer names first: `ms` ends in `s`.
    let units = [("us", 1e-3), ("ms", 1.0), ("s", 1e3)];
    let (number, ms) = units.iter().find_map(|(unit, ms)| Some((text.strip_suffix(unit)?, ms))).ok_or_else(bad)?;
    let number: f64 = number.parse().map_err(|_| bad())?;
    if number.is_finite() && number >= 0.0 { Ok(number * ms) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers() {
        let tier: TierArg = "cold,latency=150us,bandwidth=1MB/s,capacity=50%".parse().unwrap();
        assert_eq!(tier.name, "cold");
        assert_eq!(tier.access, Access { latency_ms: 0.15, bytes_per_second: Some(1e6) });
        assert_eq!(tier.capacity, "50%".parse().ok());
        for bad in [
            "",
            "latency=1ms",
            "cold,latency=1",
            "cold,latency=-1ms",
            "cold,bandwidth=0/s",
            "cold,size=3",
            "cold,bandwidth=1GiB",
        ] {
            assert!(bad.parse::<TierArg>().is_err(), "{bad}");
        }
    }
}
