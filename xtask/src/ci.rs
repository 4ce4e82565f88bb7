//! `ci`: format, lints, documentation, licences and advisories, then all tests. Every step runs, whatever failed before.

use crate::{process, test};
use anyhow::{Result, bail};
use std::process::ExitCode;

pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    if let Some(arg) = args.first() {
        bail!("ci has no option {arg:?}");
    }
    let mut documentation = process::cargo("doc --locked --workspace --no-deps --document-private-items")?;
    documentation.env("RUSTDOCFLAGS", "-D warnings");
    let mut steps = vec![
        ("format", process::cargo("fmt --all --check")?),
        ("lints", process::cargo("clippy --locked --workspace --all-targets -- -D warnings")?),
        ("documentation", documentation),
    ];
    let deny = process::is_there(process::cargo("deny --version")?);
    if deny {
        steps.push(("licences and advisories", process::cargo("deny check")?));
    }
    let mut failed = Vec::new();
    for (name, command) in steps {
        if let Err(error) = process::run(command) {
            eprintln!("error: {error:#}");
            failed.push(name);
        }
    }
    let tests = test::run(&[])?;
    if !deny {
        eprintln!("SKIPPED: licences and advisories, because cargo-deny is not installed (cargo install cargo-deny)");
    }
    if tests != ExitCode::SUCCESS {
        failed.push("tests");
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}
