//! `warm`: executes a plan, so that the local tier has what will be wanted before it is.

use crate::{
    DONE, PARTLY,
    config::Config,
    output, progress,
    tiers::Tiers,
    units::{duration, milliseconds, show_count, show_size, size},
};
use anyhow::{Context, bail};
use prefix_indexer::{
    IndexReader, Plan, PlanQuery,
    analytics::Learner,
    cache::{Clock, SystemClock},
    prefetch::{
        BlockKeys, BreakerConfig, Cancel, FetchPolicy, PrefetchSection, RetryPolicy, WARM_PATIENCE, WarmOptions,
        WarmReport, Warmup, warm_blocks,
    },
};
use std::{
    io::Read,
    path::PathBuf,
    time::{Duration, Instant},
};

/// Failures that people are told of one by one.
const SHOWN: u64 = 5;
/// The largest plan that is read: a million entries have some 300 MB.
const MOST_BYTES: u64 = 1 << 30;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The plan: a file, - for standard input, or an http:// or https:// address that answers with one
    #[arg(long, value_name = "FILE|-|URL", required_unless_present = "data", conflicts_with = "data")]
    plan: Option<String>,

    /// File with the token that the address asks for
    #[arg(long, value_name = "FILE", requires = "plan")]
    token_file: Option<PathBuf>,

    /// Plan now, from the index in this directory
    #[arg(long, value_name = "DIR", requires_all = ["budget", "horizon"])]
    data: Option<PathBuf>,

    /// Most bytes to load, for a plan from --data
    #[arg(long, value_name = "SIZE", value_parser = size, requires = "data")]
    budget: Option<u64>,

    /// How long uses count, for a plan from --data
    #[arg(long, value_name = "DUR", value_parser = milliseconds, requires = "data")]
    horizon: Option<u64>,

    /// Configuration: [blocks], [cache] and [prefetch]
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// End after this time with what there is; the exit status is 3 then
    #[arg(long, value_name = "DUR", value_parser = duration)]
    deadline: Option<Duration>,

    /// Blocks under way at once
    #[arg(long, value_name = "N", default_value_t = WarmOptions::default().in_flight)]
    in_flight: usize,

    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let deadline = self.deadline.map(|time| Instant::now() + time);
        let config = Config::load(&self.config)?;
        let keys = config.blocks.keys()?;
        let plan = self.plan(&keys, deadline)?;
        let blocks = warm_blocks(&plan, &keys)?;
        let tiers = Tiers::open(&config)?;
        let attempts = tiers.attempts(policy(&config.prefetch)?);
        let cancel = Cancel::new();
        stop_on_signals(cancel.clone())?;
        let bar = progress::bytes(Some(blocks.iter().map(|block| block.bytes).sum()));
        let options = WarmOptions { in_flight: self.in_flight, deadline };
        let source = format!("plan:{}", plan.policy);
        let report = Warmup::new(&attempts, options, cancel).run(&blocks, &source, SystemClock.now_ms(), |now| {
            bar.set_position(now.expected_bytes_done);
            if let Some(error) = now.error.filter(|_| now.report.failed <= SHOWN) {
                bar.suspend(|| output::warn(error));
            }
        })?;
        bar.finish_and_clear();
        if self.json {
            output::print_json(&report)?;
        } else {
            output::print(&page(&report))?;
        }
        if report.complete {
            return Ok(DONE);
        }
        let left = report.planned - report.resident - report.fetched - report.missing;
        output::warn(format_args!(
            "{} of {} blocks are not there: run it again to go on",
            show_count(left),
            show_count(report.planned)
        ));
        Ok(PARTLY)
    }

    fn plan(&self, keys: &BlockKeys, deadline: Option<Instant>) -> anyhow::Result<Plan> {
        let from = match (&self.plan, &self.data, self.budget, self.horizon) {
            (Some(from), ..) => from,
            (None, Some(data), Some(budget), Some(horizon)) => {
                let index = IndexReader::open(data, true)?;
                let learned = prefix_indexer::learned(&index)?;
                let experience = prefix_indexer::experience(&index)?;
                let query = PlanQuery {
                    now_ms: Some(SystemClock.now_ms()),
                    bands: keys.name_bands(),
                    experience: Some(&experience),
                    ..PlanQuery::new(budget, horizon)
                };
                return Ok(query.run(&index.view(), learned.as_ref().map(Learner::model))?);
            }
            _ => bail!("either --plan, or --data with --budget and --horizon"),
        };
        let text = match from.as_str() {
            "-" => read(std::io::stdin())?,
            url if url.starts_with("http://") || url.starts_with("https://") => self.download(url, deadline)?,
            path => read(std::fs::File::open(path).context(path.to_owned())?)?,
        };
        serde_json::from_str(&text).with_context(|| format!("{from} is not a plan"))
    }

    /// An address that does not answer in time is an error: there is nothing to go on with.
    fn download(&self, url: &str, deadline: Option<Instant>) -> anyhow::Result<String> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let mut request = ureq::get(url).config().timeout_global(left).build();
        if let Some(path) = &self.token_file {
            let token = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            request = request.header("Authorization", format!("Bearer {}", token.trim()));
        }
        let mut answer = request.call().context(url.to_owned())?;
        answer.body_mut().with_config().limit(MOST_BYTES).read_to_string().context(url.to_owned())
    }
}

fn read(from: impl Read) -> anyhow::Result<String> {
    let mut text = String::new();
    from.take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// As `[prefetch]` says; but a profile is about a worker beside live traffic, so only limits that are spelled out hold. A tier that is
/// away is waited for.
fn policy(section: &PrefetchSection) -> anyhow::Result<FetchPolicy> {
    let policy = section.for_blocks()?.fetch;
    // Somebody waits for it: a tier that is back is noticed soon.
    let retry = RetryPolicy { most: Duration::from_secs(1), ..policy.retry };
    let breaker = BreakerConfig { most: Duration::from_secs(2), ..policy.breaker };
    Ok(FetchPolicy {
        max_requests_per_second: section.max_requests_per_second,
        patience: WARM_PATIENCE,
        retry,
        breaker,
        ..policy
    })
}

/// Calls off on SIGINT and SIGTERM.
pub(super) fn stop_on_signals(cancel: Cancel) -> anyhow::Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM])
        .context("cannot watch for signals")?;
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            cancel.cancel();
        }
    });
    Ok(())
}

/// The report for people.
fn page(report: &WarmReport) -> String {
    let seconds = report.seconds.max(1e-9);
    format!(
        "{} of {} blocks loaded in {:.1} s ({}, {}/s); {} were there already, {} are in no tier, {} failed\n",
        show_count(report.fetched),
        show_count(report.planned),
        report.seconds,
        show_size(report.bytes),
        show_size((report.bytes as f64 / seconds) as u64),
        show_count(report.resident),
        show_count(report.missing),
        show_count(report.failed),
    )
}
