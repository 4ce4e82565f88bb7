//! How time to live and metadata travel with an object: as metadata of the store's own, so that the value is the object's bytes alone.
//!
//! `pixexpires` is when the value ends, in milliseconds since 1970; without it, never. `pixmetadata` are the pairs, as in
//! `source=prefetch&confidence=0.75`, percent-encoded. The names are such as every store takes: letters alone.

use crate::names::{percent, unpercent};
use object_store::{Attribute, AttributeValue, Attributes};
use prefix_indexer_cache::Metadata;
use std::time::Duration;

const EXPIRES: &str = "pixexpires";
const METADATA: &str = "pixmetadata";

/// The most bytes of encoded metadata; S3 takes 2 KB of all.
pub(crate) const MAX_METADATA: usize = 1_900;

/// What stands beside a value.
#[derive(Debug, PartialEq)]
pub(crate) struct Beside {
    pub(crate) metadata: Metadata,
    /// Milliseconds since 1970.
    pub(crate) expires_ms: Option<u64>,
}

impl Beside {
    /// `None` for more metadata than a store takes.
    pub(crate) fn attributes(&self) -> Option<Attributes> {
        let mut attributes = Attributes::new();
        if let Some(expires_ms) = self.expires_ms {
            attributes.insert(named(EXPIRES), AttributeValue::from(expires_ms.to_string()));
        }
        if !self.metadata.is_empty() {
            let text = encode(&self.metadata);
            if text.len() > MAX_METADATA {
                return None;
            }
            attributes.insert(named(METADATA), AttributeValue::from(text));
        }
        Some(attributes)
    }

    /// `None` for attributes that are ours by name and cannot be read. An object without them is somebody else's, and lives
    /// for ever.
    pub(crate) fn read(attributes: &Attributes) -> Option<Beside> {
        let expires_ms = match attributes.get(&named(EXPIRES)) {
            Some(text) => Some(text.as_ref().parse().ok()?),
            None => None,
        };
        let metadata = match attributes.get(&named(METADATA)) {
            Some(text) => decode(text.as_ref())?,
            None => Metadata::default(),
        };
        Some(Beside { metadata, expires_ms })
    }

    /// What is left of the time to live; `None` when it is over.
    pub(crate) fn left(&self, now_ms: u64) -> Option<Option<Duration>> {
        match self.expires_ms {
            None => Some(None),
            Some(expires_ms) => {
                let left = expires_ms.saturating_sub(now_ms);
                (left > 0).then_some(Some(Duration::from_millis(left)))
            }
        }
    }
}

fn named(name: &'static str) -> Attribute {
    Attribute::Metadata(name.into())
}

fn encode(metadata: &Metadata) -> String {
    let mut text = String::new();
    for (name, value) in metadata.iter() {
        if !text.is_empty() {
            text.push('&');
        }
        encode_part(&mut text, name);
        text.push('=');
        encode_part(&mut text, value);
    }
    text
}

fn encode_part(into: &mut String, part: &str) {
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            into.push(byte as char);
        } else {
            percent(into, &[byte]);
        }
    }
}

fn decode(text: &str) -> Option<Metadata> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        Some((unpercent(name)?.into_owned(), unpercent(value)?.into_owned()))
    };
    text.split('&').map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let metadata: Metadata = [("source", "prefetch"), ("", "ü&="), ("%", "")].into_iter().collect();
        for (metadata, expires_ms) in [(metadata, Some(1)), (Metadata::default(), None), (Metadata::default(), Some(7))]
        {
            let beside = Beside { metadata, expires_ms };
            assert_eq!(Beside::read(&beside.attributes().unwrap()), Some(beside));
        }
        let long: Metadata = [("name", "x".repeat(MAX_METADATA))].into_iter().collect();
        assert!(Beside { metadata: long, expires_ms: None }.attributes().is_none());
    }

    #[test]
    fn what_cannot_be_read_is_not_believed() {
        for (name, value) in [(EXPIRES, "soon"), (METADATA, "no pair"), (METADATA, "a=%zz"), (METADATA, "a=%FF")] {
            let mut attributes = Attributes::new();
            attributes.insert(named(name), value.into());
            assert_eq!(Beside::read(&attributes), None, "{name} {value}");
        }
    }

    #[test]
    fn times() {
        let at = |expires_ms, now_ms| Beside { metadata: Metadata::default(), expires_ms }.left(now_ms);
        assert_eq!(at(None, 5), Some(None));
        assert_eq!(at(Some(7), 5), Some(Some(Duration::from_millis(2))));
        assert_eq!((at(Some(5), 5), at(Some(5), 6)), (None, None));
    }
}
