//! `suggest`: the ranked index, asked once.

use super::{DataArgs, ScopeArgs};
use crate::{
    DONE, output,
    units::{milliseconds, show_age, show_count, show_size},
};
use anyhow::Context;
use comfy_table::CellAlignment::{Left, Right};
use prefix_indexer::{ActiveSet, PrefixRecommendation, Query};
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataArgs,

    #[command(flatten)]
    scope: ScopeArgs,

    /// How many at most
    #[arg(long, value_name = "K", default_value_t = 10)]
    top_k: usize,

    /// Half-life to rank by, one of the index's; 5m where the index keeps it, else its shortest above, else its longest
    #[arg(long, value_name = "DUR", value_parser = milliseconds)]
    half_life: Option<u64>,

    /// Leave out lower scores
    #[arg(long, value_name = "X")]
    min_score: Option<f64>,

    /// Score as of this time in milliseconds; never earlier than the newest event, which is the default
    #[arg(long, value_name = "MS")]
    now: Option<u64>,

    /// File of prefixes that are resident already and left out: an id or a JSON object a line
    #[arg(long, value_name = "FILE")]
    active: Option<PathBuf>,

    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let active = self.active.as_deref().map(read_active).transpose()?;
        let view = self.data.read()?.view();
        let query = Query {
            tenant: self.scope.tenant.as_deref(),
            model_id: self.scope.model.as_deref(),
            top_k: self.top_k,
            half_life_ms: self.half_life,
            min_score: self.min_score,
            now_ms: self.now,
            active: active.as_ref(),
        };
        let found = query.run(&view)?;
        if self.json {
            output::print_json(&found)?;
        } else {
            output::print(&table(&found, query.now_ms(&view)))?;
        }
        Ok(DONE)
    }
}

pub(crate) fn read_active(path: &std::path::Path) -> anyhow::Result<ActiveSet> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    text.parse().with_context(|| path.display().to_string())
}

/// The recommendations for people, best first.
pub(crate) fn table(found: &[PrefixRecommendation], now_ms: u64) -> String {
    if found.is_empty() {
        return "no prefix matches\n".to_owned();
    }
    let headings = [
        ("#", Right),
        ("prefix", Left),
        ("tenant", Left),
        ("model", Left),
        ("score", Right),
        ("hits", Right),
        ("size", Right),
        ("latency", Right),
        ("last use", Right),
        ("parent", Left),
    ];
    let rows = found.iter().enumerate().map(|(index, prefix)| {
        vec![
            (index + 1).to_string(),
            prefix.prefix_id.to_string(),
            prefix.tenant.to_string(),
            prefix.model_id.to_string(),
            format!("{:.3}", prefix.score),
            show_count(prefix.hit_count),
            show_size(prefix.footprint_bytes),
            format!("{:.1} ms", prefix.avg_latency_ms),
            format!("{} ago", show_age(now_ms.saturating_sub(prefix.last_seen_ms))),
            prefix.parent_id.as_deref().unwrap_or_default().to_owned(),
        ]
    });
    output::table(&headings, rows)
}
