//! The simulator's eviction policies beside libCacheSim's: the same hits, and how much faster.
//!
//! Ours is the example `evictions`, which also writes the trace in libCacheSim's own binary format; libCacheSim then runs its C
//! loop over that file. Each policy's two runs follow each other.

use super::{
    Bench,
    report::{Bar, Report, Row},
};
use crate::{process, root};
use anyhow::{Context, Result, bail};
use std::{fs, path::Path};

const LIBRARY: &str = "libcachesim";
const PACKAGE: &str = "libcachesim==0.3.5";
const CAPACITIES: &str = "1%,5%,10%,25%,50%";

/// Policies that have one right answer.
const EXACT: [&str; 4] = ["lru", "fifo", "sieve", "min"];
/// Policies whose speed was asked for.
const FAST: [&str; 3] = ["lru", "sieve", "s3-fifo"];
/// Times as fast as libCacheSim.
const TIMES: f64 = 3.0;

/// One policy and capacity, as `peers.py` prints it.
struct Line {
    policy: String,
    capacity: u64,
    ours: u64,
    theirs: u64,
    our_speed: f64,
    their_speed: f64,
}

pub(super) fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    if !bench.peers.has(LIBRARY, PACKAGE)? {
        report
            .skip(&format!("{LIBRARY}: cannot be installed (pip install '{PACKAGE}'); no eviction policy is compared"));
        return Ok(());
    }
    process::run(process::cargo("build --release -p prefix-indexer-simulator --example evictions")?)?;
    let mut differing = 0;
    let small = ["mooncake.jsonl", "bailian.jsonl"].map(|name| root().map(|root| root.join("fixtures").join(name)));
    for trace in small {
        differing += differences(&compare(bench, &trace?)?);
    }
    let large = bench.trace("events-2m.jsonl")?;
    let rounds = (0..bench.rounds).map(|_| compare(bench, &large)).collect::<Result<Vec<_>>>()?;
    differing += rounds.iter().map(|lines| differences(lines)).sum::<u64>();
    report.scenario(
        "eviction policies",
        "2000000 uses of 107000 prefixes: million uses a second at five capacities, beside libCacheSim 0.3.5 in C over the same \
         uses in its own format; hits of lru, fifo, sieve and min are compared on three traces",
    );
    report.bar(Bar::at_most(
        "lru, fifo, sieve, min: capacities with other hits than libCacheSim",
        differing as f64,
        0.0,
    ));
    let Some(first) = rounds.first() else { bail!("no rounds") };
    for lines in first.chunk_by(|a, b| a.policy == b.policy) {
        let policy = &lines[0].policy;
        // The whole of a round's capacities counts as one run.
        let speed = |lines: &[Line], of: fn(&Line) -> f64| {
            let own: Vec<f64> = lines.iter().filter(|line| line.policy == *policy).map(|line| 1.0 / of(line)).collect();
            own.len() as f64 / own.iter().sum::<f64>()
        };
        let ours: Vec<f64> = rounds.iter().map(|lines| speed(lines, |line| line.our_speed)).collect();
        let theirs: Vec<f64> = rounds.iter().map(|lines| speed(lines, |line| line.their_speed)).collect();
        let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
        let ratio = super::median(&ratios);
        let same = lines.iter().all(|line| line.ours == line.theirs);
        let note = format!(
            "libCacheSim {:.1}, ours is {ratio:.1}x as fast; {}",
            super::median(&theirs),
            if same { "the same hits" } else { "other hits, see docs/replay.md" }
        );
        report.row(Row::values(policy, &ours, "M uses/s").note(&note));
        if FAST.contains(&policy.as_str()) {
            report.bar(Bar::at_least(&format!("replay, {policy}: times as fast as libCacheSim"), ratio, TIMES, TIMES));
        }
    }
    Ok(())
}

/// Capacities at which an exact policy has other hits.
fn differences(lines: &[Line]) -> u64 {
    let differs = |line: &&Line| {
        let differs = EXACT.contains(&line.policy.as_str()) && line.ours != line.theirs;
        if differs {
            eprintln!("{} at {}: {} hits, libCacheSim {}", line.policy, line.capacity, line.ours, line.theirs);
        }
        differs
    };
    lines.iter().filter(differs).count() as u64
}

/// Both over one trace.
fn compare(bench: &Bench, trace: &Path) -> Result<Vec<Line>> {
    let (ours, oracle) = (bench.scratch.join("evictions.tsv"), bench.scratch.join("evictions.oracleGeneral"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root()?.join("target"), Into::into);
    let example = target.join("release/examples/evictions");
    let mut command = process::program(&example.to_string_lossy(), "")?;
    command.arg(trace).arg(CAPACITIES).arg("--oracle").arg(&oracle);
    let output = command.output().context("cannot run the example evictions")?;
    if !output.status.success() {
        bail!("evictions {}: {}", trace.display(), String::from_utf8_lossy(&output.stderr));
    }
    fs::write(&ours, output.stdout)?;
    let mut command = bench.peers.python("crates/simulator/examples/peers.py")?;
    let output = command.arg(&ours).arg(&oracle).output().context("cannot run python")?;
    // It exits with 1 for a difference, which is seen in the lines, too.
    let printed = String::from_utf8(output.stdout).context("peers.py prints text")?;
    let lines: Vec<Line> = printed.lines().filter_map(line).collect();
    if lines.is_empty() {
        bail!("peers.py: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(lines)
}

/// Policy, capacity, our hits, theirs, whether they are the same, our speed, theirs; none for the heading.
fn line(text: &str) -> Option<Line> {
    let mut fields = text.split('\t');
    let mut next = || fields.next();
    let (policy, capacity, ours, theirs, _, our_speed, their_speed) =
        (next()?, next()?, next()?, next()?, next()?, next()?, next()?);
    Some(Line {
        policy: policy.to_owned(),
        capacity: capacity.parse().ok()?,
        ours: ours.parse().ok()?,
        theirs: theirs.parse().ok()?,
        our_speed: our_speed.parse().ok()?,
        their_speed: their_speed.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_their_differences() {
        let table = "eviction\tcapacity\tours\ttheirs\tsame\tours M/s\ttheirs M/s\tratio\n\
                     lru\t40\t895\t895\tyes\t50.0\t10.0\t5.0\nfifo\t40\t893\t892\tNO\t50.0\t10.0\t5.0\n\
                     s3-fifo\t40\t893\t7\tNO\t50.0\t10.0\t5.0\n";
        let lines: Vec<Line> = table.lines().filter_map(line).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!((lines[0].ours, lines[0].their_speed, differences(&lines)), (895, 10.0, 1));
    }
}
