//! On what, of what and when something was measured.

use crate::process;
use anyhow::{Context, Result};
use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

/// Where the numbers of a report come from.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    /// `year-month-day`, UTC.
    pub(super) date: String,
    pub(super) processor: String,
    pub(super) cores: usize,
    pub(super) memory_mib: u64,
    pub(super) system: String,
    pub(super) compiler: String,
    /// Revision of the sources, `+` if they were changed since.
    pub(super) revision: String,
}

impl Machine {
    /// Short name for files: cores and processor.
    pub(super) fn slug(&self) -> String {
        let words = self.processor.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let words: Vec<String> = words.take(4).map(str::to_lowercase).collect();
        format!("{}x-{}", self.cores, words.join("-"))
    }
}

pub(super) fn describe() -> Result<Machine> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_secs();
    let line = |path: &str, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let found = text.lines().find(|line| line.starts_with(key)).and_then(|line| line.split_once(':'));
        found.map_or("unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let memory_kib = line("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0_u64);
    let is_changed = !first_line("git", "status --porcelain --untracked-files=no").is_empty();
    Ok(Machine {
        date: date(seconds / 86_400),
        processor: line("/proc/cpuinfo", "model name"),
        cores: std::thread::available_parallelism()?.get(),
        memory_mib: memory_kib / 1024,
        system: first_line("uname", "-srm"),
        compiler: first_line("rustc", "--version"),
        revision: first_line("git", "rev-parse --short HEAD") + if is_changed { "+" } else { "" },
    })
}

/// What a program says first; empty if it is not there.
fn first_line(program: &str, arguments: &str) -> String {
    let output = process::program(program, arguments).and_then(|mut command| Ok(command.output()?));
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

/// Gregorian date of a number of days since 1970.
fn date(days: u64) -> String {
    let (mut year, mut left) = (1970, days);
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    while left >= 365 + u64::from(is_leap(year)) {
        left -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    for days in [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < days {
            break;
        }
        left -= days;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (days, expect) in [
            (0, "1970-01-01"),
            (58, "1970-02-28"),
            (11_016, "2000-02-29"),
            (20_777, "2026-11-20"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
        ] {
            assert_eq!(date(days), expect);
        }
    }
}
