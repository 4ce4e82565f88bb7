//! `GET /v1/stats`: the index in numbers; for who may not see all of it, what feedback says about its own tenants.

use crate::{
    access::CallerOf,
    answer::{Problem, json_of},
    app::App,
    params::Params,
    tokens::Right,
};
use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};
use prefix_indexer::{Outcome, OutcomeCount};
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc};

type Outcomes = BTreeMap<Outcome, OutcomeCount>;

#[derive(Serialize)]
struct Stats {
    half_lives: String,
    utility: &'static str,
    /// Of tenants that the caller may see.
    feedback: BTreeMap<String, Outcomes>,
    #[serde(flatten)]
    index: Option<Index>,
}

/// What is the business of who runs the service.
#[derive(Serialize)]
struct Index {
    prefixes: u64,
    bytes: u64,
    generation: u64,
    segments: usize,
    log_bytes: u64,
    newest_ms: u64,
    /// Since the index was made.
    events: u64,
    /// Since the service was started.
    ingested: u64,
    duplicates: u64,
    queue_depth: u64,
    policies: BTreeMap<String, Outcomes>,
}

pub(crate) async fn get(
    State(app): State<Arc<App>>,
    CallerOf(caller): CallerOf,
    uri: Uri,
) -> Result<Response, Problem> {
    Params::of(&uri).finish()?;
    let spec = app.indexer.spec();
    let (feedback, policies) = {
        let inner = app.book.lock();
        let own = inner.ledger.tenants().iter().filter(|(tenant, _)| caller.sees(tenant));
        (own.map(|(tenant, counts)| (tenant.clone(), counts.clone())).collect(), inner.plans.policies().clone())
    };
    let index = caller.may(Right::Admin).then(|| {
        let (metrics, status) = (app.indexer.metrics(), app.indexer.metrics().status());
        // What questions see now; the status is older than what was shown since the last append.
        let view = app.indexer.snapshot();
        Index {
            prefixes: view.len(),
            bytes: status.bytes,
            generation: status.generation,
            segments: view.segments().len(),
            log_bytes: status.log_bytes,
            newest_ms: view.newest_ms(),
            events: status.counters.events,
            ingested: metrics.events(),
            duplicates: status.counters.duplicates,
            queue_depth: metrics.queued_batches(),
            policies,
        }
    });
    let stats = Stats { half_lives: spec.ladder.to_string(), utility: spec.utility.name(), feedback, index };
    json_of(StatusCode::OK, &stats)
}
