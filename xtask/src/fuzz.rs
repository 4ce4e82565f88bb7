//! `fuzz`: every target of `fuzz/`, one after the other, for a minute each or as long as is wanted.

use crate::{process, root};
use anyhow::{Context, Result, bail};
use std::fs;

pub(crate) fn run(args: &[String]) -> Result<()> {
    let (mut seconds, mut only) = (60_u64, None);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--seconds" => seconds = args.next().context("--seconds needs a number")?.parse()?,
            target if !target.starts_with('-') => only = Some(target.to_owned()),
            other => bail!("fuzz has no option {other:?}"),
        }
    }
    let mut targets = targets()?;
    if let Some(only) = only {
        if !targets.contains(&only) {
            bail!("there is no fuzz target {only:?}; there are {}", targets.join(", "));
        }
        targets = vec![only];
    }
    if !process::is_there(process::cargo("fuzz --version")?) {
        eprintln!("cargo-fuzz is not installed, so it is installed now");
        process::run(process::cargo("install cargo-fuzz --locked")?)?;
    }
    let mut crashed = Vec::new();
    for target in &targets {
        // The newest inputs go to corpus/, which is not committed; seeds/ is, and is only read.
        let (corpus, seeds) = (format!("fuzz/corpus/{target}"), format!("fuzz/seeds/{target}"));
        fs::create_dir_all(root()?.join(&corpus))?;
        let seeds = if root()?.join(&seeds).is_dir() { seeds } else { String::new() };
        let limits = format!("-max_total_time={seconds} -timeout=10 -rss_limit_mb=2048");
        let mut command = process::cargo(&format!("fuzz run {target} {corpus} {seeds} -- {limits}"))?;
        // The sanitizer's flags are unstable; this makes them work with the stable compiler.
        command.env("RUSTC_BOOTSTRAP", "1");
        if let Err(error) = process::run(command) {
            eprintln!("error: {error:#}");
            crashed.push(target.as_str());
        }
    }
    if !crashed.is_empty() {
        bail!("crashed: {} (inputs in fuzz/artifacts)", crashed.join(", "));
    }
    println!("{} targets, {seconds} s each: no crash", targets.len());
    Ok(())
}

fn targets() -> Result<Vec<String>> {
    let dir = root()?.join("fuzz/fuzz_targets");
    let mut targets = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("no fuzz targets in {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            targets.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    targets.sort();
    Ok(targets)
}
