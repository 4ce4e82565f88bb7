//! Who may do what: bearer tokens, of which only hashes are kept.
//!
//! ```toml
//! [[tokens]]
//! name = "planner"                 # for logs
//! hash = "sha256:9f86d0..."        # printf %s "$TOKEN" | sha256sum
//! tenants = ["acme", "globex"]     # or ["*"] for all
//! rights = ["read", "ingest"]      # and admin: metrics, statistics of everything
//! ```

use crate::ServerError;
use serde::Deserialize;
use std::{collections::BTreeSet, path::Path, sync::Arc};

/// What a token may do. None includes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Right {
    /// Hand in events and feedback.
    Ingest,
    /// Ask.
    Read,
    /// See numbers of the whole service.
    Admin,
}

/// Whose prefixes a caller may see and change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tenants {
    All,
    Only(BTreeSet<String>),
}

/// Somebody whose token is known, or anybody where there are no tokens.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) name: String,
    pub(crate) tenants: Tenants,
    rights: BTreeSet<Right>,
}

impl Caller {
    /// Whoever connects to a service without tokens, which only this machine can.
    pub(crate) fn anybody() -> Caller {
        let rights = BTreeSet::from([Right::Ingest, Right::Read, Right::Admin]);
        Caller { name: "anybody".to_owned(), tenants: Tenants::All, rights }
    }

    pub(crate) fn may(&self, right: Right) -> bool {
        self.rights.contains(&right)
    }

    /// Whether a tenant's prefixes are this caller's business.
    pub(crate) fn sees(&self, tenant: &str) -> bool {
        match &self.tenants {
            Tenants::All => true,
            Tenants::Only(tenants) => tenants.contains(tenant),
        }
    }
}

/// The known tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    known: Vec<(Digest, Arc<Caller>)>,
}

/// A SHA-256 digest. `blake3::Hash` is used for what it compares in: a time that does not depend on the bytes.
type Digest = blake3::Hash;

fn digest(token: &[u8]) -> Digest {
    let digest = ring::digest::digest(&ring::digest::SHA256, token);
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    Digest::from(bytes)
}

/// What a file of tokens says instead of a token: `sha256:` and 64 hexadecimal digits.
///
/// ```
/// let hash = prefix_indexer_server::token_hash("test");
/// assert_eq!(hash, "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
/// ```
pub fn token_hash(token: &str) -> String {
    format!("sha256:{}", digest(token.as_bytes()).to_hex())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tokens: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    hash: String,
    tenants: BTreeSet<String>,
    rights: BTreeSet<Right>,
}

impl Tokens {
    pub(crate) fn load(path: &Path) -> Result<Tokens, ServerError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ServerError::File { path: path.to_owned(), source })?;
        Tokens::parse(&text).map_err(|reason| ServerError::Tokens { path: path.to_owned(), reason })
    }

    fn parse(text: &str) -> Result<Tokens, String> {
        // The message alone: with its surroundings it would quote hashes.
        let file: File = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        let mut known: Vec<(Digest, Arc<Caller>)> = Vec::new();
        for Entry { name, hash, mut tenants, rights } in file.tokens {
            let digits =
                hash.strip_prefix("sha256:").ok_or_else(|| format!("token {name:?}: hash: expected sha256:..."))?;
            let digest = Digest::from_hex(digits)
                .map_err(|_| format!("token {name:?}: hash: expected 64 hexadecimal digits behind sha256:"))?;
            if tenants.is_empty() || rights.is_empty() {
                return Err(format!("token {name:?}: needs at least one tenant (\"*\" for all) and one right"));
            }
            if known.iter().any(|(other, caller)| *other == digest || caller.name == name) {
                return Err(format!("token {name:?}: its name or its hash is there twice"));
            }
            let tenants = if tenants.remove("*") { Tenants::All } else { Tenants::Only(tenants) };
            known.push((digest, Arc::new(Caller { name, tenants, rights })));
        }
        if known.is_empty() {
            return Err("no token: nobody could do anything".to_owned());
        }
        Ok(Tokens { known })
    }

    /// Whose token this is. Takes the same time whichever it is, and whether or not it is known.
    pub(crate) fn find(&self, token: &[u8]) -> Option<&Arc<Caller>> {
        let presented = digest(token);
        self.known.iter().fold(None, |found, (digest, caller)| if *digest == presented { Some(caller) } else { found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, token: &str, more: &str) -> String {
        format!("[[tokens]]\nname = \"{name}\"\nhash = \"{}\"\n{more}\n", token_hash(token))
    }

    #[test]
    fn a_token_is_found_by_what_it_is_and_has_what_it_was_given() {
        let file = [
            entry("a", "one", "tenants = [\"acme\"]\nrights = [\"read\"]"),
            entry("b", "two", "tenants = [\"*\"]\nrights = [\"ingest\", \"admin\"]"),
        ];
        let tokens = Tokens::parse(&file.concat()).unwrap();
        let a = tokens.find(b"one").unwrap();
        assert!(a.may(Right::Read) && !a.may(Right::Ingest) && a.sees("acme") && !a.sees("other"));
        let b = tokens.find(b"two").unwrap();
        assert!(b.may(Right::Admin) && !b.may(Right::Read) && b.sees("anyone"));
        for unknown in [&b"three"[..], b"", b"one ", b"ONE"] {
            assert!(tokens.find(unknown).is_none());
        }
    }

    #[test]
    fn a_bad_file_is_an_error_that_quotes_no_hash() {
        let good = "tenants = [\"acme\"]\nrights = [\"read\"]";
        for bad in [
            String::new(),
            "tokens = []".to_owned(),
            entry("a", "x", "tenants = []\nrights = [\"read\"]"),
            entry("a", "x", "tenants = [\"t\"]\nrights = []"),
            entry("a", "x", "tenants = [\"t\"]\nrights = [\"write\"]"),
            entry("a", "x", &format!("{good}\ncolour = 1")),
            entry("a", "x", good) + &entry("a", "y", good),
            entry("a", "x", good) + &entry("b", "x", good),
            entry("a", "x", good).replace("sha256:", "md5:"),
            entry("a", "x", good).replace("sha256:", "sha256:0"),
        ] {
            let error = Tokens::parse(&bad).unwrap_err();
            assert!(!error.contains(&token_hash("x")[8..]), "{error}");
        }
    }
}
