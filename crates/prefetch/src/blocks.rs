//! Which object holds a block: the `[blocks]` section, and its key template.

use crate::{BlockValue, PrefetchError};
use serde::Deserialize;
use std::fmt::Write;

/// The template of a section that has none.
pub const DEFAULT_TEMPLATE: &str = "{namespace}/{tenant}/{model_id}/{prefix_id}";

/// The names of one block, as far as templates ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockName<'a> {
    /// Whose block it is.
    pub tenant: &'a str,
    /// Of which model.
    pub model_id: &'a str,
    /// Names the prefix within tenant and model.
    pub prefix_id: &'a str,
    /// Layer and pages, where they are known.
    pub extent: Option<BlockExtent>,
}

/// Where in the model a block lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockExtent {
    /// Lowest layer.
    pub layer: u32,
    /// First page.
    pub page_start: u32,
    /// Last page.
    pub page_end: u32,
}

/// The `[blocks]` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BlocksSection {
    /// What `{namespace}` stands for. Default: nothing.
    pub namespace: String,
    /// The template. Default [`DEFAULT_TEMPLATE`].
    pub key: String,
    /// What the values are. Default `raw`.
    pub value: BlockValue,
}

impl Default for BlocksSection {
    fn default() -> BlocksSection {
        BlocksSection { namespace: String::new(), key: DEFAULT_TEMPLATE.to_owned(), value: BlockValue::Raw }
    }
}

impl BlocksSection {
    /// The keys that the section describes.
    ///
    /// # Errors
    /// [`PrefetchError::Template`] says where the template is wrong.
    pub fn keys(&self) -> Result<BlockKeys, PrefetchError> {
        BlockKeys::parse(&self.key, &self.namespace)
    }
}

/// Makes the keys of blocks from a template, which is read once.
///
/// ```
/// use prefix_indexer_prefetch::{BlockKeys, BlockName};
/// let keys = BlockKeys::parse("{namespace}/{tenant}/{model_id}/{prefix_id}", "prod")?;
/// let name = BlockName { tenant: "acme", model_id: "llama", prefix_id: "42", extent: None };
/// assert_eq!(keys.render(&name)?, "prod/acme/llama/42");
/// let error = BlockKeys::parse("{tenant}/{prefix}", "").unwrap_err();
/// assert!(error.to_string().starts_with("key template, at character 10: there is no field `prefix`"));
/// # Ok::<(), prefix_indexer_prefetch::PrefetchError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockKeys {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// Its index in [`FIELDS`], and where in the template it stands.
    Field(Field, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Namespace,
    Tenant,
    ModelId,
    PrefixId,
    Layer,
    PageStart,
    PageEnd,
}

/// What a template may ask for.
const FIELDS: [(&str, Field); 7] = [
    ("namespace", Field::Namespace),
    ("tenant", Field::Tenant),
    ("model_id", Field::ModelId),
    ("prefix_id", Field::PrefixId),
    ("layer", Field::Layer),
    ("page_start", Field::PageStart),
    ("page_end", Field::PageEnd),
];

impl BlockKeys {
    /// Reads a template: fields in braces, everything else as it stands, `{{` and `}}` for braces themselves.
    ///
    /// # Errors
    /// [`PrefetchError::Template`] with the character (from 1) where it is wrong. A template without `{prefix_id}` is wrong
    /// at its end: all blocks would be the same object.
    pub fn parse(template: &str, namespace: &str) -> Result<BlockKeys, PrefetchError> {
        let mut parts: Vec<Part> = Vec::new();
        let mut characters = template.chars().enumerate().map(|(index, c)| (index + 1, c)).peekable();
        while let Some((position, c)) = characters.next() {
            let is_doubled = characters.peek().is_some_and(|(_, next)| *next == c);
            match c {
                '{' | '}' if is_doubled => {
                    characters.next();
                    push(&mut parts, c);
                }
                '{' => {
                    let mut name = String::new();
                    loop {
                        match characters.next() {
                            Some((_, '}')) => break,
                            Some((_, c)) if c != '{' => name.push(c),
                            _ => return Err(wrong(position, "the brace is not closed; `{{` is a brace itself".into())),
                        }
                    }
                    match FIELDS.iter().find(|(known, _)| *known == name) {
                        Some((_, Field::Namespace)) => namespace.chars().for_each(|c| push(&mut parts, c)),
                        Some((_, field)) => parts.push(Part::Field(*field, position)),
                        None => {
                            let known = FIELDS.map(|(known, _)| known).join(", ");
                            return Err(wrong(
                                position,
                                format!("there is no field `{name}`: expected one of {known}"),
                            ));
                        }
                    }
                }
                '}' => return Err(wrong(position, "the brace was not opened; `}}` is a brace itself".into())),
                c => push(&mut parts, c),
            }
        }
        if !parts.iter().any(|part| matches!(part, Part::Field(Field::PrefixId, _))) {
            let end = template.chars().count() + 1;
            return Err(wrong(end, "`{prefix_id}` does not come up: all blocks would have the same key".into()));
        }
        Ok(BlockKeys { parts })
    }

