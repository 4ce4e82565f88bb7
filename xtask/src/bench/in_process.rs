//! What is too short for a process of its own: measured by `prefix-indexer-benches`, which prints a JSON object a line.

use super::{
    Bench,
    report::{Bar, Report, Row},
};
use anyhow::{Context, Result};
use serde_json::Value;

pub(super) fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let scratch = bench.scratch.to_string_lossy();
    let printed = bench.ours.benches(&["run", "--scratch", &scratch])?;
    report.scenario("in process", "medians of batches; p99 of single calls, the time of the clock itself taken off");
    measurements(&printed, report)?;
    for peer in ["sqlite", "redis"].into_iter().filter(|_| bench.peers.are_wanted()) {
        match bench.peers.top_k(peer) {
            Ok(rows) => rows.into_iter().for_each(|(who, median, p99)| {
                report.row(Row::value(&who, median, "ns").note(&format!("1 M prefixes, p99 {p99:.0} ns")));
            }),
            Err(error) => report.skip(&format!("{peer}: {error:#}")),
        }
    }
    Ok(())
}

/// Adds what a program measured: a JSON object a line, with its bar if it has one.
pub(super) fn measurements(printed: &str, report: &mut Report) -> Result<()> {
    for line in printed.lines() {
        let line: Value = serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))?;
        let text = |name: &str| line[name].as_str().with_context(|| format!("no {name} in {line}"));
        let value = line["value"].as_f64().with_context(|| format!("no value in {line}"))?;
        report.row(Row::value(text("name")?, value, text("unit")?).note(text("note")?));
        if let Some(limit) = line["at_most"].as_f64() {
            report.bar(Bar::at_most(&format!("{}, {}", text("name")?, text("unit")?), value, limit));
        }
        if let Some(limit) = line["at_least"].as_f64() {
            report.bar(Bar::at_least(&format!("{}, {}", text("name")?, text("unit")?), value, limit, limit));
        }
    }
    Ok(())
}
