//! docs/parity.md promises a test for each capability; the test must exist.
//!
//! A row is `| capability | where | test |`, a test is `path/of/file.rs::name`, several are separated by commas.

use super::Finding;

const DOCUMENT: &str = "docs/parity.md";

/// `sources` are names and texts of the Rust files.
pub(super) fn findings(document: &str, sources: &[(String, String)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in document.lines().enumerate() {
        let mut found = |what: String| findings.push(format!("{DOCUMENT}:{}: {what}", number + 1));
        let Some(row) = line.strip_prefix('|').and_then(|line| line.trim_end().strip_suffix('|')) else { continue };
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        if cells.iter().all(|cell| cell.starts_with("---")) || cells == ["capability", "where", "test"] {
            continue;
        }
        let [capability, place, tests] = cells[..] else {
            found(format!("a row has the cells capability, where and test, not {}", cells.len()));
            continue;
        };
        if capability.is_empty() || place.is_empty() {
            found("a capability is somewhere".to_owned());
        }
        for test in tests.split(',').map(|test| test.trim().trim_matches('`')) {
            if !exists(test, sources) {
                found(format!("there is no test {test:?}"));
            }
        }
    }
    if document.is_empty() {
        findings.push(format!("{DOCUMENT}: is missing"));
    }
    findings
}

/// Whether a file has a function of that name with a test attribute, or in a `proptest!` block, before it.
fn exists(test: &str, sources: &[(String, String)]) -> bool {
    let Some((path, name)) = test.split_once("::") else { return false };
    let Some((_, source)) = sources.iter().find(|(source, _)| source == path) else { return false };
    let name = name.rsplit("::").next().unwrap_or(name);
    let function = format!("fn {name}(");
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        if line == "#[test]" || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if is_test && line.contains("fn ") {
            if line.strip_prefix("async ").unwrap_or(line).starts_with(&function) {
                return true;
            }
            is_test = false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str =
        "fn helper() {}\n#[tokio::test]\nasync fn merges() {\n}\n#[test]\n#[expect(x)]\nfn decays() {}\n";

    fn check(row: &str, expect: &[&str]) {
        let sources = [("crates/a/tests/b.rs".to_owned(), SOURCE.to_owned())];
        let document = format!("| capability | where | test |\n|---|---|---|\n{row}\n");
        assert_eq!(findings(&document, &sources), expect);
    }

    #[test]
    fn rows_name_tests_that_exist() {
        check("| merge | a | `crates/a/tests/b.rs::merges` |", &[]);
        check("| merge | a | crates/a/tests/b.rs::merges, crates/a/tests/b.rs::tests::decays |", &[]);
    }

    #[test]
    fn rows_without_a_test_are_found() {
        check("| a | b | |", &["docs/parity.md:3: there is no test \"\""]);
        check(
            "| a | b | crates/a/tests/b.rs::helper |",
            &["docs/parity.md:3: there is no test \"crates/a/tests/b.rs::helper\""],
        );
        check("| a | b | c.rs::merges |", &["docs/parity.md:3: there is no test \"c.rs::merges\""]);
        check(
            "| a | crates/a/tests/b.rs::merges |",
            &["docs/parity.md:3: a row has the cells capability, where and test, not 2"],
        );
        check("| a | | crates/a/tests/b.rs::merges |", &["docs/parity.md:3: a capability is somewhere"]);
    }

    #[test]
    fn a_missing_document_is_found() {
        assert_eq!(findings("", &[]), ["docs/parity.md: is missing"]);
    }
}
