//! Hits and speed of every eviction policy: `evictions TRACE [CAPACITY,...] [--oracle FILE]`, tab-separated.
//!
//! With `--oracle` the references are also written in libCacheSim's oracleGeneral format, for `peers.py` beside this.

use prefix_indexer_simulator::{Capacity, EVICTIONS, Trace};
use prefix_indexer_traces::{Inputs, TraceOptions};
use std::{
    fs::File,
    io::{BufWriter, Write},
    time::Instant,
};

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to people")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let oracle = arguments.iter().position(|argument| argument == "--oracle");
    let oracle = oracle.map(|place| arguments.drain(place..).nth(1).ok_or("--oracle needs a file")).transpose()?;
    let mut arguments = arguments.into_iter();
    let path = arguments.next().ok_or("usage: evictions TRACE [CAPACITY,...] [--oracle FILE]")?;
    let capacities = arguments.next().unwrap_or_else(|| "1%,5%,10%,25%,50%,100%".to_owned());
    let started = Instant::now();
    let trace = Trace::load(Inputs::from_args([path])?.open(TraceOptions::default(), |_| Vec::new()), |_| ())?;
    let (references, unique) = (trace.references().len(), trace.unique_blocks() as u64);
    eprintln!("{} requests, {references} uses of {unique} blocks, read in {:.2?}", trace.len(), started.elapsed());
    if let Some(oracle) = oracle {
        write_oracle(&trace, File::create(oracle)?)?;
    }
    println!("eviction\tcapacity\tblock hits\tprefix hits\tM uses/s\tblock hit ratio");
    for policy in EVICTIONS {
        for capacity in capacities.split(',') {
            let blocks = u32::try_from(capacity.parse::<Capacity>()?.blocks(unique))?;
            let started = Instant::now();
            let hits = policy.replay(&trace, blocks, None);
            let speed = references as f64 / started.elapsed().as_secs_f64() / 1e6;
            let ratio = hits.blocks as f64 / references as f64;
            println!("{}\t{blocks}\t{}\t{}\t{speed:.1}\t{ratio:.4}", policy.name, hits.blocks, hits.prefixes);
        }
    }
    Ok(())
}

/// Packed little-endian records: time in seconds (u32), id from 1 (u64), size (u32), place of the next use (i64) or -1.
fn write_oracle(trace: &Trace, file: File) -> std::io::Result<()> {
    let references = trace.references();
    let mut next = vec![-1_i64; references.len()];
    let mut seen = vec![-1_i64; trace.unique_blocks()];
    for (place, &block) in references.iter().enumerate().rev() {
        next[place] = std::mem::replace(&mut seen[block as usize], place as i64);
    }
    let mut file = BufWriter::new(file);
    let mut place = 0;
    let (first_ms, _) = trace.span_ms().unwrap_or_default();
    for request in trace.requests() {
        for &block in request.blocks {
            file.write_all(&(((request.time_ms - first_ms) / 1_000) as u32).to_le_bytes())?;
            file.write_all(&(u64::from(block) + 1).to_le_bytes())?;
            file.write_all(&1_u32.to_le_bytes())?;
            file.write_all(&next[place].to_le_bytes())?;
            place += 1;
        }
    }
    file.flush()
}