    /// Whether keys name layers or pages: then each band of a prefix is an object of its own.
    pub fn name_bands(&self) -> bool {
        let is_extent = |part: &Part| matches!(part, Part::Field(Field::Layer | Field::PageStart | Field::PageEnd, _));
        self.parts.iter().any(is_extent)
    }

    /// The key of a block.
    ///
    /// # Errors
    /// [`PrefetchError::Template`] when the template asks for layer or pages and the name does not say them.
    pub fn render(&self, name: &BlockName<'_>) -> Result<String, PrefetchError> {
        let mut key = String::with_capacity(96);
        for part in &self.parts {
            let (field, position) = match part {
                Part::Text(text) => {
                    key.push_str(text);
                    continue;
                }
                Part::Field(field, position) => (field, *position),
            };
            let extent = || {
                let unknown = "the layer and pages of this block are not known: what made the plan does not say them";
                name.extent.ok_or_else(|| wrong(position, unknown.to_owned()))
            };
            let number = match field {
                Field::Namespace => continue,
                Field::Tenant => {
                    key.push_str(name.tenant);
                    continue;
                }
                Field::ModelId => {
                    key.push_str(name.model_id);
                    continue;
                }
                Field::PrefixId => {
                    key.push_str(name.prefix_id);
                    continue;
                }
                Field::Layer => extent()?.layer,
                Field::PageStart => extent()?.page_start,
                Field::PageEnd => extent()?.page_end,
            };
            // Writing to a string cannot fail.
            let _ = write!(key, "{number}");
        }
        Ok(key)
    }
}

fn push(parts: &mut Vec<Part>, c: char) {
    match parts.last_mut() {
        Some(Part::Text(text)) => text.push(c),
        _ => parts.push(Part::Text(c.into())),
    }
}

fn wrong(position: usize, what: String) -> PrefetchError {
    PrefetchError::Template { position, what }
}

/// The key of a block that is named by its hash alone: `prefix` and 64 lower-case hexadecimal digits.
///
/// ```
/// assert_eq!(prefix_indexer_prefetch::hash_key("kv:", &[0xab; 32]), format!("kv:{}", "ab".repeat(32)));
/// ```
pub fn hash_key(prefix: &str, hash: &[u8; 32]) -> String {
    hash.iter().fold(String::from(prefix), |mut key, byte| {
        // Writing to a string cannot fail.
        let _ = write!(key, "{byte:02x}");
        key
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: BlockName<'_> = BlockName {
        tenant: "acme",
        model_id: "llama",
        prefix_id: "42",
        extent: Some(BlockExtent { layer: 3, page_start: 16, page_end: 31 }),
    };

    #[test]
    fn templates_are_filled_in() {
        let check = |template, expect: &str| {
            let keys = BlockKeys::parse(template, "a}b{tenant}").unwrap();
            assert_eq!(keys.render(&NAME).unwrap(), expect, "{template}");
            assert_eq!(keys.name_bands(), template.contains("{layer}"), "{template}");
        };
        check("{prefix_id}", "42");
        check(DEFAULT_TEMPLATE, "a}b{tenant}/acme/llama/42");
        check("{tenant}/{prefix_id}@{layer}:{page_start}-{page_end}", "acme/42@3:16-31");
        check("{{{prefix_id}}}", "{42}");
        check("ä{prefix_id}", "ä42");
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let check = |template, expect: &str| {
            let error = BlockKeys::parse(template, "").unwrap_err().to_string();
            assert!(error.starts_with(&format!("key template, at character {expect}")), "{error}");
        };
        check("", "1: `{prefix_id}` does not come up");
        check("{tenant}", "9: `{prefix_id}` does not come up");
        check("ä{prefix}", "2: there is no field `prefix`: expected one of namespace, tenant");
        check("x{prefix_id", "2: the brace is not closed");
        check("x{prefix_id{tenant}", "2: the brace is not closed");
        check("a}b", "2: the brace was not opened");
        check("{}", "1: there is no field ``");
    }

    #[test]
    fn hashes_are_keys_of_64_digits() {
        let hash: [u8; 32] = std::array::from_fn(|place| place as u8 * 8);
        let key = hash_key("kv:", &hash);
        assert_eq!((key.len(), &key[..9], &key[65..]), (67, "kv:000810", "f8"));
    }

    #[test]
    fn layers_and_pages_that_nobody_knows_are_an_error() {
        let keys = BlockKeys::parse("{prefix_id}/{layer}", "").unwrap();
        let error = keys.render(&BlockName { extent: None, ..NAME }).unwrap_err().to_string();
        assert!(error.starts_with("key template, at character 13"), "{error}");
    }

    #[test]
    fn sections_have_defaults_and_refuse_what_they_do_not_know() {
        let section: BlocksSection = toml::from_str("namespace = \"prod\"\nvalue = \"framed\"").unwrap();
        assert_eq!((section.key.as_str(), section.value), (DEFAULT_TEMPLATE, BlockValue::Framed));
        assert_eq!(section.keys().unwrap().render(&NAME).unwrap(), "prod/acme/llama/42");
        assert!(toml::from_str::<BlocksSection>("keys = \"x\"").is_err());
    }
}
