//! The configuration: a TOML file, over which the environment has the last word.
//!
//! Each section is read by the crate that owns it. A new one is a line in [`sections`]. Every key can be given as
//! `PREFIX_INDEXER_SECTION_KEY`, a key of a tier as `PREFIX_INDEXER_CACHE_TIERS_0_KEY`; values are written as in TOML, but text
//! needs no quotes.

use anyhow::{Context, bail};
use prefix_indexer::{
    cache::{BackendRegistry, CacheConfig, CacheManager, parse_section},
    cache_object_store, cache_redis,
    prefetch::{BlocksSection, PrefetchSection},
};
use prefix_indexer_server::ServerConfig;
use serde::Deserialize;
use std::{fs, path::Path};
use toml::{Table, Value};

const PREFIX: &str = "PREFIX_INDEXER_";

macro_rules! sections {
    (read: $($name:ident: $type:ty,)*; of_other_commands: $($other:ident,)*) => {
        /// The file as it stands. An unknown section is an error that lists these.
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Tables {
            $($name: Table,)*
            // Read by other commands; here only known.
            $($other: Table,)*
        }

        /// What was configured, checked.
        #[derive(Debug)]
        pub(crate) struct Config {
            $(pub(crate) $name: $type,)*
            /// The sections that there are.
            given: Vec<String>,
        }

        impl Config {
            fn from_table(table: Table) -> anyhow::Result<Config> {
                let given = table.keys().cloned().collect();
                let tables: Tables = parse_section("configuration", table)?;
                Ok(Config { $($name: parse_section(concat!("[", stringify!($name), "]"), tables.$name)?,)* given })
            }
        }

        const SECTIONS: &[&str] = &[$(stringify!($name),)* $(stringify!($other),)*];
    };
}
sections! {
    read: blocks: BlocksSection, cache: CacheConfig, prefetch: PrefetchSection, server: ServerConfig,;
    of_other_commands: index,
}

impl Config {
    /// Reads the file and the environment.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Config> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Config::parse(&text, environment()).with_context(|| path.display().to_string())
    }

    /// As [`load`](Self::load); without a file the environment alone.
    pub(crate) fn load_or_default(path: Option<&Path>) -> anyhow::Result<Config> {
        match path {
            Some(path) => Config::load(path),
            None => Config::parse("", environment()),
        }
    }

    fn parse(text: &str, environment: impl Iterator<Item = (String, String)>) -> anyhow::Result<Config> {
        let mut table: Table = text.parse()?;
        // In order of name, so that two that contradict each other always end the same way.
        let mut overrides: Vec<_> = environment.filter(|(name, _)| name.starts_with(PREFIX)).collect();
        overrides.sort();
        for (name, value) in overrides {
            set(&mut table, &name, &value).with_context(|| name.clone())?;
        }
        Config::from_table(table)
    }

    /// Whether it says how to prefetch, and between which tiers.
    pub(crate) fn prefetches(&self) -> bool {
        self.given.iter().any(|section| section == "prefetch") && self.cache.tiers.len() > 1
    }

    /// The cache that is configured. Needs a runtime.
    pub(crate) async fn open_cache(&self) -> anyhow::Result<CacheManager> {
        Ok(CacheManager::from_config(&self.cache, &registry()).await?)
    }

    /// Likewise for moving blocks, which do not change under their keys.
    pub(crate) async fn open_cache_of_blocks(&self) -> anyhow::Result<CacheManager> {
        Ok(CacheManager::builder_from_config(&self.cache, &registry()).await?.immutable(true).build()?)
    }
}

fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| name.into_string().ok().zip(value.into_string().ok()))
}

/// The backends that configuration can name.
fn registry() -> BackendRegistry {
    let mut registry = BackendRegistry::with_defaults();
    cache_object_store::register(&mut registry);
    cache_redis::register(&mut registry);
    registry
}

/// Sets what a variable of the environment names.
fn set(table: &mut Table, name: &str, value: &str) -> anyhow::Result<()> {
    let lower = name[PREFIX.len()..].to_ascii_lowercase();
    let (section, key) = lower.split_once('_').unwrap_or((&lower, ""));
    if key.is_empty() || !SECTIONS.contains(&section) {
        bail!("expected {PREFIX}SECTION_KEY, where SECTION is one of {}", SECTIONS.join(", ").to_uppercase());
    }
    let entry = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    let Some(mut into) = entry.as_table_mut() else { bail!("[{section}] is not a section") };
    let mut key = key;
    if let Some((list, index, field)) = element(key) {
        let elements = into.get_mut(list).and_then(Value::as_array_mut).map(Vec::as_mut_slice).unwrap_or_default();
        let count = elements.len();
        let element = elements.get_mut(index).and_then(Value::as_table_mut);
        into = element.with_context(|| format!("[[{section}.{list}]] has {count} entries, counted from 0"))?;
        key = field;
    }
    into.insert(key.to_owned(), read(value));
    Ok(())
}

