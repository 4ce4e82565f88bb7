//! Hit ratios and speed of every eviction policy: `evictions TRACE [CAPACITY,...]`.

use prefix_indexer_simulator::{Capacity, EVICTIONS, Trace};
use prefix_indexer_traces::{Inputs, TraceOptions};
use std::time::Instant;

#[expect(clippy::print_stdout, reason = "an example talks to people")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: evictions TRACE [CAPACITY,...]")?;
    let capacities = arguments.next().unwrap_or_else(|| "1%,5%,10%,25%,50%,100%".to_owned());
    let started = Instant::now();
    let trace = Trace::load(Inputs::from_args([path])?.open(TraceOptions::default(), |_| Vec::new()), |_| ())?;
    let (references, unique) = (trace.references().len(), trace.unique_blocks() as u64);
    println!("{} requests, {references} uses of {unique} blocks, read in {:.2?}", trace.len(), started.elapsed());
    println!("eviction\tcapacity\tblock\tprefix\tM uses/s");
    for policy in EVICTIONS {
        for capacity in capacities.split(',') {
            let blocks = capacity.parse::<Capacity>()?.blocks(unique);
            let started = Instant::now();
            let hits = policy.replay(&trace, u32::try_from(blocks)?, None);
            let speed = references as f64 / started.elapsed().as_secs_f64() / 1e6;
            let ratio = |hits: u64| hits as f64 / references as f64;
            println!("{}\t{blocks}\t{:.6}\t{:.6}\t{speed:.1}", policy.name, ratio(hits.blocks), ratio(hits.prefixes));
        }
    }
    Ok(())
}
