//! `cache set`: a key gets what a file holds.

use super::{Opened, TierResult, results};
use crate::{output, units::duration};
use anyhow::Context;
use prefix_indexer::cache::{Entry, Framing, Metadata};
use serde::Serialize;
use std::{
    fs,
    io::{self, Read},
    time::Duration,
};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The key
    key: String,

    /// File that holds the value; - is standard input
    file: String,

    /// How long it lives; the configuration's default_ttl unless given
    #[arg(long, value_name = "DUR", value_parser = duration)]
    ttl: Option<Duration>,

    /// A pair that travels with the value, as in source=hand; may be given for several
    #[arg(long = "meta", value_name = "NAME=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,

    /// Compress the value as configured and put a checksum before it. Engines cannot read it then
    #[arg(long)]
    framed: bool,
}

fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[derive(Serialize)]
struct Document<'a> {
    key: &'a str,
    size: u64,
    tiers: Vec<TierResult>,
}

impl Args {
    pub(super) async fn run(self, opened: &Opened) -> anyhow::Result<u8> {
        let value = match self.file.as_str() {
            "-" => {
                let mut value = Vec::new();
                io::stdin().lock().read_to_end(&mut value).context("standard input")?;
                value
            }
            path => fs::read(path).with_context(|| format!("cannot read {path}"))?,
        };
        let size = value.len() as u64;
        let config = &opened.config.cache;
        let framing = Framing { codec: config.format, compression: config.compression };
        let mut entry = if self.framed { Entry::new(framing.wrap(&value)?) } else { Entry::new(value) };
        entry.ttl = self.ttl;
        let entry = entry.with_metadata(self.metadata.into_iter().collect::<Metadata>());
        let (tiers, status) = results(&opened.cache.set(&self.key, entry).await, |()| None);
        if opened.json {
            output::print_json(&Document { key: &self.key, size, tiers })?;
        }
        Ok(status)
    }
}
