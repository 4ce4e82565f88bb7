//! Rules for every text of the repository: it must read the same on another machine.

use super::Finding;

/// Top directories of some machine; a path into them means nothing elsewhere.
const MACHINE_DIRECTORIES: &[&str] = &["home", "root", "Users", "work", "farm"];
/// Ends of sentences that never came, in sources and documents.
const MARKS: &[&str] = &["FIX", "TO", "XX"];

pub(super) fn findings(name: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut found = |what: String| findings.push(format!("{name}:{}: {what}", number + 1));
        for directory in MACHINE_DIRECTORIES {
            let path = format!("/{directory}/");
            if line.match_indices(&path).any(|(at, _)| starts_path(line, at)) {
                found(format!("names {path}, a path of one machine"));
            }
        }
        if line.contains(concat!("../", "shared")) {
            found("names a directory outside the repository".to_owned());
        }
        for (mark, rest) in MARKS.iter().zip(["ME", "DO", "X"]) {
            if words(line).any(|word| word.strip_prefix(mark) == Some(rest)) {
                found(format!("is marked as unfinished ({mark}{rest})"));
            }
        }
    }
    findings
}

/// Whether a slash begins an absolute path: part of a longer path or of an address it does not.
fn starts_path(line: &str, at: usize) -> bool {
    let before = line.get(..at).and_then(|before| before.chars().next_back());
    !before.is_some_and(|before| before.is_alphanumeric() || "._-~}/>".contains(before))
}

pub(super) fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expect: &[&str]) {
        assert_eq!(findings("a.md", line), expect);
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        for (directory, line) in [("home", "see @me/notes"), ("root", "\"@x\""), ("work", "@")] {
            let path = format!("/{directory}/");
            check(&line.replace('@', &path), &[&format!("a.md:1: names {path}, a path of one machine")]);
        }
        check(concat!("in ..", "/shared/traces"), &["a.md:1: names a directory outside the repository"]);
    }

    #[test]
    fn other_paths_are_not() {
        for directory in ["home", "root", "work"] {
            let within = format!("/{directory}/");
            check(&"https://example.org@x and target@y".replace('@', &within), &[]);
        }
        check("home/me", &[]);
    }

    #[test]
    fn unfinished_marks_are_found() {
        for (mark, rest) in [("FIX", "ME"), ("TO", "DO"), ("XX", "X")] {
            let expect = format!("a.md:2: is marked as unfinished ({mark}{rest})");
            check(&format!("\n// {mark}{rest}: later"), &[&expect]);
        }
        check("TODOS are a word of ours, XXL too", &[]);
    }
}
