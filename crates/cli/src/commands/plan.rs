//! `plan`: what to load, given so many bytes.

use super::{DataArgs, ScopeArgs, suggest::read_active};
use crate::{
    DONE,
    config::Config,
    output,
    units::{bandwidth, milliseconds, quota, show_age, show_count, show_size, size},
};
use comfy_table::CellAlignment::{Left, Right};
use prefix_indexer::{PAGE_TOKENS, Plan, PlanQuery, analytics::Learner, experience, learned};
use std::path::PathBuf;

/// Entries that people are shown.
const SHOWN: usize = 20;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataArgs,

    /// Most bytes to load, as in 200GiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    budget: u64,

    /// How long after now uses count, as in 5m
    #[arg(long, value_name = "DUR", value_parser = milliseconds)]
    horizon: u64,

    /// Plan for this time in milliseconds; never earlier than the newest event, which is the default
    #[arg(long, value_name = "MS")]
    now: Option<u64>,

    /// Who says what will be used: auto, reuse, decay- and a half-life of the index, or another formula; a wrong name is
    /// answered with the list
    #[arg(long, value_name = "NAME", default_value = "auto")]
    policy: String,

    #[command(flatten)]
    scope: ScopeArgs,

    /// File of prefixes that are resident already: never planned, and what extends them needs nothing else
    #[arg(long, value_name = "FILE")]
    active: Option<PathBuf>,

    /// How fast blocks are loaded, as in 2GiB/s: what is computed faster is left out
    #[arg(long, value_name = "SIZE/s", value_parser = bandwidth)]
    bandwidth: Option<f64>,

    /// Time that loading may take, at that bandwidth
    #[arg(long, value_name = "DUR", value_parser = milliseconds, requires = "bandwidth")]
    deadline: Option<u64>,

    /// Cost of prefill in microseconds a token: what having a block saves whose latency was never measured
    #[arg(long, value_name = "X")]
    prefill_us_per_token: Option<f64>,

    /// Tokens in a KV page, for --prefill-us-per-token: a block has as many pages as its events named
    #[arg(long, value_name = "N", default_value_t = PAGE_TOKENS)]
    page_tokens: u64,

    /// Most bytes of a tenant, as in acme=10GiB; may be given for several
    #[arg(long = "quota", value_name = "TENANT=SIZE", value_parser = quota)]
    quotas: Vec<(String, u64)>,

    /// Configuration whose section [blocks] says how blocks are named: where its `key` names layers or pages, each layer and page
    /// band of a prefix is an entry of its own
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print the plan as a JSON document, which `warm --plan` takes
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let active = self.active.as_deref().map(read_active).transpose()?;
        let bands = match &self.config {
            Some(path) => Config::load(path)?.blocks.keys()?.name_bands(),
            None => false,
        };
        let query = PlanQuery {
            now_ms: self.now,
            policy: &self.policy,
            tenant: self.scope.tenant.as_deref(),
            model_id: self.scope.model.as_deref(),
            active: active.as_ref(),
            bytes_per_second: self.bandwidth,
            deadline_ms: self.deadline,
            prefill_us_per_token: self.prefill_us_per_token,
            page_tokens: self.page_tokens,
            quotas: &self.quotas,
            bands,
            ..PlanQuery::new(self.budget, self.horizon)
        };
        let index = self.data.read()?;
        let (learned, experience) = (learned(&index)?, experience(&index)?);
        let query = PlanQuery { experience: Some(&experience), ..query };
        let plan = query.run(&index.view(), learned.as_ref().map(Learner::model))?;
        if self.json {
            output::print_json(&plan)?;
        } else {
            output::print(&page(&plan))?;
        }
        Ok(DONE)
    }
}

/// The plan for people.
fn page(plan: &Plan) -> String {
    let mut page = format!(
        "{} of {} in {} blocks. Within {}, {} uses are expected to find theirs, {:.1} % of all that are expected;\n\
         {} ms saved. Plan {}, policy {}.\n{}\n",
        show_size(plan.total_bytes),
        show_size(plan.budget_bytes),
        show_count(plan.entries.len() as u64),
        show_age(plan.horizon_ms),
        show_count(plan.expected_hits.round() as u64),
        plan.estimated_hit_improvement * 100.0,
        show_count(plan.expected_saved_ms.round() as u64),
        plan.plan_id,
        plan.policy,
        plan.why,
    );
    if plan.entries.is_empty() {
        return page;
    }
    let headings = [
        ("#", Right),
        ("prefix", Left),
        ("tenant", Left),
        ("model", Left),
        ("depth", Right),
        ("size", Right),
        ("used", Right),
        ("uses", Right),
        ("why", Left),
    ];
    let rows = plan.entries.iter().take(SHOWN).enumerate().map(|(index, entry)| {
        vec![
            (index + 1).to_string(),
            entry.prefix_id.to_string(),
            entry.tenant.to_string(),
            entry.model_id.to_string(),
            entry.depth.map_or("-".to_owned(), |depth| depth.to_string()),
            show_size(entry.bytes),
            format!("{:.1} %", entry.probability * 100.0),
            format!("{:.2}", entry.expected_uses),
            entry.hint.clone(),
        ]
    });
    page += "\n";
    page += &output::table(&headings, rows);
    if let Some(more) = plan.entries.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        page += &format!("and {} more: --json has all\n", show_count(more as u64));
    }
    page
}
