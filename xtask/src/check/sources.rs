//! Rules for Rust sources that lints cannot express, because they are about which file something is in.

use super::{Finding, text::words};

/// Production lines of a file: those before its test module.
const MOST_LINES: usize = 400;
/// Files that may be longer, and why.
const LONG_FILES: &[(&str, &str)] = &[];

/// A word and the only files that may say it.
const HOMES: &[(&str, &[&str])] = &[
    ("unsafe", &["crates/storage/src/mmap.rs"]),
    ("bincode", &["crates/storage/src/codec.rs", "crates/cache/src/codec/binary.rs"]),
];

/// Layers that never ask for the time: it is an argument.
const TIMELESS: &[&str] = &["crates/models/src/", "crates/analytics/src/", "crates/storage/src/", "crates/traces/src/"];

const FACADE: &str = "crates/prefix-indexer/src/";

pub(super) fn findings(name: &str, source: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let production = source.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
    let is_production = !["/tests/", "/benches/", "/examples/", "fuzz/"].iter().any(|part| name.contains(part));
    let is_long = LONG_FILES.iter().any(|(long, _)| *long == name);
    if is_production && production > MOST_LINES && !is_long {
        findings.push(format!("{name}: has {production} production lines, more than {MOST_LINES}"));
    }
    if name.ends_with("/mod.rs") {
        findings.push(format!("{name}: a module is a file of its own name, not mod.rs"));
    }
    if is_production && !source.starts_with("//!") {
        findings.push(format!("{name}: begins with what it is for (//!)"));
    }
    let code = code(source);
    let lines: Vec<&str> = code.lines().collect();
    for (number, line) in lines.iter().enumerate() {
        let mut found = |what: String| findings.push(format!("{name}:{}: {what}", number + 1));
        for (word, homes) in HOMES {
            if words(line).any(|found| found == *word) && !homes.contains(&name) {
                found(format!("{word} belongs in {}", homes.join(", ")));
            }
        }
        let squeezed: String = line.split_whitespace().collect();
        if ["#[allow(", "#![allow("].iter().any(|allow| squeezed.contains(allow)) {
            found("says #[expect(..., reason = ...)] instead of allow".to_owned());
        }
        // A test may be the program that another test starts; it is named so. Or it needs a service, which `xtask test` starts; then
        // it lives in that service's test binary. Nothing else is left out.
        let needs_service = name.contains("/tests/needs_");
        let is_child = lines.get(number + 1).is_some_and(|next| next.trim_start().starts_with("fn child("));
        if squeezed.contains("#[ignore") && !is_child && !needs_service {
            found("a test runs, is the fn child of another one, needs a service, or is not there".to_owned());
        }
        let is_timeless = TIMELESS.iter().any(|layer| name.starts_with(layer)) && number < production;
        if is_timeless && squeezed.contains("SystemTime::now") {
            found("the time is an argument here".to_owned());
        }
        if name.starts_with(FACADE) && words(line).any(|word| ["fn", "struct", "enum", "impl", "trait"].contains(&word))
        {
            found("the facade re-exports, and does nothing else".to_owned());
        }
    }
    findings
}

