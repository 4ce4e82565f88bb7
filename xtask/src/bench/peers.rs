//! The peers: DuckDB and Polars from PyPI, in an environment of their own under `target/peers`.

use super::THREADS;
use crate::{process, root};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Library, and what pip is asked for.
const PEERS: &[(&str, &str)] = &[("duckdb", "duckdb==2.0.*"), ("polars", "polars")];

/// Peers that can run here.
pub(super) struct Peers {
    python: PathBuf,
    wanted: bool,
    present: Vec<&'static str>,
    skipped: Vec<String>,
}

/// One query of a peer.
pub(super) struct Answer {
    pub(super) seconds: f64,
    pub(super) prefixes: u64,
    pub(super) events: u64,
    pub(super) version: String,
}

impl Peers {
    pub(super) fn new(wanted: bool) -> Result<Peers> {
        let dir = root()?.join("target/peers");
        let mut peers = Peers { python: dir.join("bin/python"), wanted, present: Vec::new(), skipped: Vec::new() };
        if !wanted {
            peers.skipped.push("all peers were left out (--no-peers): no ratio is measured".to_owned());
            return Ok(peers);
        }
        if !peers.python.exists() {
            let mut venv = process::program("python3", "-m venv")?;
            venv.arg(&dir);
            if let Err(error) = process::run(venv) {
                peers.skipped.push(format!("all peers: no Python environment ({error:#})"));
            }
        }
        for (library, package) in PEERS {
            match peers.has(library, package)? {
                true => peers.present.push(library),
                false => peers.skipped.push(format!("{library}: cannot be installed (pip install '{package}')")),
            }
        }
        for skipped in &peers.skipped {
            eprintln!("SKIPPED: {skipped}");
        }
        Ok(peers)
    }

    /// Whether a library can be imported, once pip has been asked for it. Never without peers.
    pub(super) fn has(&self, library: &str, package: &str) -> Result<bool> {
        let import = || -> Result<bool> {
            let mut python = process::program(&self.python.to_string_lossy(), "-c")?;
            python.arg(format!("import {library}"));
            Ok(process::is_there(python))
        };
        if !self.wanted || import()? {
            return Ok(self.wanted);
        }
        let mut pip = process::program(&self.python.to_string_lossy(), "-m pip install --quiet")?;
        pip.arg(package);
        // What could not be installed shows when it is imported.
        if let Err(error) = process::run(pip) {
            eprintln!("{error:#}");
        }
        import()
    }

    /// The Python that has the peers, with a script.
    pub(super) fn python(&self, script: &str) -> Result<Command> {
        process::program(&self.python.to_string_lossy(), script)
    }

    pub(super) fn names(&self) -> &[&'static str] {
        &self.present
    }

    pub(super) fn skipped(&self) -> Vec<String> {
        self.skipped.clone()
    }

    /// Asks SQLite or Redis for the top ten of a million: what was asked, median and p99 in nanoseconds. An error when the
    /// peer cannot run here.
    pub(super) fn top_k(&self, peer: &str) -> Result<Vec<(String, f64, f64)>> {
        let mut command = process::program(&self.python.to_string_lossy(), "benches/peers/top_k.py")?;
        let output = command.arg(peer).args(["--prefixes", "1000000"]).output().context("cannot run python")?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let answer: Value = serde_json::from_slice(&output.stdout).context("a peer prints JSON")?;
        let version = answer["version"].as_str().unwrap_or_default();
        let row = |key: &str, what: &str| -> Result<_> {
            let number = |name: &str| answer[key][name].as_f64().with_context(|| format!("no {name} in {answer}"));
            Ok((format!("{peer} {version}, top 10 of {what}, from Python"), number("median_ns")?, number("p99_ns")?))
        };
        Ok(vec![row("all", "all")?, row("tenant", "a tenant")?])
    }

    /// Whether peers were asked for.
    pub(super) fn are_wanted(&self) -> bool {
        self.wanted
    }

    /// Runs the aggregation of a file; with `check`, compares its numbers with our recommendations in that directory.
    pub(super) fn aggregate(&self, peer: &str, file: &Path, check: Option<&Path>) -> Result<Answer> {
        let mut command = process::program(&self.python.to_string_lossy(), "benches/peers/aggregate.py")?;
        command.arg(peer).arg(file).arg("--threads").arg(THREADS.to_string());
        if let Some(dir) = check {
            command.arg("--check").arg(dir);
        }
        let output = command.output().context("cannot run python")?;
        if !output.status.success() {
            bail!("{peer} on {}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
        }
        let answer: Value = serde_json::from_slice(&output.stdout).context("a peer prints JSON")?;
        Ok(Answer {
            seconds: answer["seconds"].as_f64().context("no seconds")?,
            prefixes: answer["prefixes"].as_u64().context("no prefixes")?,
            events: answer["events"].as_u64().context("no events")?,
            version: answer["version"].as_str().unwrap_or_default().to_owned(),
        })
    }
}
