//! `cache get`: one value.

use super::Opened;
use crate::{DONE, FAILED, output};
use anyhow::Context;
use prefix_indexer::cache::Framing;
use serde::Serialize;
use std::{collections::BTreeMap, fs, path::PathBuf};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The key
    key: String,

    /// Write the value here instead of to standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// The value was set with --framed: check and unpack it
    #[arg(long)]
    framed: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    key: &'a str,
    found: bool,
    size: u64,
    ttl_ms: Option<u64>,
    metadata: BTreeMap<&'a str, &'a str>,
    /// The value where it is text and no file was named for it.
    value: Option<&'a str>,
}

impl Args {
    pub(super) async fn run(self, opened: &Opened) -> anyhow::Result<u8> {
        let Some(entry) = opened.cache.get(&self.key).await else {
            if opened.json {
                let metadata = BTreeMap::new();
                output::print_json(&Document {
                    key: &self.key,
                    found: false,
                    size: 0,
                    ttl_ms: None,
                    metadata,
                    value: None,
                })?;
            }
            output::warn(format_args!("no tier that answers has {:?}", self.key));
            return Ok(FAILED);
        };
        let value = if self.framed { Framing::unwrap(&entry.value)? } else { entry.value };
        match &self.output {
            Some(path) => fs::write(path, &value).with_context(|| format!("cannot write {}", path.display()))?,
            None if opened.json => {}
            None => output::print_bytes(&value)?,
        }
        if opened.json {
            output::print_json(&Document {
                key: &self.key,
                found: true,
                size: value.len() as u64,
                ttl_ms: entry.ttl.map(|ttl| ttl.as_millis() as u64),
                metadata: entry.metadata.iter().collect(),
                value: if self.output.is_none() { std::str::from_utf8(&value).ok() } else { None },
            })?;
        }
        Ok(DONE)
    }
}
