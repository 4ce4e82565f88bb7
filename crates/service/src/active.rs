//! The prefixes that are resident already, and so not worth recommending.

use serde::Deserialize;
use std::collections::HashSet;
use thiserror::Error;

/// A set of resident prefixes: by id alone, or by id within a tenant and model.
///
/// ```
/// use prefix_indexer_service::ActiveSet;
/// let active: ActiveSet = "p1\n{\"prefix_id\": \"p2\", \"tenant\": \"acme\"}\n".parse()?;
/// assert!(active.contains("anyone", "any-model", "p1"));
/// assert!(active.contains("acme", "any-model", "p2") && !active.contains("other", "any-model", "p2"));
/// # Ok::<(), prefix_indexer_service::ActiveSetError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActiveSet {
    anywhere: HashSet<String>,
    narrowed: HashSet<ActivePrefix>,
}

/// One resident prefix. An absent tenant or model stands for all of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub struct ActivePrefix {
    /// Its id.
    pub prefix_id: String,
    /// Only of this tenant.
    pub tenant: Option<String>,
    /// Only of this model.
    pub model_id: Option<String>,
}

/// A line that is not an active prefix.
#[derive(Debug, Error)]
#[error("line {line}: {source}")]
pub struct ActiveSetError {
    line: usize,
    source: serde_json::Error,
}

impl ActiveSet {
    /// Adds a prefix.
    pub fn insert(&mut self, prefix: ActivePrefix) {
        if prefix.tenant.is_none() && prefix.model_id.is_none() {
            self.anywhere.insert(prefix.prefix_id);
        } else {
            self.narrowed.insert(prefix);
        }
    }

    /// Whether a prefix is resident. O(1).
    pub fn contains(&self, tenant: &str, model_id: &str, prefix_id: &str) -> bool {
        if self.anywhere.contains(prefix_id) {
            return true;
        }
        if self.narrowed.is_empty() {
            return false;
        }
        [(Some(tenant), Some(model_id)), (Some(tenant), None), (None, Some(model_id))].into_iter().any(
            |(tenant, model_id)| {
                self.narrowed.contains(&ActivePrefix {
                    prefix_id: prefix_id.to_owned(),
                    tenant: tenant.map(str::to_owned),
                    model_id: model_id.map(str::to_owned),
                })
            },
        )
    }
}

/// One prefix a line: its id as it is, or a JSON object with `prefix_id` and optionally `tenant` and `model_id`; or a JSON array
/// of either. Empty lines are skipped.
impl std::str::FromStr for ActiveSet {
    type Err = ActiveSetError;

    fn from_str(text: &str) -> Result<ActiveSet, ActiveSetError> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Item {
            Id(String),
            Prefix(ActivePrefix),
        }
        let mut set = ActiveSet::default();
        let mut insert = |item| {
            set.insert(match item {
                Item::Id(prefix_id) => ActivePrefix { prefix_id, tenant: None, model_id: None },
                Item::Prefix(prefix) => prefix,
            });
        };
        if text.trim_start().starts_with('[') {
            let items: Vec<Item> =
                serde_json::from_str(text).map_err(|source| ActiveSetError { line: source.line(), source })?;
            items.into_iter().for_each(insert);
            return Ok(set);
        }
        for (index, line) in text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty()) {
            insert(if line.starts_with('{') {
                serde_json::from_str(line).map_err(|source| ActiveSetError { line: index + 1, source })?
            } else {
                Item::Id(line.to_owned())
            });
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lines_objects_and_arrays() {
        for text in ["p1\n\n p2 \r\n", "[\"p1\", {\"prefix_id\": \"p2\"}]", "{\"prefix_id\":\"p1\"}\np2"] {
            let set: ActiveSet = text.parse().unwrap();
            assert!(set.contains("t", "m", "p1") && set.contains("t", "m", "p2") && !set.contains("t", "m", "p3"));
        }
    }

    #[test]
    fn errors_name_the_line() {
        let error = "p1\n{\"prefix\": 1}".parse::<ActiveSet>().unwrap_err();
        assert!(error.to_string().starts_with("line 2: "), "{error}");
        assert!("[1]".parse::<ActiveSet>().is_err());
    }
}
