//! Which crate may name which: the layers of the architecture, compared with what cargo says.

use super::Finding;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{collections::BTreeSet, path::Path, process::Command};

/// A layer by its directory under `crates/`, and the layers it points to. It may also name whatever those may name, and
/// nothing else of ours. docs/architecture.md shows the same list.
const ARROWS: &[(&str, &[&str])] = &[
    ("cli", &["server"]),
    ("server", &["prefix-indexer"]),
    ("prefix-indexer", &["service", "simulator", "cache-object-store", "cache-redis"]),
    ("service", &["traces", "analytics", "storage", "cache", "prefetch"]),
    ("simulator", &["traces", "analytics"]),
    ("prefetch", &["analytics", "cache"]),
    ("cache-object-store", &["cache"]),
    ("cache-redis", &["cache"]),
    ("traces", &["models"]),
    ("analytics", &["models"]),
    ("storage", &["models"]),
    ("cache", &["models"]),
    ("models", &[]),
];

/// Crates outside the layers: tools may name every layer, or none.
const TOOLS: &[(&str, bool)] = &[("xtask", false), ("prefix-indexer-benches", true)];

/// Layers that someone can use without an asynchronous runtime or a network stack, and what they must not name.
const PLAIN_LAYERS: &[&str] = &["models", "traces", "analytics", "storage"];
const RUNTIMES: &[&str] = &["tokio", "async-std", "smol", "futures", "hyper", "reqwest", "axum", "object_store"];

/// The table as docs/architecture.md shows it.
pub(super) fn diagram() -> String {
    let width = ARROWS.iter().map(|(layer, _)| layer.len()).max().unwrap_or(0);
    let line = |(layer, to): &(&str, &[&str])| {
        let to = if to.is_empty() { "nothing of ours".to_owned() } else { to.join(", ") };
        format!("{layer:width$} -> {to}\n")
    };
    ARROWS.iter().map(line).collect()
}

pub(super) fn document_findings(architecture: &str) -> Option<Finding> {
    let diagram = diagram();
    (!architecture.contains(&diagram))
        .then(|| format!("docs/architecture.md: does not show the arrows that xtask checks, which are\n{diagram}"))
}

pub(super) fn metadata(root: &Path) -> Result<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--no-deps"]).current_dir(root);
    let output = command.output().context("cannot run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata is not JSON")
}

/// The layer of a package: packages are named after their directory.
fn layer(package: &str) -> Option<&'static str> {
    let name = if package == "prefix-indexer" { package } else { package.strip_prefix("prefix-indexer-")? };
    ARROWS.iter().map(|(layer, _)| *layer).find(|layer| *layer == name)
}

fn reachable(from: &str) -> BTreeSet<&'static str> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(layer) = open.pop() {
        let arrows = ARROWS.iter().filter(|(from, _)| *from == layer);
        for to in arrows.flat_map(|(_, to)| *to) {
            if seen.insert(*to) {
                open.push(to);
            }
        }
    }
    seen
}

/// Dependencies of any kind (also of tests and build scripts) that the table does not have.
pub(super) fn findings(metadata: &Value) -> Vec<Finding> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages = list(&metadata["packages"]);
    let ours: BTreeSet<String> = packages.iter().map(|package| text(&package["name"])).collect();
    let mut findings = Vec::new();
    for package in &packages {
        let name = text(&package["name"]);
        let tool = TOOLS.iter().find(|(tool, _)| *tool == name);
        let own = layer(&name);
        if own.is_none() && tool.is_none() {
            findings.push(format!("{name}: is neither a layer nor a tool in xtask/src/check/arrows.rs"));
            continue;
        }
        let may = own.map(reachable).unwrap_or_default();
        for dependency in list(&package["dependencies"]).iter().map(|dependency| text(&dependency["name"])) {
            let allowed = match layer(&dependency) {
                // Its own tests may ask for a feature of it.
                _ if !ours.contains(&dependency) || dependency == name => true,
                Some(to) => may.contains(to) || tool.is_some_and(|(_, all)| *all),
                None => false,
            };
            if !allowed {
                findings.push(format!("{name}: must not know {dependency}"));
            }
            if own.is_some_and(|own| PLAIN_LAYERS.contains(&own)) && RUNTIMES.contains(&dependency.as_str()) {
                findings.push(format!("{name}: has no network, so it must not need {dependency}"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Findings of a workspace of three members, one with a dependency.
    fn check(from: &str, to: &str, expect: &[&str]) {
        let member = |name: &str| {
            let dependencies = if name == from { json!([{"name": to, "kind": "dev"}]) } else { json!([]) };
            json!({"name": name, "dependencies": dependencies})
        };
        let mut names = vec![from, "prefix-indexer-models", "prefix-indexer-traces", "prefix-indexer-storage", "xtask"];
        names.sort_unstable();
        names.dedup();
        let packages: Vec<_> = names.into_iter().map(member).collect();
        assert_eq!(findings(&json!({ "packages": packages })), expect);
    }

    #[test]
    fn arrows_point_down() {
        check("prefix-indexer-storage", "prefix-indexer-models", &[]);
        check("prefix-indexer-service", "prefix-indexer-storage", &[]);
        check("prefix-indexer", "prefix-indexer-models", &[]);
        check("prefix-indexer-benches", "prefix-indexer-storage", &[]);
        check("prefix-indexer-storage", "serde", &[]);
        check("prefix-indexer-storage", "prefix-indexer-storage", &[]);
    }

    #[test]
    fn a_forbidden_arrow_is_found() {
        let sibling = ["prefix-indexer-traces: must not know prefix-indexer-storage"];
        check("prefix-indexer-traces", "prefix-indexer-storage", &sibling);
        let upwards = ["prefix-indexer-models: must not know prefix-indexer-traces"];
        check("prefix-indexer-models", "prefix-indexer-traces", &upwards);
        check("xtask", "prefix-indexer-models", &["xtask: must not know prefix-indexer-models"]);
        check("prefix-indexer-service", "xtask", &["prefix-indexer-service: must not know xtask"]);
    }

    #[test]
    fn unknown_crates_and_runtimes_are_found() {
        let unknown = ["prefix-indexer-misc: is neither a layer nor a tool in xtask/src/check/arrows.rs"];
        check("prefix-indexer-misc", "serde", &unknown);
        let runtime = ["prefix-indexer-storage: has no network, so it must not need tokio"];
        check("prefix-indexer-storage", "tokio", &runtime);
    }

    #[test]
    fn no_arrow_leads_back() {
        for (layer, to) in ARROWS {
            assert!(!reachable(layer).contains(layer), "{layer} knows itself");
            assert!(to.iter().all(|to| ARROWS.iter().any(|(layer, _)| layer == to)), "{layer}");
        }
    }
}
