//! How fast traces are read: `cargo run --release -p prefix-indexer-traces --example read_speed -- FILE...`
//!
//! Cuts once to measure the sequential part alone, then cuts and decodes on one thread.
#![expect(clippy::print_stdout, reason = "prints what it measured")]

use prefix_indexer_models::EventBatch;
use prefix_indexer_traces::{BadLines, Inputs, TraceError, TraceOptions};
use std::time::Instant;

fn main() -> Result<(), TraceError> {
    let inputs = Inputs::from_args(std::env::args_os().skip(1))?;
    let options = TraceOptions { bad_lines: BadLines::Skip, ..TraceOptions::default() };
    for _ in 0..3 {
        let start = Instant::now();
        let pieces = inputs.open(options.clone(), |_| Vec::new()).try_fold(0, |sum, piece| piece.map(|_| sum + 1))?;
        println!("cut only:     {:?}, {pieces} pieces", start.elapsed());
        let start = Instant::now();
        let (mut batch, mut events, mut bad) = (EventBatch::new(), 0, 0);
        for piece in inputs.open(options.clone(), |_| Vec::new()) {
            let report = piece?.decode(&mut batch)?;
            events += report.events;
            bad += report.bad_lines;
            for line in report.described.iter().filter(|_| bad < 5) {
                println!("{line}");
            }
        }
        println!("cut + decode: {:?}, {events} events, {bad} bad lines", start.elapsed());
    }
    Ok(())
}
