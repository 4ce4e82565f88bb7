//! Our memory and filesystem tiers beside foyer's hybrid cache, with the same budgets, on the same stream of requests.
//!
//! foyer brings some hundred crates that nothing else here needs: the comparison is a workspace of its own (`benches/peers/foyer`), built
//! only here, into `target/foyer`.

use super::{Bench, in_process::measurements, report::Report};
use crate::{process, root};
use anyhow::{Context, Result, ensure};
use std::process::Stdio;

const WORKSPACE: &str = "benches/peers/foyer";
const TARGET: &str = "target/foyer";

pub(super) fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    if !bench.peers.are_wanted() {
        return Ok(());
    }
    let build = format!("build --release --locked --manifest-path {WORKSPACE}/Cargo.toml --target-dir {TARGET}");
    if let Err(error) = process::run(process::cargo(&build)?) {
        report.skip(&format!("foyer: cannot be built ({error:#}); no hybrid cache is compared"));
        return Ok(());
    }
    let program = root()?.join(TARGET).join("release/prefix-indexer-bench-foyer");
    let mut command = process::program(&program.to_string_lossy(), "")?;
    command.arg(&bench.scratch).arg(bench.rounds.to_string());
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot run {}", program.display()))?;
    ensure!(output.status.success(), "the comparison with foyer failed ({})", output.status);
    report.scenario(
        "memory and files beside foyer 0.22",
        "memory 64 MiB, disk 512 MiB, no fsync, files in the page cache; 25000 gets of blocks of 16 to 128 KiB after as many that fill, \
         one after the other; what is missing is set; between requests (1 to 16 blocks) there is time to write. Means, medians in the \
         notes. `foyer` is as it comes (LRU, written when it leaves memory)",
    );
    measurements(&String::from_utf8_lossy(&output.stdout), report).context("what the comparison with foyer printed")
}
