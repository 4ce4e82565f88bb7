//! Rules for `Cargo.toml`: lints and versions are decided once, and every dependency says what it is for.

use super::Finding;

pub(super) fn findings(name: &str, manifest: &str) -> Vec<Finding> {
    // Fuzz targets and foreign engines are workspaces of their own.
    let is_member = manifest.contains("[package]") && !manifest.contains("[workspace]");
    let mut findings = Vec::new();
    if is_member {
        if !lines_of(manifest, "[lints]").any(|(_, line)| line == "workspace = true") {
            findings.push(format!("{name}: [lints] must say workspace = true"));
        }
        for section in ["[dependencies]", "[dev-dependencies]", "[build-dependencies]"] {
            for (number, line) in lines_of(manifest, section) {
                if !(line.contains(".workspace = true") || line.contains("workspace = true,")) {
                    findings.push(format!("{name}:{number}: takes its version from [workspace.dependencies]"));
                }
            }
        }
    }
    for (number, line) in lines_of(manifest, "[workspace.dependencies]") {
        let reason = line.split_once('#').map_or("", |(_, reason)| reason.trim());
        if !line.contains("path = ") && reason.len() < 10 {
            findings.push(format!("{name}:{number}: says in a comment what the dependency is for"));
        }
    }
    findings
}

/// Numbers and texts of the entries of a section.
fn lines_of<'a>(manifest: &'a str, section: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let lines = manifest.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
    let entries = lines.skip_while(move |(_, line)| *line != section).skip(1);
    let entries = entries.take_while(|(_, line)| !line.starts_with('['));
    entries.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(manifest: &str, expect: &[&str]) {
        assert_eq!(findings("crates/a/Cargo.toml", manifest), expect);
    }

    #[test]
    fn a_member_takes_lints_and_versions_from_the_workspace() {
        check("[package]\n[dependencies]\nb.workspace = true\n[lints]\nworkspace = true\n", &[]);
        check("[package]\n", &["crates/a/Cargo.toml: [lints] must say workspace = true"]);
        check("[package]\n[workspace]\n[dependencies]\nb = \"1\"\n", &[]);
        check(
            "[package]\n[lints]\nworkspace = true\n[dev-dependencies]\nb = \"1\"\n",
            &["crates/a/Cargo.toml:5: takes its version from [workspace.dependencies]"],
        );
    }

    #[test]
    fn a_dependency_has_a_reason() {
        check("[workspace.dependencies]\n# errors\na = \"1\" # typed errors\nb = { path = \"b\" }\n", &[]);
        check(
            "[workspace.dependencies]\na = \"1\"\n\n[profile.dev]\nx = 1\n",
            &["crates/a/Cargo.toml:2: says in a comment what the dependency is for"],
        );
    }
}
