//! Patterns over keys, for clearing and listing.

use std::fmt;

/// A pattern over whole keys: `*` is any run of characters (also none, also `/`), `?` is any one character, and `\` takes the
/// character after it as it is.
///
/// ```
/// use prefix_indexer_cache::Pattern;
/// let pattern = Pattern::new("prod/*/block-?");
/// assert!(pattern.matches("prod/a/b/block-7"));
/// assert!(!pattern.matches("prod/a/block-17"));
/// assert_eq!(pattern.literal_prefix(), "prod/");
/// assert!(Pattern::literal("what*?").matches("what*?"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    One(char),
    AnyOne,
    AnyRun,
}

impl Pattern {
    /// Reads a pattern. Every text is one; a `\` at the very end stands for itself.
    pub fn new(text: &str) -> Pattern {
        let mut chars = text.chars();
        let mut parts = Vec::new();
        while let Some(c) = chars.next() {
            let part = match c {
                '*' => Part::AnyRun,
                '?' => Part::AnyOne,
                '\\' => Part::One(chars.next().unwrap_or('\\')),
                c => Part::One(c),
            };
            // Runs in a row say no more than one, and would cost time to try apart.
            if (part, parts.last()) != (Part::AnyRun, Some(&Part::AnyRun)) {
                parts.push(part);
            }
        }
        Pattern { text: text.to_owned(), parts }
    }

    /// The pattern that matches `key` and nothing else.
    pub fn literal(key: &str) -> Pattern {
        let mut text = String::with_capacity(key.len());
        for c in key.chars() {
            if matches!(c, '*' | '?' | '\\') {
                text.push('\\');
            }
            text.push(c);
        }
        Pattern { text, parts: key.chars().map(Part::One).collect() }
    }

    /// The pattern that matches every key.
    pub fn all() -> Pattern {
        Pattern { text: "*".to_owned(), parts: vec![Part::AnyRun] }
    }

    /// Whether this matches every key.
    pub fn is_all(&self) -> bool {
        self.parts == [Part::AnyRun]
    }

    /// What every matching key begins with: what a store that lists by prefix can be asked for.
    pub fn literal_prefix(&self) -> String {
        self.parts.iter().map_while(|part| if let Part::One(c) = part { Some(*c) } else { None }).collect()
    }

    /// The text it was made from.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole of `key` matches. At worst as many steps as the product of both lengths.
    pub fn matches(&self, key: &str) -> bool {
        let (mut at, mut rest) = (0, key.chars());
        // Where to go on when the last run has to take one more character.
        let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            let mut ahead = rest.clone();
            match (self.parts.get(at), ahead.next()) {
                (Some(Part::AnyRun), _) => {
                    retry = Some((at + 1, rest.clone()));
                    at += 1;
                    continue;
                }
                (Some(Part::AnyOne), Some(_)) => {
                    (at, rest) = (at + 1, ahead);
                    continue;
                }
                (Some(Part::One(want)), Some(c)) if *want == c => {
                    (at, rest) = (at + 1, ahead);
                    continue;
                }
                (None, None) => return true,
                _ => {}
            }
            let Some((after_run, from)) = &mut retry else { return false };
            if from.next().is_none() {
                return false;
            }
            (at, rest) = (*after_run, from.clone());
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, matching: &[&str], other: &[&str]) {
        let pattern = Pattern::new(pattern);
        for key in matching {
            assert!(pattern.matches(key), "{pattern} should match {key}");
        }
        for key in other {
            assert!(!pattern.matches(key), "{pattern} should not match {key}");
        }
    }

    #[test]
    fn patterns() {
        check("", &[""], &["a"]);
        check("*", &["", "a", "a/b", "ü\n"], &[]);
        check("a*", &["a", "ab", "a/b"], &["", "ba"]);
        check("*a", &["a", "ba", "aa"], &["", "ab"]);
        check("a?c", &["abc", "aüc"], &["ac", "abbc"]);
        check("*ab*ab", &["abab", "xabyab", "ababab"], &["ab", "ababx"]);
        check("a\\*b", &["a*b"], &["axb", "a\\*b"]);
        check("end\\", &["end\\"], &["end"]);
        check("***?", &["a", "abc"], &[""]);
        check("[a]", &["[a]"], &["a"]);
    }

    #[test]
    fn a_hostile_pattern_takes_no_exponential_time() {
        let pattern = Pattern::new(&"*a".repeat(50));
        assert!(!pattern.matches(&("a".repeat(5_000) + "b")));
    }

    #[test]
    fn prefixes() {
        for (pattern, prefix) in [("a/b*c", "a/b"), ("*", ""), ("abc", "abc"), ("a\\*?", "a*")] {
            assert_eq!(Pattern::new(pattern).literal_prefix(), prefix);
        }
        assert!(Pattern::new("**").is_all());
        assert_eq!(Pattern::literal("a*\\").as_str(), "a\\*\\\\");
    }
}
