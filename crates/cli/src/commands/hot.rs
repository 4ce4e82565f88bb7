//! `hot`: the prefixes in most use, and when they are due again.

use super::{DataArgs, ScopeArgs};
use crate::{
    DONE, output,
    units::{show_age, show_count},
};
use comfy_table::CellAlignment::{Left, Right};
use prefix_indexer::{HotPrefix, Scope, hot_prefixes};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataArgs,

    #[command(flatten)]
    scope: ScopeArgs,

    /// How many at most
    #[arg(long, value_name = "K", default_value_t = 10)]
    top_k: usize,

    /// As of this time in milliseconds; never earlier than the newest event, which is the default
    #[arg(long, value_name = "MS")]
    now: Option<u64>,

    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let scope = Scope { tenant: self.scope.tenant.as_deref(), model_id: self.scope.model.as_deref() };
        let (found, now_ms) = hot_prefixes(&self.data.read()?.view(), scope, self.now, self.top_k)?;
        if self.json {
            output::print_json(&found)?;
        } else {
            output::print(&page(&found, now_ms))?;
        }
        Ok(DONE)
    }
}

fn page(found: &[HotPrefix], now_ms: u64) -> String {
    if found.is_empty() {
        return "no prefix matches\n".to_owned();
    }
    let headings = [
        ("#", Right),
        ("prefix", Left),
        ("tenant", Left),
        ("model", Left),
        ("hits", Right),
        ("per hour", Right),
        ("last use", Right),
        ("next use", Right),
        ("period", Right),
        ("strength", Right),
    ];
    let rows = found.iter().enumerate().map(|(index, hot)| {
        vec![
            (index + 1).to_string(),
            hot.prefix_id.clone(),
            hot.tenant.clone(),
            hot.model_id.clone(),
            show_count(hot.hit_count),
            format!("{:.1}", hot.uses_per_hour),
            format!("{} ago", show_age(now_ms.saturating_sub(hot.last_seen_ms))),
            hot.next_use_ms.map_or("unknown".to_owned(), |next_ms| due(next_ms, now_ms)),
            hot.period_ms.map_or("unknown".to_owned(), show_age),
            hot.period_strength.map_or("-".to_owned(), |strength| format!("{strength:.2}")),
        ]
    });
    output::table(&headings, rows)
}

fn due(next_ms: u64, now_ms: u64) -> String {
    match next_ms.checked_sub(now_ms) {
        Some(left_ms) => format!("in {}", show_age(left_ms)),
        None => format!("{} overdue", show_age(now_ms - next_ms)),
    }
}
