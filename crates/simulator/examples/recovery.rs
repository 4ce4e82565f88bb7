//! What each policy recovers after a restart: `recovery TRACE [JSON [POLICY,...]]`.

use prefix_indexer_analytics::policies::{self, REPLAY_HALF_LIVES_MS};
use prefix_indexer_models::Ladder;
use prefix_indexer_simulator::{Trace, rankers, scenarios::restart};
use prefix_indexer_traces::{Inputs, TraceOptions};
use std::time::Instant;

#[expect(clippy::print_stdout, reason = "an example talks to people")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: recovery TRACE [JSON [POLICY,...]]")?;
    let trace = Trace::load(Inputs::from_args([path])?.open(TraceOptions::default(), |_| Vec::new()), |_| ())?;
    let json = arguments.next();
    let ladder = Ladder::new(&REPLAY_HALF_LIVES_MS)?;
    let names = match arguments.next() {
        Some(list) => list.split(',').map(str::to_owned).collect(),
        None => policies::names(&ladder),
    };
    let mut rankers = rankers(&names, &ladder)?;
    let options = restart::Options::default();
    let started = Instant::now();
    let report = restart::run(&trace, &options, &mut rankers, |_, _| ())?;
    let elapsed = started.elapsed();
    if let Some(json) = json {
        std::fs::write(json, serde_json::to_vec(&report)?)?;
    }
    let percent = |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{:.1}", share * 100.0));
    for rows in report.rows.chunk_by(|a, b| a.policy == b.policy) {
        let cells: Vec<String> = rows.iter().map(|row| percent(row.recovered)).collect();
        println!("{:24}{}", rows[0].policy, cells.join("\t"));
    }
    println!();
    for summary in &report.summary {
        let [mean, low, high, gap] =
            [summary.recovered, summary.recovered_low, summary.recovered_high, summary.worst_gap].map(percent);
        println!("{:24}{mean}  [{low}, {high}]  worst gap {gap}", summary.policy);
    }
    println!("{elapsed:.2?}");
    Ok(())
}
