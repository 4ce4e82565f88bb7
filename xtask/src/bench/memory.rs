//! Peak memory of an ingestion: it grows with distinct prefixes, not with the length of the trace.

use super::{
    Bench, ingest,
    report::{Bar, Report, Row},
};
use anyhow::Result;
use std::fs;

/// Names of the traces, in the order of their distinct prefixes; the second has the prefixes of the first and more events.
const TRACES: [&str; 3] = ["events-2m-100k.jsonl", "events-6m-100k.jsonl", "events-4m-1m.jsonl"];

pub(super) fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let data = bench.scratch.join("index");
    report.scenario("memory", "peak resident memory of a whole ingestion, as the system counts it");
    let lines = TRACES.map(|name| bench.trace(name).map(|trace| ("", trace)));
    let parquet = ingest::parquet_trace(bench).map(|trace| (", Parquet", trace));
    for trace in lines.into_iter().chain([parquet]) {
        let (format, trace) = trace?;
        let ingestion = bench.ours.ingest_for_memory(&trace, &data)?;
        let Some(peak) = ingestion.peak_bytes else {
            report.skip("memory: this system does not tell the peak of a process");
            return Ok(());
        };
        let limit = (64 << 20) as f64 + 250.0 * ingestion.prefixes as f64;
        let what = format!("{} events, {} prefixes{format}", ingestion.events, ingestion.prefixes);
        report.row(
            Row::value(&what, peak as f64 / f64::from(1 << 20), "MiB")
                .note(&format!("{:.0} bytes a prefix", peak as f64 / ingestion.prefixes as f64)),
        );
        report.bar(Bar::at_most(
            &format!("memory, MiB: {what}"),
            peak as f64 / f64::from(1 << 20),
            limit / f64::from(1 << 20),
        ));
    }
    fs::remove_dir_all(&data)?;
    Ok(())
}
