//! `test`: all tests of the workspace, by cargo-nextest where it is installed and by cargo where not, the examples of the
//! documentation, the committed fixtures and the rules of the house. Its last line counts them. Tests that need a service
//! run where it can be had; the others are counted as skipped.

use crate::{check, fixtures, process, services};
use anyhow::{Result, bail};
use std::{fmt, ops::AddAssign, process::ExitCode};

pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    if let Some(arg) = args.first() {
        bail!("test has no option {arg:?}; a part of the tests runs with cargo test");
    }
    let mut total = Counts::default();
    let services = services::start();
    let tests = |arguments: &str, count| tests(arguments, &services.environment, count);
    // All of the workspace each time, so that nothing is compiled anew with other features.
    let needed: String = services.there.iter().map(|service| format!(" --test {}", service.test_binary)).collect();
    let (all, in_services, count): (_, _, fn(&str) -> Counts) =
        if process::is_there(process::cargo("nextest --version")?) {
            let run = "nextest run --workspace --no-fail-fast";
            (format!("{run} --all-targets"), format!("{run}{needed} --run-ignored only"), Counts::of_nextest)
        } else {
            eprintln!("cargo-nextest is not installed: cargo test runs the tests, one binary after the other");
            let run = "test --workspace --no-fail-fast";
            (format!("{run} --all-targets"), format!("{run}{needed} -- --ignored"), Counts::of_cargo)
        };
    total += tests(&all, count)?;
    if !needed.is_empty() {
        let counts = tests(&in_services, count)?;
        // They were counted as ignored before.
        total.skipped = total.skipped.saturating_sub(counts.passed + counts.failed);
        total += Counts { skipped: 0, ..counts };
    }
    total += tests("test --workspace --doc --no-fail-fast", Counts::of_cargo)?;
    for outcome in [fixtures::run(&["--check".to_owned()]), check::run(&[])] {
        match outcome {
            Ok(()) => total.passed += 1,
            Err(error) => {
                eprintln!("error: {error:#}");
                total.failed += 1;
            }
        }
    }
    services.report();
    println!("{total}");
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tests(arguments: &str, environment: &[(&str, String)], count: fn(&str) -> Counts) -> Result<Counts> {
    let mut command = process::cargo(arguments)?;
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let (status, printed) = process::run_copied(command)?;
    let mut counts = count(&printed);
    // A build that fails, or a test that takes its process down, leaves no count.
    if !status.success() && counts.failed == 0 {
        counts.failed = 1;
    }
    Ok(counts)
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Counts {
    /// Adds up `14 passed; 1 failed; 2 ignored; 0 measured; 3 filtered out; finished in 0.1s` of each test binary.
    fn of_cargo(printed: &str) -> Counts {
        Counts::of(printed, "test result:", ';')
    }

    /// Reads `Summary [ 0.1s] 17 tests run: 14 passed (1 slow), 3 failed, 2 skipped`.
    fn of_nextest(printed: &str) -> Counts {
        Counts::of(printed, "Summary [", ',')
    }

    fn of(printed: &str, mark: &str, separator: char) -> Counts {
        let mut counts = Counts::default();
        for line in printed.lines().filter(|line| line.trim_start().starts_with(mark)) {
            // Before the last colon or full stop that a space follows come verdict, time and number of tests.
            let start = line.rfind(": ").max(line.find(". ")).map_or(0, |at| at + 2);
            for part in line.get(start..).unwrap_or_default().split(separator) {
                let mut words = part.split_whitespace();
                let number = words.next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
                match words.next() {
                    Some("passed") => counts.passed += number,
                    Some("failed" | "timed" | "exec" | "aborted") => counts.failed += number,
                    Some("ignored" | "filtered" | "skipped") => counts.skipped += number,
                    _ => {}
                }
            }
        }
        counts
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Counts) {
        self.passed += more.passed;
        self.failed += more.failed;
        self.skipped += more.skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(counts: Counts, expect: &str) {
        assert_eq!(counts.to_string(), expect);
    }

    #[test]
    fn cargo_counts_add_up() {
        let printed = "running 3 tests\n\
            test result: ok. 14 passed; 0 failed; 2 ignored; 0 measured; 1 filtered out; finished in 0.00s\n\
            test result: FAILED. 1 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        check(Counts::of_cargo(printed), "15 passed, 4 failed, 3 skipped");
    }

    #[test]
    fn nextest_counts_are_read() {
        let nextest = |summary: &str| Counts::of_nextest(&format!("x\n     {summary}\n"));
        check(nextest("Summary [   0.149s] 29 tests run: 29 passed, 0 skipped"), "29 passed, 0 failed, 0 skipped");
        check(
            nextest(
                "Summary [   9.1s] 7/9 tests run: 3 passed (1 slow, 1 leaky), 2 failed, 1 timed out, 1 exec failed, 5 skipped",
            ),
            "3 passed, 4 failed, 5 skipped",
        );
        check(nextest("Summary [   0.1s] 1 test run: 1 passed, 2 skipped"), "1 passed, 0 failed, 2 skipped");
    }

    #[test]
    fn other_lines_count_nothing() {
        check(Counts::of_cargo("test result_is: ok. 3 passed; 1 failed"), "0 passed, 0 failed, 0 skipped");
    }
}
