//! Which object holds a key.
//!
//! `prefix/key`, the key as it is: what an engine wrote under its key is found. Only what stores do not take, or take for
//! something else, is written as `%` and two hex digits: control characters, `%`, `\`, the segments `.` and `..`, a dot that ends
//! a segment; an empty segment (before, after or between slashes) is `%2F`.

use object_store::path::Path;
use prefix_indexer_cache::Pattern;
use std::borrow::Cow;

/// The longest name that every store takes, in bytes.
const MAX_NAME: usize = 1024;

/// What keys are called under a prefix.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// Empty, or ending in a slash.
    prefix: String,
}

impl Names {
    /// `None` for a prefix that is no name.
    pub(crate) fn new(prefix: &str) -> Option<Names> {
        let path = Path::parse(prefix).ok()?;
        let prefix = if path.is_root() { String::new() } else { format!("{path}/") };
        Some(Names { prefix })
    }

    /// The object of a key; why there can be none.
    pub(crate) fn object(&self, key: &str) -> Result<Path, &'static str> {
        if key.is_empty() {
            return Err("it is empty");
        }
        let name = format!("{}{}", self.prefix, encode(key));
        if name.len() > MAX_NAME {
            return Err("its object's name would be longer than 1024 bytes");
        }
        Path::parse(name).map_err(|_| "it cannot be the name of an object")
    }

    /// The key of an object; `None` for an object that holds none.
    pub(crate) fn key(&self, object: &Path) -> Option<String> {
        let name = object.as_ref().strip_prefix(&self.prefix)?;
        let key = decode(name)?;
        (encode(&key) == name).then_some(key)
    }

    /// The directory that all keys are in that match.
    pub(crate) fn directory(&self, pattern: &Pattern) -> Path {
        let beginning = pattern.literal_prefix();
        let within = beginning.rsplit_once('/').map(|(directory, _)| encode(directory)).unwrap_or_default();
        Path::parse(format!("{}{within}", self.prefix)).unwrap_or(Path::ROOT)
    }
}

fn encode(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    for (number, segment) in key.split('/').enumerate() {
        if number > 0 {
            name.push('/');
        }
        if segment.is_empty() {
            name += "%2F";
        }
        let dots_from = if matches!(segment, "." | "..") { 0 } else { segment.len().saturating_sub(1) };
        for (at, c) in segment.char_indices() {
            if c.is_control() || matches!(c, '%' | '\\') || (c == '.' && at >= dots_from) {
                percent(&mut name, c.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                name.push(c);
            }
        }
    }
    name
}

/// Writes bytes as `%` and two hex digits each.
pub(crate) fn percent(into: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        into.push('%');
        into.push(DIGITS[usize::from(byte >> 4)] as char);
        into.push(DIGITS[usize::from(byte & 15)] as char);
    }
}

/// Undoes [`percent`] wherever it was used; `None` for what it did not write.
pub(crate) fn unpercent(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let (digits, after) = after.split_first_chunk::<2>()?;
            let digit = |digit: u8| (digit as char).to_digit(16);
            bytes.push((digit(digits[0])? << 4 | digit(digits[1])?) as u8);
            rest = after;
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn decode(name: &str) -> Option<String> {
    let mut key = String::with_capacity(name.len());
    for (number, segment) in name.split('/').enumerate() {
        if number > 0 {
            key.push('/');
        }
        if segment != "%2F" {
            key += &unpercent(segment)?;
        }
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: &str, expect: &str) {
        let names = Names::new("blocks/").unwrap();
        let object = names.object(key).unwrap();
        assert_eq!(object.as_ref(), format!("blocks/{expect}"));
        assert_eq!(names.key(&object).as_deref(), Some(key));
    }

    #[test]
    fn ordinary_keys_are_names_and_odd_ones_stay_apart() {
        check("prod/tenant/model/0af3~x=1,*?#[]{} ü", "prod/tenant/model/0af3~x=1,*?#[]{} ü");
        check("a//b/", "a/%2F/b/%2F");
        check("/", "%2F/%2F");
        check("..", "%2E%2E");
        check("a/./b", "a/%2E/b");
        check("...", "..%2E");
        check("end.", "end%2E");
        check("a.b", "a.b");
        check("a%2Fb\\\n", "a%252Fb%5C%0A");
        check("\u{85}", "%C2%85");
    }

    #[test]
    fn what_no_key_is_called_is_none() {
        let names = Names::new("p").unwrap();
        for other in ["q/a", "p/a%41", "p/%zz", "p/%2f", "p/%FF"] {
            assert_eq!(names.key(&Path::parse(other).unwrap()), None, "{other}");
        }
        assert!(names.object("").is_err() && names.object(&"x".repeat(1_023)).is_err());
        assert!(Names::new("a//b").is_none());
    }

    #[test]
    fn directories_hold_what_matches() {
        for (pattern, directory) in
            [("*", "p"), ("a/*", "p/a"), ("a/b*", "p/a"), ("a/b/?", "p/a/b"), ("a//*", "p/a/%2F"), ("abc", "p")]
        {
            assert_eq!(Names::new("p").unwrap().directory(&Pattern::new(pattern)).as_ref(), directory, "{pattern}");
        }
        assert_eq!(Names::new("").unwrap().directory(&Pattern::all()), Path::ROOT);
    }
}
