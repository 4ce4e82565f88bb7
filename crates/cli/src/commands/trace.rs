//! A trace that is read whole, to be replayed.

use super::ingest::format_names;
use crate::{
    progress,
    units::{show_age, show_count, size},
};
use anyhow::bail;
use clap::builder::PossibleValuesParser;
use prefix_indexer::{
    Format, Inputs, TraceOptions,
    simulator::{Costs, Trace},
};
use serde::Serialize;
use std::fmt;

/// Where a trace is, and how it is to be read: as by `ingest`.
#[derive(clap::Args)]
pub(crate) struct TraceArgs {
    /// Trace files, glob patterns, or - for standard input; plain, gzip or zstd
    #[arg(required = true, value_name = "TRACE")]
    inputs: Vec<String>,

    /// Format of the traces
    #[arg(long, default_value = "auto", value_parser = PossibleValuesParser::new(format_names()))]
    format: String,

    /// Tenant of events whose trace names none
    #[arg(long)]
    tenant: Option<String>,

    /// Model of events whose trace names none
    #[arg(long)]
    model: Option<String>,

    /// Bytes of a block, for formats that do not say
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = size)]
    block_bytes: u64,
}

impl TraceArgs {
    /// Reads everything. A trace without events is an error: nothing can be said about it.
    pub(crate) fn load(&self) -> anyhow::Result<Trace> {
        let inputs = Inputs::from_args(&self.inputs)?;
        let options = TraceOptions {
            format: Format::by_name(&self.format)?,
            tenant: self.tenant.clone(),
            model_id: self.model.clone(),
            block_bytes: self.block_bytes,
            ..TraceOptions::default()
        };
        let bar = progress::bytes(inputs.stored_bytes());
        let trace = Trace::load(inputs.open(options, |_| Vec::new()), |report| bar.inc(report.read_bytes));
        bar.finish_and_clear();
        let trace = trace?;
        if trace.is_empty() {
            bail!("{}: no events, so there is nothing to replay", self.inputs.join(", "));
        }
        Ok(trace)
    }
}

/// Tokens of a block, where nobody says otherwise: those of a Mooncake trace.
const BLOCK_TOKENS: u32 = 512;

/// What a block costs that is computed anew.
#[derive(clap::Args)]
pub(crate) struct CostArgs {
    /// Tokens of a block, to count tokens and milliseconds saved: 512 in Mooncake traces, 16 in Bailian ones
    #[arg(long, value_name = "N", default_value_t = BLOCK_TOKENS)]
    block_tokens: u32,

    /// Microseconds of prefill a token, to count milliseconds saved where the trace does not name latencies
    #[arg(long, value_name = "X", value_parser = cost)]
    prefill_us_per_token: Option<f64>,
}

impl CostArgs {
    pub(crate) fn costs(&self) -> Costs {
        Costs { tokens_per_block: Some(self.block_tokens), prefill_us_per_token: self.prefill_us_per_token }
    }
}

/// A cost: a number that is at least 0.
fn cost(text: &str) -> Result<f64, String> {
    let cost: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if cost.is_finite() && cost >= 0.0 { Ok(cost) } else { Err("expected a number that is at least 0".to_owned()) }
}

/// What was replayed, for reports.
#[derive(Serialize)]
pub(crate) struct TraceSummary {
    requests: u64,
    references: u64,
    unique_blocks: u64,
    span_ms: u64,
}

impl TraceSummary {
    pub(crate) fn of(trace: &Trace) -> TraceSummary {
        TraceSummary {
            requests: trace.len() as u64,
            references: trace.references().len() as u64,
            unique_blocks: trace.unique_blocks() as u64,
            span_ms: trace.span_ms().map_or(0, |(first_ms, last_ms)| last_ms - first_ms),
        }
    }
}

/// One line for people.
impl fmt::Display for TraceSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests in {}, {} uses of {} blocks",
            show_count(self.requests),
            show_age(self.span_ms),
            show_count(self.references),
            show_count(self.unique_blocks)
        )
    }
}
