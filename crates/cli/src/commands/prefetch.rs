//! `prefetch`: the continuous worker beside a live index.

use super::{DataArgs, warm::stop_on_signals};
use crate::{
    DONE,
    config::Config,
    output,
    units::{show_count, show_size},
    worker::Worker,
};
use prefix_indexer::{
    MoverMetrics,
    prefetch::{Cancel, Cycle, PrefetchStats},
};
use prefix_indexer_server::MetricsServer;
use std::{path::PathBuf, sync::Arc, time::Duration};

/// How often people are told how it goes.
const TOLD_EVERY: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataArgs,

    /// Configuration: [blocks], [cache] and [prefetch]
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Score and report, fetch nothing, and say what fetching would have gained
    #[arg(long)]
    dry_run: bool,

    /// End after so many cycles
    #[arg(long, value_name = "N")]
    cycles: Option<u64>,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let settings = Config::load(&self.config)?;
        let mut config = settings.prefetch.for_blocks()?;
        config.dry_run |= self.dry_run;
        let (interval, dry_run) = (config.interval, config.dry_run);
        let mut worker = Worker::new(&settings, config, self.data.read()?, tell)?;
        let _metrics = settings.prefetch.metrics.as_deref().map(|listen| show_metrics(listen, &worker)).transpose()?;
        let prefetcher = &mut worker.prefetcher;
        let cancel = Cancel::new();
        stop_on_signals(cancel.clone())?;
        output::note(format_args!(
            "{} every {} ms; SIGTERM ends it",
            if dry_run { "looking, and fetching nothing," } else { "prefetching" },
            interval.as_millis()
        ));
        match self.cycles {
            Some(cycles) => {
                for _ in 0..cycles {
                    prefetcher.run_cycle();
                    if cancel.sleep(interval) {
                        break;
                    }
                }
            }
            None => {
                prefetcher.start()?;
                while !cancel.sleep(TOLD_EVERY) {
                    if dry_run {
                        output::note(prefetcher.shadow());
                    }
                }
            }
        }
        prefetcher.signal_stop();
        if dry_run {
            output::note(prefetcher.shadow());
        } else {
            output::note(summary(&prefetcher.stats()));
        }
        Ok(DONE)
    }
}

/// Answers with the worker's numbers, until it is dropped.
fn show_metrics(listen: &str, worker: &Worker) -> anyhow::Result<MetricsServer> {
    let metrics = Arc::new(MoverMetrics::new(worker.prefetcher.meter()));
    let hearing = Arc::clone(&metrics);
    worker.on_stats(move |stats| hearing.observe_cache(stats));
    let server = MetricsServer::start(listen, move || metrics.exposition())?;
    output::note(format_args!("metrics at {}", server.url()));
    Ok(server)
}

/// A line for each cycle in which something happened.
fn tell(cycle: &Cycle) {
    let outcome = &cycle.outcome;
    if let Some(error) = &outcome.ended_by {
        output::warn(error);
    }
    if outcome.selected > 0 {
        output::note(format_args!(
            "{} chosen of {} looked at: {} fetched ({}), {} missing, {} failed, in {:.1} ms",
            outcome.selected,
            show_count(outcome.scored as u64),
            outcome.fetched,
            show_size(outcome.bytes),
            outcome.missing,
            outcome.failed,
            outcome.elapsed.as_secs_f64() * 1e3,
        ));
    }
}

fn summary(stats: &PrefetchStats) -> String {
    format!(
        "{} blocks fetched ({}), {} were there, {} are in no tier, {} failed; half of the fetches took at most {:.1} ms, 99 % {:.1} ms",
        show_count(stats.succeeded),
        show_size(stats.bytes),
        show_count(stats.skipped_resident),
        show_count(stats.missing),
        show_count(stats.failed),
        stats.latency_p50_ms,
        stats.latency_p99_ms,
    )
}
