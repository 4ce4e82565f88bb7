//! `soak`: the service at full load for long: no error, and memory that stays where it was.

use crate::{process, root, serving::Serving};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{path::Path, process::Command, thread};

/// Memory may end this much above where it was after the first round: allocators breathe.
const BREATH: f64 = 1.25;

pub(crate) fn run(args: &[String]) -> Result<()> {
    let minutes: u64 = match args {
        [] => 60,
        [option, minutes] if option == "--minutes" => minutes.parse().context("--minutes needs a number")?,
        _ => bail!("soak has one option: --minutes 60"),
    };
    process::run(process::cargo("build --release -p prefix-indexer-cli -p prefix-indexer-benches")?)?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root()?.join("target"), Into::into);
    let release = target.join("release");
    let data = target.join("soak");
    if data.exists() {
        std::fs::remove_dir_all(&data)?;
    }
    let serving = Serving::start(&release.join("prefix-indexer"), &data)?;
    let benches = release.join("prefix-indexer-benches");
    let mut first = None;
    for minute in 1..=minutes {
        let (asked, ingested) = thread::scope(|scope| {
            let ingesting = scope.spawn(|| load(&benches, &serving, &["60", "4", "ingest", "1000", "1000000"]));
            let asked = load(&benches, &serving, &["60", "50", "suggest", "/v1/suggest?top_k=10"]);
            Ok::<_, anyhow::Error>((asked?, ingesting.join().map_err(|_| anyhow::anyhow!("the load panicked"))??))
        })?;
        let resident = serving.resident().context("this system does not tell the memory of a process")?;
        println!(
            "minute {minute}: {:.0} questions/s (p99 {:.1} ms), {:.0} durable events/s, {:.0} MiB",
            asked["requests_per_second"].as_f64().unwrap_or(f64::NAN),
            asked["p99_ms"].as_f64().unwrap_or(f64::NAN),
            ingested["events_per_second"].as_f64().unwrap_or(f64::NAN),
            resident as f64 / f64::from(1 << 20)
        );
        // The first minutes fill what is bounded: tables, buffers, the allocator's own.
        let first = if minute <= 2 { *first.insert(resident) } else { first.unwrap_or(resident) };
        if resident as f64 > first as f64 * BREATH {
            bail!("memory grew from {first} to {resident} bytes");
        }
    }
    drop(serving);
    Ok(std::fs::remove_dir_all(&data)?)
}

fn load(benches: &Path, serving: &Serving, arguments: &[&str]) -> Result<Value> {
    let output = Command::new(benches).args(["http", serving.address()]).args(arguments).output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
