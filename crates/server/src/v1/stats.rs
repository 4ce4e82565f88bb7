//! `GET /v1/stats`: the index in numbers; for who may not see all of it, what feedback says about its own tenants.

use crate::{
    access::CallerOf,
    answer::{Problem, json_of},
    app::App,
    describe::{Answer, Call, Kind, Method, call},
    params::Params,
    tokens::Right,
};
use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};
use prefix_indexer::{Experience, Outcomes, Promise, Shift, analytics::Learner};
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc};

pub(crate) const GET: Call = Call {
    id: "stats",
    summary: "The index in numbers; without admin, feedback on the token's tenants",
    answer: Answer { status: 200, what: "Now", kind: Kind::One("Stats") },
    statuses: &[422],
    ..call(Method::Get, "/v1/stats", Some(Right::Read))
};

#[derive(Serialize)]
struct Stats {
    half_lives: String,
    utility: &'static str,
    /// Of tenants that the caller may see, as the next two.
    feedback: BTreeMap<String, Outcomes>,
    policies: BTreeMap<String, Outcomes>,
    /// By policy and tenant.
    outcomes: BTreeMap<String, BTreeMap<String, Outcomes>>,
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
    calibration: Vec<Bin>,
    corrections: Vec<Shift>,
    promises: Vec<Promised>,
}

/// Learned probabilities of about the same size, against what came.
#[derive(Serialize)]
struct Bin {
    horizon_ms: u64,
    predicted: f64,
    observed: f64,
    count: u64,
}

#[derive(Serialize)]
struct Promised {
    #[serde(flatten)]
    promise: Promise,
    kept: f64,
}

pub(crate) async fn get(
    State(app): State<Arc<App>>,
    CallerOf(caller): CallerOf,
    uri: Uri,
) -> Result<Response, Problem> {
    Params::of(&uri, GET.params).finish()?;
    let spec = app.indexer.spec();
    let sees = |tenant: &&String| caller.sees(tenant);
    let (feedback, outcomes, experience) = {
        let inner = app.book.lock();
        (
            seen(inner.ledger.tenants(), sees),
            inner.plans.counts().iter().map(|(policy, tenants)| (policy.clone(), seen(tenants, sees))).collect(),
            inner.plans.experience().clone(),
        )
    };
    let outcomes: BTreeMap<String, BTreeMap<String, Outcomes>> = outcomes;
    let index = caller.may(Right::Admin).then(|| index(&app, &experience));
    let stats = Stats {
        half_lives: spec.ladder.to_string(),
        utility: spec.utility.name(),
        feedback,
        policies: outcomes.iter().map(|(policy, tenants)| (policy.clone(), sum(tenants.values()))).collect(),
        outcomes,
        index,
    };
    json_of(StatusCode::OK, &stats)
}

fn seen(tenants: &BTreeMap<String, Outcomes>, sees: impl Fn(&&String) -> bool) -> BTreeMap<String, Outcomes> {
    let own = tenants.iter().filter(|(tenant, _)| sees(tenant));
    own.map(|(tenant, counts)| (tenant.clone(), counts.clone())).collect()
}

fn sum<'a>(all: impl Iterator<Item = &'a Outcomes>) -> Outcomes {
    let mut sum = Outcomes::new();
    for (outcome, count) in all.flatten() {
        sum.entry(*outcome).or_default().add(count);
    }
    sum
}

fn index(app: &App, experience: &Experience) -> Index {
    let (metrics, status) = (app.indexer.metrics(), app.indexer.metrics().status());
    // What questions see now; the status is older than what was shown since the last append.
    let view = app.indexer.snapshot();
    let promised = |promise: &Promise| Promised { kept: promise.kept(), promise: promise.clone() };
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
        calibration: app.book.learned().map_or_else(Vec::new, |learner| calibration(&learner)),
        corrections: experience.shifts().to_vec(),
        promises: experience.promises().iter().map(promised).collect(),
    }
}

fn calibration(learner: &Learner) -> Vec<Bin> {
    let bins = learner.model().reliability().flat_map(|(horizon_ms, reliability)| {
        let rows: Vec<_> = reliability.rows().map(|(_, _, row)| row).filter(|row| row.count > 0).collect();
        rows.into_iter().map(move |row| {
            let count = row.count as f64;
            let (predicted, observed) = (row.expected / count, row.observed as f64 / count);
            Bin { horizon_ms, predicted, observed, count: row.count }
        })
    });
    bins.collect()
}
