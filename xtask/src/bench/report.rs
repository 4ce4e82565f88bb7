//! Measurements and bars as tables for people and as a document that is kept.

use super::{machine::Machine, median};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::{fmt::Write, fs, path::Path};

/// Between these lines of docs/benchmarks.md stands the newest report.
const BEGIN: &str = "<!-- cargo xtask bench --write: begin -->\n";
const END: &str = "<!-- cargo xtask bench --write: end -->\n";

pub(super) struct Report {
    machine: Machine,
    rounds: usize,
    skipped: Vec<String>,
    scenarios: Vec<(String, String, Vec<Row>)>,
    bars: Vec<Bar>,
}

/// One line of a scenario's table.
pub(super) struct Row {
    who: String,
    median: f64,
    least: f64,
    most: f64,
    unit: String,
    note: String,
}

impl Row {
    /// Times in seconds, shown in milliseconds.
    pub(super) fn times(who: &str, seconds: &[f64]) -> Row {
        let least = seconds.iter().copied().fold(f64::INFINITY, f64::min) * 1e3;
        let most = seconds.iter().copied().fold(0.0, f64::max) * 1e3;
        Row { least, most, ..Row::value(who, median(seconds) * 1e3, "ms") }
    }

    /// Several measurements of the same.
    pub(super) fn values(who: &str, values: &[f64], unit: &str) -> Row {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(0.0, f64::max);
        Row { least, most, ..Row::value(who, median(values), unit) }
    }

    pub(super) fn value(who: &str, value: f64, unit: &str) -> Row {
        let (who, unit) = (who.to_owned(), unit.to_owned());
        Row { who, median: value, least: value, most: value, unit, note: String::new() }
    }

    pub(super) fn note(self, note: &str) -> Row {
        Row { note: note.to_owned(), ..self }
    }
}

/// What has to be reached.
pub(super) struct Bar {
    what: String,
    measured: f64,
    limit: f64,
    aim: f64,
    more_is_better: bool,
}

impl Bar {
    pub(super) fn at_least(what: &str, measured: f64, limit: f64, aim: f64) -> Bar {
        Bar { what: what.to_owned(), measured, limit, aim, more_is_better: true }
    }

    pub(super) fn at_most(what: &str, measured: f64, limit: f64) -> Bar {
        Bar { what: what.to_owned(), measured, limit, aim: limit, more_is_better: false }
    }

    fn is_met(&self) -> bool {
        if self.more_is_better { self.measured >= self.limit } else { self.measured <= self.limit }
    }

    fn verdict(&self) -> &'static str {
        match self.is_met() {
            true if self.more_is_better && self.measured < self.aim => "met, the aim is not",
            true => "met",
            false => "**missed**",
        }
    }
}

impl Report {
    pub(super) fn new(machine: Machine, rounds: usize, skipped: Vec<String>) -> Report {
        Report { machine, rounds, skipped, scenarios: Vec::new(), bars: Vec::new() }
    }

    pub(super) fn scenario(&mut self, name: &str, what: &str) {
        self.scenarios.push((name.to_owned(), what.to_owned(), Vec::new()));
    }

    /// Adds to the newest scenario.
    pub(super) fn row(&mut self, row: Row) {
        if let Some((.., rows)) = self.scenarios.last_mut() {
            rows.push(row);
        }
    }

    pub(super) fn bar(&mut self, bar: Bar) {
        self.bars.push(bar);
    }

    pub(super) fn skip(&mut self, what: &str) {
        eprintln!("SKIPPED: {what}");
        self.skipped.push(what.to_owned());
    }

    pub(super) fn all_met(&self) -> bool {
        self.bars.iter().all(Bar::is_met)
    }

    pub(super) fn markdown(&self) -> String {
        let Machine { date, processor, cores, memory_mib, system, compiler, revision } = &self.machine;
        let mut text = format!(
            "{date}, revision {revision}: {processor}, {cores} cores, {memory_mib} MiB, {system}, {compiler}; {} rounds.\n\n",
            self.rounds
        );
        // Writing to a string cannot fail.
        for skipped in &self.skipped {
            let _ = writeln!(text, "**Skipped:** {skipped}\n");
        }
        let _ = writeln!(text, "| bar | wanted | aim | measured | |\n|---|---:|---:|---:|---|");
        for bar in &self.bars {
            let sign = if bar.more_is_better { "at least" } else { "at most" };
            let (limit, aim, measured) = (shown(bar.limit), shown(bar.aim), shown(bar.measured));
            let _ = writeln!(text, "| {} | {sign} {limit} | {aim} | {measured} | {} |", bar.what, bar.verdict());
        }
        for (name, what, rows) in &self.scenarios {
            let _ = writeln!(text, "\n### {name}\n\n{what}.\n\n| | median | range | |\n|---|---:|---:|---|");
            for Row { who, median, least, most, unit, note } in rows {
                let range = if least < most { format!("{} .. {}", shown(*least), shown(*most)) } else { String::new() };
                let _ = writeln!(text, "| {who} | {} {unit} | {range} | {note} |", shown(*median));
            }
        }
        text
    }

