//! `cache stats`: what each tier says of itself, and whether it answers.

use super::{Opened, status};
use crate::{
    output,
    units::{show_count, show_size},
};
use comfy_table::CellAlignment::{Left, Right};
use prefix_indexer::cache::{BackendStats, CacheBackend};
use serde::Serialize;
use std::time::Instant;

#[derive(clap::Args)]
pub(super) struct Args {}

/// Asked for to see whether a tier answers; that nobody has it does not matter.
const PROBE: &str = "prefix-indexer/probe";

#[derive(Serialize)]
struct Row {
    tier: String,
    backend: String,
    up: bool,
    answer_us: u64,
    entries: Option<u64>,
    bytes: Option<u64>,
    max_bytes: Option<u64>,
    evicted: Option<u64>,
    expired: Option<u64>,
    corrupt: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Args {
    pub(super) async fn run(self, opened: &Opened) -> anyhow::Result<u8> {
        let mut rows = Vec::new();
        for (name, backend) in opened.tiers() {
            rows.push(row(name, &**backend).await);
        }
        let up = rows.iter().filter(|row| row.up).count();
        for row in &rows {
            if let Some(error) = &row.error {
                output::warn(format_args!("tier {}: {error}", row.tier));
            }
        }
        if opened.json {
            output::print_json(&rows)?;
        } else {
            output::print(&table(&rows))?;
        }
        Ok(status(up, rows.len()))
    }
}

async fn row(name: &str, backend: &dyn CacheBackend) -> Row {
    let began = Instant::now();
    let answer = backend.exists(PROBE).await;
    let answer_us = began.elapsed().as_micros() as u64;
    let (stats, error) = match answer {
        Ok(_) => match backend.stats().await {
            Ok(stats) => (Some(stats), None),
            Err(error) => (None, Some(error)),
        },
        Err(error) => (None, Some(error)),
    };
    let of = |field: fn(&BackendStats) -> Option<u64>| stats.as_ref().and_then(field);
    Row {
        tier: name.to_owned(),
        backend: backend.name().to_owned(),
        up: error.is_none(),
        answer_us,
        entries: of(|stats| stats.entries),
        bytes: of(|stats| stats.bytes),
        max_bytes: of(|stats| stats.max_bytes),
        evicted: of(|stats| Some(stats.evicted)),
        expired: of(|stats| Some(stats.expired)),
        corrupt: of(|stats| Some(stats.corrupt)),
        error: error.map(|error| error.to_string()),
    }
}

fn table(rows: &[Row]) -> String {
    let shown = |value: Option<u64>, show: fn(u64) -> String| value.map_or_else(|| "?".to_owned(), show);
    let cells = rows.iter().map(|row| {
        vec![
            row.tier.clone(),
            if row.up { "up" } else { "DOWN" }.to_owned(),
            format!("{:.1} ms", row.answer_us as f64 / 1e3),
            shown(row.entries, show_count),
            shown(row.bytes, show_size),
            shown(row.max_bytes, show_size),
        ]
    });
    let headings =
        [("tier", Left), ("", Left), ("answered in", Right), ("entries", Right), ("bytes", Right), ("budget", Right)];
    output::table(&headings, cells)
}