/// `tiers_0_path` as list, number and field.
fn element(key: &str) -> Option<(&str, usize, &str)> {
    key.match_indices('_').find_map(|(at, _)| {
        let (number, field) = key[at + 1..].split_once('_')?;
        Some((&key[..at], number.parse().ok()?, field))
    })
}

/// A value as TOML has it, or the text itself.
fn read(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<Table>().ok();
    let value = parsed.filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
    value.filter(|value| !value.is_datetime()).unwrap_or_else(|| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const FILE: &str = r#"
        [index]
        data = "index"
        [cache]
        default_ttl = "1h"
        [[cache.tiers]]
        backend = "memory"
        [[cache.tiers]]
        backend = "s3"
        bucket = "cold"
        [server]
        listen = "127.0.0.1:8080"
    "#;

    fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::parse(text, environment).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn the_environment_has_the_last_word() {
        let config = parse(
            FILE,
            &[
                ("HOME", "/root"),
                ("PREFIX_INDEXER_CACHE_DEFAULT_TTL", "5m"),
                ("PREFIX_INDEXER_CACHE_TIERS_1_MAX_FAILURES", "7"),
                ("PREFIX_INDEXER_CACHE_TIERS_1_ENDPOINT", "http://127.0.0.1:9"),
                ("PREFIX_INDEXER_INDEX_DATA", "/elsewhere"),
            ],
        )
        .unwrap();
        assert_eq!(config.cache.default_ttl.0, Duration::from_secs(300));
        assert_eq!(config.cache.tiers[1].max_failures, Some(7));
        assert_eq!(config.cache.tiers[1].fields["endpoint"].as_str(), Some("http://127.0.0.1:9"));
        let whole = [("PREFIX_INDEXER_CACHE_TIERS", "[{ backend = \"memory\", max_size = \"1MiB\" }]")];
        assert_eq!(parse("", &whole).unwrap().cache.tiers[0].backend, "memory");
    }

    #[test]
    fn errors_say_what_there_is() {
        for (text, variable, expect) in [
            (
                "[cahce]",
                "",
                "configuration: unknown field `cahce`: expected blocks, cache, prefetch, server, index (perhaps `cache` is meant)",
            ),
            ("[cache]\ndefault_tll = 1", "", "[cache]: unknown field `default_tll`"),
            ("[cache", "", "TOML parse error at line 1"),
            ("cache = 3", "", "configuration: invalid type: integer `3`, expected a map"),
            ("", "PREFIX_INDEXER_CACHE_DEFAULT_TLL", "[cache]: unknown field `default_tll`"),
            (
                "",
                "PREFIX_INDEXER_CAHCE_DEFAULT_TTL",
                "PREFIX_INDEXER_CAHCE_DEFAULT_TTL: expected PREFIX_INDEXER_SECTION_KEY, where SECTION is one of BLOCKS, CACHE, PREFETCH, SERVER, INDEX",
            ),
            (
                FILE,
                "PREFIX_INDEXER_CACHE_TIERS_2_PATH",
                "PREFIX_INDEXER_CACHE_TIERS_2_PATH: [[cache.tiers]] has 2 entries, counted from 0",
            ),
            (
                "",
                "PREFIX_INDEXER_CACHE_COMPRESSION",
                "[cache]: unknown variant `x`, expected one of `none`, `lz4`, `zstd`",
            ),
        ] {
            let environment = [(variable, "x")];
            let error = parse(text, if variable.is_empty() { &[] } else { &environment }).unwrap_err();
            assert!(error.starts_with(expect), "{text} {variable}\n  expected {expect}\n  found    {error}");
        }
    }

    #[test]
    fn values_are_toml_or_text() {
        for (text, expect) in [
            ("true", Value::Boolean(true)),
            ("32", Value::Integer(32)),
            ("500ms", Value::String("500ms".into())),
            ("\"32\"", Value::String("32".into())),
            ("a\nb = 1", Value::String("a\nb = 1".into())),
            ("2026-01-01", Value::String("2026-01-01".into())),
            ("[1]", Value::Array(vec![Value::Integer(1)])),
        ] {
            assert_eq!(read(text), expect, "{text}");
        }
    }
}