    fn json(&self) -> Value {
        let Machine { date, processor, cores, memory_mib, system, compiler, revision } = &self.machine;
        let scenarios = self.scenarios.iter().map(|(name, what, rows)| {
            let rows: Vec<Value> = rows
                .iter()
                .map(|row| {
                    json!({"who": row.who, "median": row.median, "least": row.least, "most": row.most, "unit": row.unit,
                           "note": row.note})
                })
                .collect();
            json!({"name": name, "what": what, "rows": rows})
        });
        let bars = self.bars.iter().map(|bar| {
            let sign = if bar.more_is_better { "at_least" } else { "at_most" };
            json!({"what": bar.what, "measured": bar.measured, sign: bar.limit, "aim": bar.aim, "met": bar.is_met()})
        });
        json!({
            "date": date,
            "revision": revision,
            "machine": {"processor": processor, "cores": cores, "memory_mib": memory_mib, "system": system,
                        "compiler": compiler},
            "rounds": self.rounds,
            "skipped": self.skipped,
            "bars": bars.collect::<Vec<_>>(),
            "scenarios": scenarios.collect::<Vec<_>>(),
        })
    }

    /// Keeps the results, and shows them in docs/benchmarks.md.
    pub(super) fn write(&self, root: &Path) -> Result<()> {
        let results = root.join("benches/results");
        fs::create_dir_all(&results)?;
        let kept = results.join(format!("{}-{}.json", self.machine.date, self.machine.slug()));
        fs::write(&kept, format!("{:#}\n", self.json()))?;
        let document = root.join("docs/benchmarks.md");
        let text = fs::read_to_string(&document).with_context(|| format!("cannot read {}", document.display()))?;
        fs::write(&document, replaced(&text, &self.markdown()).context("docs/benchmarks.md has lost its marks")?)?;
        println!("written: {} and {}", kept.display(), document.display());
        Ok(())
    }
}

/// The document with another report between its marks.
fn replaced(document: &str, report: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{report}\n{END}{after}"))
}

/// About three digits.
fn shown(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        let text = str::to_owned;
        Machine {
            date: text("2026-11-20"),
            processor: text("Some(R) CPU @ 2.5GHz"),
            cores: 2,
            memory_mib: 7_900,
            system: text("Linux"),
            compiler: text("rustc"),
            revision: text("abc"),
        }
    }

    #[test]
    fn bars_are_met_or_missed() {
        for (bar, expect) in [
            (Bar::at_least("a", 3.0, 2.5, 3.0), "met"),
            (Bar::at_least("a", 2.6, 2.5, 3.0), "met, the aim is not"),
            (Bar::at_least("a", 2.4, 2.5, 3.0), "**missed**"),
            (Bar::at_least("a", f64::NAN, 2.5, 3.0), "**missed**"),
            (Bar::at_most("a", 240.0, 240.0), "met"),
            (Bar::at_most("a", 241.0, 240.0), "**missed**"),
        ] {
            assert_eq!(bar.verdict(), expect);
        }
    }

    #[test]
    fn a_report_has_bars_and_rows() {
        let mut report = Report::new(machine(), 3, vec!["polars: not here".to_owned()]);
        report.scenario("ingest", "all of it");
        report.row(Row::times("ours", &[0.2, 0.1, 0.3]).note("fast"));
        report.bar(Bar::at_most("size", 12.0, 10.0));
        let text = report.markdown();
        assert!(text.contains("**Skipped:** polars: not here"), "{text}");
        assert!(text.contains("| ours | 200 ms | 100 .. 300 | fast |"), "{text}");
        assert!(text.contains("| size | at most 10.0 | 10.0 | 12.0 | **missed** |"), "{text}");
        assert!(!report.all_met());
        assert_eq!(report.json()["bars"][0]["met"], false);
        assert_eq!(machine().slug(), "2x-some-r-cpu-2");
    }

    #[test]
    fn a_document_gets_the_newest_report() {
        let document = format!("# A\n{BEGIN}old\n{END}rest\n");
        assert_eq!(replaced(&document, "new\n"), Some(format!("# A\n{BEGIN}\nnew\n\n{END}rest\n")));
        assert_eq!(replaced("# A\n", "new"), None);
    }
}