/// The source with comments and the insides of literals blanked; lines stay where they are.
fn code(source: &str) -> String {
    let (mut code, mut rest) = (String::with_capacity(source.len()), source);
    while let Some(first) = rest.chars().next() {
        let (length, blank) = match first {
            '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), true),
            '/' if rest.starts_with("/*") => (block_comment(rest), true),
            '"' => (string(rest), true),
            'r' | 'b' | 'c' => match raw_string(rest) {
                Some(length) if !code.ends_with(|c: char| c.is_alphanumeric() || c == '_') => (length, true),
                _ => (1, false),
            },
            '\'' => (character(rest), true),
            other => (other.len_utf8(), false),
        };
        let (token, after) = rest.split_at(length.clamp(1, rest.len()));
        if blank {
            code.extend(token.chars().map(|c| if c == '\n' { c } else { ' ' }));
        } else {
            code.push_str(token);
        }
        rest = after;
    }
    code
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Length of a literal that begins with its quote.
fn string(text: &str) -> usize {
    let quote = text.chars().next();
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if Some(c) == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

/// Length of a raw string that begins here.
fn raw_string(text: &str) -> Option<usize> {
    let start = text.trim_start_matches(['b', 'c']).strip_prefix('r')?;
    let hashes = start.len() - start.trim_start_matches('#').len();
    start.get(hashes..)?.strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let open = text.len() - start.len() + hashes + 1;
    let end = text.get(open..)?.find(&close)?;
    Some(open + end + close.len())
}

/// Length of a character literal, or of the tick of a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.chars().skip(1);
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => string(text),
        (Some(c), Some('\'')) => c.len_utf8() + 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, source: &str, expect: &[&str]) {
        let source = format!("//! A file.\n{source}");
        assert_eq!(findings(name, &source), expect, "{source}");
    }

    const FILE: &str = "crates/storage/src/segment.rs";

    #[test]
    fn words_belong_in_their_file() {
        check(
            FILE,
            "fn a() { unsafe { b() } }",
            &["crates/storage/src/segment.rs:2: unsafe belongs in crates/storage/src/mmap.rs"],
        );
        check("crates/storage/src/mmap.rs", "fn a() { unsafe { b() } }", &[]);
        check(
            FILE,
            "use bincode::Encode;",
            &[
                "crates/storage/src/segment.rs:2: bincode belongs in crates/storage/src/codec.rs, crates/cache/src/codec/binary.rs",
            ],
        );
        check("crates/storage/src/codec.rs", "use bincode::Encode;", &[]);
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        check(FILE, "// unsafe\n/* unsafe /* nested */ unsafe */\n#![deny(unsafe_code)]", &[]);
        check(
            FILE,
            "const A: &str = \"a \\\" unsafe\"; const B: &str = r#\"unsafe \" \"#; const C: &[u8] = br\"unsafe\";",
            &[],
        );
        check(
            FILE,
            "fn a<'a>(b: &'a str) { let c = ('\"', '\\'', 'x'); unsafe { } }",
            &["crates/storage/src/segment.rs:2: unsafe belongs in crates/storage/src/mmap.rs"],
        );
    }

    #[test]
    fn allow_and_ignore_are_found() {
        let allow = ["crates/storage/src/segment.rs:2: says #[expect(..., reason = ...)] instead of allow"];
        check(FILE, concat!("#[", "allow(dead_code)]"), &allow);
        check(FILE, concat!("#![", "allow (dead_code)]"), &allow);
        let ignored = [
            "crates/storage/src/segment.rs:2: a test runs, is the fn child of another one, needs a service, or is not there",
        ];
        check(FILE, "#[ignore]\nfn slow() {}", &ignored);
        check("crates/a/tests/needs_b/c.rs", "#[ignore = \"needs b\"]\nfn slow() {}", &[]);
        check(FILE, "#[ignore = \"killed by the others\"]\nfn child() {}", &[]);
    }

    #[test]
    fn long_files_are_found_by_their_production_lines() {
        let lines = "fn a() {}\n".repeat(400);
        check(FILE, &lines, &["crates/storage/src/segment.rs: has 401 production lines, more than 400"]);
        check("crates/storage/tests/a.rs", &lines, &[]);
        check(FILE, &format!("#[cfg(test)]\n{lines}"), &[]);
    }

    #[test]
    fn files_have_a_name_and_a_head() {
        check("crates/a/src/b/mod.rs", "", &["crates/a/src/b/mod.rs: a module is a file of its own name, not mod.rs"]);
        assert_eq!(findings(FILE, "use a;"), ["crates/storage/src/segment.rs: begins with what it is for (//!)"]);
    }

    #[test]
    fn layers_without_a_clock_do_not_ask_for_one() {
        let late = ["crates/storage/src/segment.rs:2: the time is an argument here"];
        check(FILE, "fn a() { std::time::SystemTime::now(); }", &late);
        check(FILE, "#[cfg(test)]\nfn a() { std::time::SystemTime::now(); }", &[]);
        check("crates/cli/src/main.rs", "fn a() { std::time::SystemTime::now(); }", &[]);
    }

    #[test]
    fn the_facade_only_passes_on() {
        check("crates/prefix-indexer/src/lib.rs", "pub use a::b; // fn", &[]);
        let busy = ["crates/prefix-indexer/src/lib.rs:2: the facade re-exports, and does nothing else"];
        check("crates/prefix-indexer/src/lib.rs", "pub fn a() {}", &busy);
    }
}
