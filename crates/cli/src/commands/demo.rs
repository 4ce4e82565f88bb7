//! `demo`: the main job, seen once.

use super::suggest;
use crate::{
    DONE, output,
    units::{show_count, show_size},
};
use anyhow::Context;
use prefix_indexer::{
    Inputs, NativeEngine, OpenOptions, Query, StoreKind, TraceOptions, ingest_pieces, parse_duration_ms,
};
use std::{path::PathBuf, time::Instant};

/// A Mooncake trace of a few hundred requests: conversations, shared system prompts, periodic jobs.
const BUILT_IN: &[u8] = include_bytes!("../../../../fixtures/mooncake.jsonl");

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Your own trace, in any format that `ingest` reads
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let dir = tempfile::tempdir().context("cannot make a directory for the index")?;
        let trace = match &self.trace {
            Some(trace) => trace.clone(),
            None => {
                let path = dir.path().join("mooncake.jsonl");
                std::fs::write(&path, BUILT_IN).with_context(|| path.display().to_string())?;
                path
            }
        };
        let spec = Some(Default::default());
        let options = OpenOptions { spec, ..OpenOptions::default() };
        let mut store = prefix_indexer::open(StoreKind::Segments, &dir.path().join("index"), options)?;
        let started = Instant::now();
        let pieces = Inputs::from_args([&trace])?.open(TraceOptions::default(), |_| Vec::new());
        let counted = ingest_pieces(store.as_mut(), pieces, NativeEngine::on_all_cores(usize::MAX), |_| Ok(()))?;
        let ingested = started.elapsed();
        let status = store.status();
        let shown = self.trace.as_ref().map_or("a built-in trace".to_owned(), |trace| trace.display().to_string());
        output::print(&format!(
            "Read {shown}: {} uses of {} prefixes, ranked and on disk in {:.0} ms ({}).\n",
            show_count(counted.events),
            show_count(status.prefixes),
            ingested.as_secs_f64() * 1e3,
            show_size(status.bytes),
        ))?;
        let view = store.reader().view();
        for half_life in ["5m", "1h"] {
            let query = Query { half_life_ms: Some(parse_duration_ms(half_life)?), top_k: 5, ..Query::default() };
            let asked = Instant::now();
            let best = query.run(&view)?;
            let micros = asked.elapsed().as_secs_f64() * 1e6;
            output::print(&format!(
                "\nWhat to have in the cache now, half-life {half_life} (asked in {micros:.0} us):\n"
            ))?;
            output::print(&suggest::table(&best, query.now_ms(&view)))?;
        }
        Ok(DONE)
    }
}
