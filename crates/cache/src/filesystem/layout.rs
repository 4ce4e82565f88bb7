//! Where the file of a key is.
//!
//! Both layouts keep what is ours in `.prefix-indexer`. `hashed`: `ab/` and 30 more hex digits of the key's BLAKE3. `plain`: the
//! escaped key itself, so that an engine finds its files; what we know of a file stands in `.prefix-indexer/meta/ab/...`.

use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Our own directory within the root. No escaped key begins with a dot.
pub(super) const OURS: &str = ".prefix-indexer";

/// The longest file name that file systems take.
const MAX_NAME: usize = 255;

/// The longest relative path that we make; the system's limit, with room for the root.
const MAX_PATH: usize = 3000;

/// How files are named and what is in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Named by hash, with a header before the value: any key, self-contained files.
    #[default]
    Hashed,
    /// Named by key, the value alone: for a directory that an engine reads and writes too.
    Plain,
}

/// How a key becomes a file name in the plain layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Escape {
    /// ASCII letters, digits, `.`, `_` and `-` stay (a leading dot does not), every other byte is `%` and two hex digits:
    /// one flat directory.
    #[default]
    Percent,
    /// The same between slashes, which become directories.
    Path,
}

/// A key's digest: its identity in the index and its name in the hashed layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id(pub(super) u128);

impl Id {
    pub(super) fn of(key: &str) -> Id {
        let digest = blake3::hash(key.as_bytes());
        Id(digest.as_bytes()[..16].iter().fold(0, |id, &byte| id << 8 | u128::from(byte)))
    }

    /// The two parts of its name.
    pub(super) fn path(self) -> String {
        let hex = format!("{:032x}", self.0);
        format!("{}/{}", &hex[..2], &hex[2..])
    }

    pub(super) fn from_path(directory: &str, name: &str) -> Option<Id> {
        let lower_hex = |text: &str| text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        if directory.len() != 2 || name.len() != 30 || !lower_hex(directory) || !lower_hex(name) {
            return None;
        }
        u128::from_str_radix(&format!("{directory}{name}"), 16).ok().map(Id)
    }
}

/// Where a tier keeps what.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) root: PathBuf,
    pub(super) layout: Layout,
    pub(super) escape: Escape,
}

impl Places {
    /// The name of the key's file, relative to the root; `None` when there can be none.
    pub(super) fn name(&self, id: Id, key: &str) -> Option<String> {
        match (self.layout, self.escape) {
            (Layout::Hashed, _) => Some(id.path()),
            (Layout::Plain, Escape::Percent) => escape(key),
            (Layout::Plain, Escape::Path) => {
                let name = key.split('/').map(escape).collect::<Option<Vec<_>>>()?.join("/");
                (name.len() <= MAX_PATH).then_some(name)
            }
        }
    }

    /// The key of a file in the plain layout; `None` when no key has that name.
    pub(super) fn key(&self, name: &str) -> Option<String> {
        let key = match self.escape {
            Escape::Percent => unescape(name)?,
            Escape::Path => name.split('/').map(unescape).collect::<Option<Vec<_>>>()?.join("/"),
        };
        (!key.is_empty() && self.name(Id(0), &key).as_deref() == Some(name)).then_some(key)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// What we know of a file of the plain layout.
    pub(super) fn sidecar(&self, id: Id) -> PathBuf {
        self.ours("meta").join(id.path())
    }

    pub(super) fn ours(&self, name: &str) -> PathBuf {
        self.root.join(OURS).join(name)
    }
}

/// `None` when the name would be too long. An empty part becomes a lone `%`.
fn escape(part: &str) -> Option<String> {
    if part.is_empty() {
        return Some("%".to_owned());
    }
    let mut name = String::with_capacity(part.len());
    for (at, byte) in part.bytes().enumerate() {
        match byte {
            b'.' if at == 0 => name.push_str("%2E"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => name.push(char::from(byte)),
            byte => {
                let hex = |digit: u8| char::from(b"0123456789ABCDEF"[digit as usize]);
                name.extend(['%', hex(byte >> 4), hex(byte & 15)]);
            }
        }
    }
    (name.len() <= MAX_NAME).then_some(name)
}

fn unescape(name: &str) -> Option<String> {
    if name == "%" {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

/// Makes sure that the directory of `path` is there.
pub(super) fn make_parent(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(escape: Escape) -> Places {
        Places { root: "/r".into(), layout: Layout::Plain, escape }
    }

    #[test]
    fn names_of_keys() {
        for (key, flat, nested) in [
            ("abc-1_2.kv", "abc-1_2.kv", "abc-1_2.kv"),
            ("a/b", "a%2Fb", "a/b"),
            ("..", "%2E.", "%2E."),
            ("../x", "%2E.%2Fx", "%2E./x"),
            ("/a//b/", "%2Fa%2F%2Fb%2F", "%/a/%/b/%"),
            ("ü%", "%C3%BC%25", "%C3%BC%25"),
            (".prefix-indexer/meta", "%2Eprefix-indexer%2Fmeta", "%2Eprefix-indexer/meta"),
        ] {
            for (escape, name) in [(Escape::Percent, flat), (Escape::Path, nested)] {
                let places = plain(escape);
                assert_eq!(places.name(Id::of(key), key).as_deref(), Some(name));
                assert_eq!(places.key(name).as_deref(), Some(key));
            }
        }
        assert_eq!(plain(Escape::Percent).name(Id(0), &"/".repeat(100)), None);
        for other in ["%2f", "a%", "%GG", ".hidden", "", "%FF"] {
            assert_eq!(plain(Escape::Percent).key(other), None, "{other}");
        }
    }

    #[test]
    fn ids_and_paths() {
        let id = Id::of("key");
        let path = id.path();
        let (directory, name) = path.split_once('/').unwrap();
        assert_eq!(Id::from_path(directory, name), Some(id));
        assert_eq!((Id::from_path("AB", name), Id::from_path("ab", "x")), (None, None));
    }
}
