//! `soak`: the service at full load for long: no error, and memory that stays where it was.

use crate::{process, root, serving::Serving};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{
    path::Path,
    process::Command,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

/// Memory may rise this much above where it was in the second minute: allocators breathe.
pub(crate) const BREATH: f64 = 1.25;

pub(crate) fn run(args: &[String]) -> Result<()> {
    let minutes: u64 = match args {
        [] => 60,
        [option, minutes] if option == "--minutes" => minutes.parse().context("--minutes needs a number")?,
        _ => bail!("soak has one option: --minutes 60"),
    };
    process::run(process::cargo("build --release -p prefix-indexer-cli -p prefix-indexer-benches")?)?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root()?.join("target"), Into::into);
    let release = target.join("release");
    let growth = minutes_of_load(&release, &target.join("soak"), minutes, |number, minute| {
        println!(
            "minute {number}: {:.0} questions/s (p99 {:.1} ms), {:.0} durable events/s, {:.0} MiB",
            minute.questions_per_second,
            minute.p99_ms,
            minute.events_per_second,
            minute.resident as f64 / f64::from(1 << 20)
        );
    })?;
    if growth > BREATH {
        bail!("memory grew {growth:.2}-fold");
    }
    Ok(())
}

/// What a minute was like.
pub(crate) struct Minute {
    pub(crate) questions_per_second: f64,
    pub(crate) p99_ms: f64,
    pub(crate) events_per_second: f64,
    /// Anonymous bytes: the median of a look a second. What is dirty grows and is flushed, and merging takes memory for a while, so that one
    /// look may find a third more than another.
    pub(crate) resident: u64,
}

/// Full load for so many minutes, on the programs in `release`; the most memory in a later minute over that in the second one, when what is
/// bounded is full: tables, buffers, the allocator's own. An answer that is an error ends it.
pub(crate) fn minutes_of_load(
    release: &Path,
    data: &Path,
    minutes: u64,
    mut each: impl FnMut(u64, &Minute),
) -> Result<f64> {
    if data.exists() {
        std::fs::remove_dir_all(data)?;
    }
    let serving = Serving::start(&release.join("prefix-indexer"), data)?;
    let benches = release.join("prefix-indexer-benches");
    let (mut first, mut growth) = (None, 1.0);
    for number in 1..=minutes {
        let (asked, ingested, mut resident) = thread::scope(|scope| {
            let (done, ended) = mpsc::channel::<()>();
            let serving = &serving;
            let watching = scope.spawn(move || {
                let mut seen = Vec::new();
                while ended.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
                    seen.extend(serving.resident());
                }
                seen
            });
            let ingesting = scope.spawn(|| load(&benches, serving, &["60", "4", "ingest", "1000", "1000000"]));
            let asked = load(&benches, serving, &["60", "50", "suggest", "/v1/suggest?top_k=10"]);
            let ingested = ingesting.join().map_err(|_| anyhow::anyhow!("the load panicked"));
            drop(done);
            let resident = watching.join().map_err(|_| anyhow::anyhow!("who watched its memory panicked"))?;
            Ok::<_, anyhow::Error>((asked?, ingested??, resident))
        })?;
        resident.sort_unstable();
        let resident =
            *resident.get(resident.len() / 2).context("this system does not tell the memory of a process")?;
        let of = |answer: &Value, name: &str| answer[name].as_f64().with_context(|| format!("no {name} in {answer}"));
        let minute = Minute {
            questions_per_second: of(&asked, "requests_per_second")?,
            p99_ms: of(&asked, "p99_ms")?,
            events_per_second: of(&ingested, "events_per_second")?,
            resident,
        };
        each(number, &minute);
        let first = if number <= 2 { *first.insert(resident) } else { first.unwrap_or(resident) };
        growth = f64::max(growth, resident as f64 / first as f64);
    }
    drop(serving);
    std::fs::remove_dir_all(data)?;
    Ok(growth)
}

fn load(benches: &Path, serving: &Serving, arguments: &[&str]) -> Result<Value> {
    let output = Command::new(benches).args(["http", serving.address()]).args(arguments).output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
