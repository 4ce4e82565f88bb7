//! `check`: what no compiler checks. Crates know only whom they may know, sources keep the rules of the house, and the
//! documents that name code name code that exists.

mod arrows;
mod manifests;
mod parity;
mod sources;
mod text;

use crate::{root, tree};
use anyhow::{Result, bail};
use std::fs;

/// A broken rule: where and what.
type Finding = String;

pub(crate) fn run(args: &[String]) -> Result<()> {
    if let Some(arg) = args.first() {
        bail!("check has no option {arg:?}");
    }
    let findings = findings()?;
    if findings.is_empty() {
        println!("check: crate arrows, house rules and documents hold");
        return Ok(());
    }
    for finding in &findings {
        eprintln!("{finding}");
    }
    bail!("check: {} rules are broken", findings.len())
}

fn findings() -> Result<Vec<Finding>> {
    let root = root()?;
    let mut findings = arrows::findings(&arrows::metadata(&root)?);
    let mut sources = Vec::new();
    let mut manifests = Vec::new();
    let mut documents = Vec::new();
    for path in tree::files(&root)? {
        let name = path.strip_prefix(&root)?.to_string_lossy().replace('\\', "/");
        let Ok(text) = String::from_utf8(fs::read(&path)?) else { continue };
        findings.extend(text::findings(&name, &text));
        if name.ends_with(".rs") {
            sources.push((name, text));
        } else if name.ends_with("Cargo.toml") {
            manifests.push((name, text));
        } else if name.ends_with(".md") {
            documents.push((name, text));
        }
    }
    for (name, source) in &sources {
        findings.extend(sources::findings(name, source));
    }
    for (name, manifest) in &manifests {
        findings.extend(manifests::findings(name, manifest));
    }
    let document = |name: &str| documents.iter().find(|(path, _)| path == name).map_or("", |(_, text)| text.as_str());
    findings.extend(arrows::document_findings(document("docs/architecture.md")));
    findings.extend(parity::findings(document("docs/parity.md"), &sources));
    Ok(findings)
}
