//! `serve`: the index over HTTP, until told to stop.

use super::{DataArgs, RetentionArgs};
use crate::{DONE, config::Config, output, worker::Worker};
use anyhow::{Context, bail};
use prefix_indexer::{
    IndexSpec, IndexerOptions, Ladder, OpenOptions, PrefixIndexer, TelemetrySink, TracingSink, Utility,
};
use prefix_indexer_server::{Server, ServerConfig};
use std::{path::PathBuf, str::FromStr, sync::Arc};
use tracing_subscriber::filter::LevelFilter;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataArgs,

    /// TOML file; its section [server] says how to listen. With a section [prefetch] and two tiers or more in [cache] the service
    /// also prefetches
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Address and port, instead of the configuration's
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,

    /// Half-lives that a new index keeps [default: 1m,5m,20m,1h,6h]
    #[arg(long, value_name = "LIST", value_parser = Ladder::from_str)]
    half_life: Option<Ladder>,

    /// What a use counts in a new index [default: hits]
    #[arg(long, value_name = "hits|bytes|latency", value_parser = Utility::from_str)]
    utility: Option<Utility>,

    /// Prefetch nothing, and say in the metrics what prefetching would have gained
    #[arg(long, requires = "config")]
    dry_run: bool,

    #[command(flatten)]
    retention: RetentionArgs,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let settings = Config::load_or_default(self.config.as_deref())?;
        let config = self.config(&settings);
        log(&config)?;
        let spec = self.spec()?;
        let max_future = Some(config.max_future.0);
        // The address first: whoever finds it taken should not have waited for an index, nor have made one.
        let server = Server::bind(config)?;
        let store = self.data.write(OpenOptions { spec: Some(spec), ..self.retention.options() })?;
        let telemetry: Vec<Box<dyn TelemetrySink>> = vec![Box::new(TracingSink)];
        let options = IndexerOptions { max_future, telemetry, predict: true, ..IndexerOptions::default() };
        let indexer = PrefixIndexer::start(store, options);
        if server.is_open() {
            output::warn("no tokens: every program on this machine may read and write, other machines cannot connect");
        }
        let worker = self.worker(&settings, &indexer)?;
        output::note(format_args!("listening on {}", server.url()));
        server.run(indexer)?;
        if let Some(worker) = worker.filter(|worker| worker.prefetcher.is_dry_run()) {
            output::note(worker.prefetcher.shadow());
        }
        Ok(DONE)
    }

    /// The prefetcher beside the service, where one is configured. It sees what has been flushed, as any reader does.
    fn worker(&self, settings: &Config, indexer: &PrefixIndexer) -> anyhow::Result<Option<Worker>> {
        if !settings.prefetches() && !self.dry_run {
            return Ok(None);
        }
        let mut config = settings.prefetch.for_blocks()?;
        if settings.prefetch.metrics.is_some() {
            bail!(
                "[prefetch] metrics: is for a process that does nothing but prefetch; this one answers GET /metrics itself"
            );
        }
        config.dry_run |= self.dry_run;
        // A cycle that did something is a line in the log.
        let mut worker = Worker::new(settings, config, self.data.read()?, |_| {})?;
        let metrics = Arc::clone(indexer.metrics());
        metrics.follow_prefetch(worker.prefetcher.meter());
        worker.on_stats(move |stats| metrics.observe_cache(stats));
        worker.prefetcher.start()?;
        Ok(Some(worker))
    }

    fn config(&self, settings: &Config) -> ServerConfig {
        let mut config = settings.server.clone();
        if let Some(listen) = &self.listen {
            config.listen.clone_from(listen);
        }
        config
    }

    /// What the index was made with, changed where the arguments say something: the store refuses what it cannot be.
    fn spec(&self) -> anyhow::Result<IndexSpec> {
        let made = self.data.made()?;
        Ok(IndexSpec {
            ladder: self.half_life.clone().unwrap_or(made.ladder),
            utility: self.utility.unwrap_or(made.utility),
            key_policy: made.key_policy,
        })
    }
}

/// Log lines go to standard error.
fn log(config: &ServerConfig) -> anyhow::Result<()> {
    let level = LevelFilter::from_str(&config.log_level).ok().with_context(|| {
        format!("[server] log_level: `{}` is not one of error, warn, info, debug, trace", config.log_level)
    })?;
    let lines = tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(level).with_ansi(false);
    match config.log_format.as_str() {
        "text" => lines.init(),
        "json" => lines.json().flatten_event(true).init(),
        other => bail!("[server] log_format: `{other}` is neither text nor json"),
    }
    Ok(())
}
