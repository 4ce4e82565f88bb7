//! Our command, run as a whole process: what a user waits for, and what the system gives it.

use super::THREADS;
use crate::{process, root};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The release build of the command.
pub(super) struct Ours {
    program: PathBuf,
    benches: PathBuf,
}

/// One ingestion of a file into a new index.
pub(super) struct Ingestion {
    /// From start to exit of the process.
    pub(super) seconds: f64,
    pub(super) events: u64,
    pub(super) prefixes: u64,
    /// Peak resident memory, where it was watched and the system tells.
    pub(super) peak_bytes: Option<u64>,
}

impl Ours {
    pub(super) fn new() -> Result<Ours> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root()?.join("target"), PathBuf::from);
        let release = target.join("release");
        Ok(Ours { program: release.join("prefix-indexer"), benches: release.join("prefix-indexer-benches") })
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// Ingests into `data`, which is made anew.
    pub(super) fn ingest(&self, file: &Path, data: &Path) -> Result<Ingestion> {
        self.ingest_watched(file, data, false)
    }

    /// Ingests and watches the memory. Watching costs some time, so the seconds are no measurement.
    pub(super) fn ingest_for_memory(&self, file: &Path, data: &Path) -> Result<Ingestion> {
        self.ingest_watched(file, data, true)
    }

    fn ingest_watched(&self, file: &Path, data: &Path, watch: bool) -> Result<Ingestion> {
        if data.exists() {
            fs::remove_dir_all(data)?;
        }
        let mut command = Command::new(&self.program);
        command.arg("ingest").arg(file).arg("--data").arg(data).args(["--json", "--threads"]).arg(THREADS.to_string());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = command.spawn().with_context(|| format!("cannot run {}", self.program.display()))?;
        let mut peak_bytes = None;
        while watch && child.try_wait()?.is_none() {
            // The system keeps the peak itself; it is gone with the process, so it is read until then.
            peak_bytes = peak(child.id()).max(peak_bytes);
            thread::sleep(Duration::from_millis(1));
        }
        let output = child.wait_with_output()?;
        let seconds = started.elapsed().as_secs_f64();
        if !output.status.success() {
            bail!("ingest {}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
        }
        let summary: Value = serde_json::from_slice(&output.stdout).context("ingest --json prints JSON")?;
        let number = |name: &str| summary[name].as_u64().with_context(|| format!("ingest --json has no {name}"));
        Ok(Ingestion { seconds, events: number("events")?, prefixes: number("prefixes")?, peak_bytes })
    }

    /// The first recommendations of an index under a half-life, as the command prints them.
    pub(super) fn suggest(&self, data: &Path, half_life: &str, top_k: usize, to: &Path) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.arg("suggest").arg("--data").arg(data).args(["--half-life", half_life, "--json", "--top-k"]);
        let output = command.arg(top_k.to_string()).output()?;
        if !output.status.success() {
            bail!("suggest: {}", String::from_utf8_lossy(&output.stderr));
        }
        fs::write(to, output.stdout).with_context(|| format!("cannot write {}", to.display()))
    }

    /// Runs the binary of the in-process benches and returns what it prints.
    pub(super) fn benches(&self, arguments: &[&str]) -> Result<String> {
        let mut command = process::program(&self.benches.to_string_lossy(), "")?;
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().context("cannot run the benches")?;
        let mut printed = String::new();
        if let Some(stdout) = &mut child.stdout {
            stdout.read_to_string(&mut printed)?;
        }
        if !child.wait()?.success() {
            bail!("prefix-indexer-benches {} failed", arguments.join(" "));
        }
        Ok(printed)
    }
}

/// Peak resident bytes of a living process, on Linux.
fn peak(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// Bytes of all files in a directory.
pub(super) fn size(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { size(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}
