//! Sizes and durations as people write them.

use std::time::Duration;

const SIZES: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// Reads `200GiB`, `64MB`, `1.5GiB` or plain bytes.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let bad =
        || format!("`{text}` is not a size: expected bytes, or a number and KiB, MiB, GiB, TiB, kB, MB, GB or TB");
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = match unit.trim() {
        "" | "B" => 1,
        unit => SIZES.iter().find(|(name, _)| *name == unit).ok_or_else(bad)?.1,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(unit).ok_or_else(bad);
    }
    let value = number.parse::<f64>().map_err(|_| bad())? * unit as f64;
    if value < u64::MAX as f64 { Ok(value.round() as u64) } else { Err(bad()) }
}

/// Reads `1GiB/s`: bytes a second.
pub(crate) fn bandwidth(text: &str) -> Result<f64, String> {
    let size = text.strip_suffix("/s").ok_or_else(|| format!("`{text}` is not a bandwidth: expected as in 1GiB/s"))?;
    match self::size(size)? {
        0 => Err("a bandwidth is more than 0".to_owned()),
        bytes => Ok(bytes as f64),
    }
}

/// Reads `TENANT=SIZE`.
pub(crate) fn quota(text: &str) -> Result<(String, u64), String> {
    match text.rsplit_once('=') {
        Some((tenant, bytes)) if !tenant.is_empty() => Ok((tenant.to_owned(), size(bytes)?)),
        _ => Err(format!("`{text}` is not a quota: expected as in acme=10GiB")),
    }
}

/// Reads `500ms`, `60s`, `5m`, `6h` or `30d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    milliseconds(text).map(Duration::from_millis)
}

/// As [`duration`], in milliseconds.
pub(crate) fn milliseconds(text: &str) -> Result<u64, String> {
    prefix_indexer::parse_duration_ms(text).map_err(|error| error.to_string())
}

/// Bytes for people: `1.5 GiB`.
pub(crate) fn show_size(bytes: u64) -> String {
    let (name, unit) = SIZES[..4].iter().rev().find(|(_, unit)| bytes >= *unit).copied().unwrap_or(("B", 1));
    if unit == 1 { format!("{bytes} B") } else { format!("{:.1} {name}", bytes as f64 / unit as f64) }
}

/// A count for people: `1,234,567`.
pub(crate) fn show_count(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A duration as it is written on the command line: `60s`, `5m`, `6h`.
pub(crate) fn show_duration(ms: u64) -> String {
    let units = [("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    let whole = units.into_iter().find(|&(_, unit)| ms > unit && ms.is_multiple_of(unit));
    match whole {
        Some((name, unit)) => format!("{}{name}", ms / unit),
        None => format!("{ms}ms"),
    }
}

/// The distance between two times for people: `3.2 s`, `12 min`, `5 h`, `3 d`.
pub(crate) fn show_age(ms: u64) -> String {
    let seconds = ms as f64 / 1e3;
    match seconds {
        s if s < 90.0 => format!("{s:.1} s"),
        s if s < 5_400.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3_600.0),
        s => format!("{:.1} d", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [("4096", 4096), ("64MB", 64_000_000), ("200GiB", 200 << 30), ("1.5KiB", 1536), ("7 B", 7)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "GiB", "-1", "1XB", "1e3", "99999999999TiB", "1.2.3MB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bandwidths_and_quotas() {
        assert_eq!(bandwidth("1.5KiB/s"), Ok(1536.0));
        assert_eq!(quota("a=b=4KiB"), Ok(("a=b".to_owned(), 4096)));
        assert!(["1GiB", "0/s", "/s", "x/s"].iter().all(|text| bandwidth(text).is_err()));
        assert!(["acme", "=1", "acme=", "acme=x"].iter().all(|text| quota(text).is_err()));
    }

    #[test]
    fn shown() {
        assert_eq!(show_size(1536), "1.5 KiB");
        assert_eq!(show_size(12), "12 B");
        assert_eq!(show_count(1_234_567), "1,234,567");
        assert_eq!(show_count(123), "123");
        let durations = [60_000, 300_000, 3_600_000, 90_000, 1_500].map(show_duration);
        assert_eq!(durations, ["60s", "5m", "60m", "90s", "1500ms"]);
        assert_eq!(show_age(3_200), "3.2 s");
        assert_eq!(show_age(3_600_000 * 5), "5.0 h");
    }
}
