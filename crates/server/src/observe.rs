//! What happens to every request: an id, a time limit, a line in the log, a number in the metrics.

use crate::{access, answer::Problem, app::App};
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use prefix_indexer::{FeedbackLedger, Outcome, PlanBook};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Names a request in the log; a client may choose its own.
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id of a client's own in bytes.
const MAX_ID: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    /// As in the list of routes, so that there are few.
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PolicyOutcome {
    policy: String,
    outcome: &'static str,
}

/// Upper bounds of timing histograms in seconds: 1 us to 16 s.
fn timings() -> Histogram {
    Histogram::new((0..13).map(|step| 1e-6 * 4f64.powi(step)))
}

/// Counts and times of requests.
pub(crate) struct Requests {
    registry: Registry,
    answered: Family<Labels, Counter>,
    seconds: Histogram,
    plan_seconds: Histogram,
    plan_precision: Gauge<f64, AtomicU64>,
    plan_saved_ms: Counter<f64, AtomicU64>,
    plan_outcomes: Family<PolicyOutcome, Counter>,
    /// Different after every start.
    first_id: u64,
    last_id: AtomicU64,
}

impl Requests {
    pub(crate) fn new() -> Requests {
        let mut registry = Registry::with_prefix("prefix_indexer");
        let answered = Family::default();
        let (seconds, plan_seconds) = (timings(), timings());
        registry.register("http_requests", "Requests answered, by route and status", answered.clone());
        registry.register("http_request_seconds", "Time to answer a request", seconds.clone());
        registry.register("plan_seconds", "Time to make a plan", plan_seconds.clone());
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let first_id = started.as_micros() as u64;
        let (plan_precision, plan_saved_ms) = (Gauge::default(), Counter::default());
        registry.register("plan_precision", "Share of planned prefixes that were used in time", plan_precision.clone());
        registry.register("plan_saved_ms", "Milliseconds that planned prefixes saved", plan_saved_ms.clone());
        let plan_outcomes = Family::default();
        registry.register("plan_blocks", "Planned prefixes by policy and what became of them", plan_outcomes.clone());
        Requests {
            plan_outcomes,
            registry,
            answered,
            seconds,
            plan_seconds,
            plan_precision,
            plan_saved_ms,
            first_id,
            last_id: AtomicU64::new(0),
        }
    }

    /// The Prometheus text exposition.
    pub(crate) fn exposition(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        encode(&mut text, &self.registry).map_or_else(|_| String::new(), |()| text)
    }

    /// Takes the numbers that feedback adds up to.
    pub(crate) fn observe(&self, ledger: &FeedbackLedger, plans: &PlanBook) {
        for (policy, tenants) in plans.counts() {
            let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
            for (outcome, count) in tenants.values().flatten() {
                *counts.entry(outcome.name()).or_default() += count.prefixes;
            }
            for (outcome, count) in counts {
                let counter =
                    self.plan_outcomes.get_or_create_owned(&PolicyOutcome { policy: policy.clone(), outcome });
                counter.inc_by(count.saturating_sub(counter.get()));
            }
        }
        self.plan_precision.set(ledger.precision().unwrap_or(f64::NAN));
        if let Some(used) = ledger.totals().get(&Outcome::Used) {
            self.plan_saved_ms.inc_by(f64::max(0.0, used.saved_ms - self.plan_saved_ms.get()));
        }
    }

    pub(crate) fn planned(&self, took: Duration) {
        self.plan_seconds.observe(took.as_secs_f64());
    }

    /// The client's own name for a request, if it is one that can stand in a log, or a new one.
    fn id(&self, given: Option<&HeaderValue>) -> HeaderValue {
        let plain = |id: &[u8]| id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte));
        if let Some(given) = given.filter(|id| (1..=MAX_ID).contains(&id.len()) && plain(id.as_bytes())) {
            return given.clone();
        }
        let number = self.last_id.fetch_add(1, Ordering::Relaxed);
        let text = format!("{:x}-{number:x}", self.first_id);
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("-"))
    }
}

/// Around every request.
pub(crate) async fn request(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = app.requests.id(request.headers().get(&REQUEST_ID));
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = if app.tokens.is_none() && access::comes_from_elsewhere(request.headers(), request.uri()) {
        Problem::status(StatusCode::MISDIRECTED_REQUEST, "without tokens only this machine's own programs are served")
            .into_response()
    } else {
        match tokio::time::timeout(app.config.request_timeout.0, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::status(StatusCode::REQUEST_TIMEOUT, "the request took too long").into_response(),
        }
    };
    let status = response.status();
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    let took = started.elapsed();
    app.requests.seconds.observe(took.as_secs_f64());
    app.requests.answered.get_or_create(&Labels { route: route.to_owned(), status: status.as_u16() }).inc();
    let id_text = id.to_str().unwrap_or_default();
    let (status, micros) = (status.as_u16(), took.as_micros() as u64);
    match status {
        500.. => tracing::error!(id = id_text, %method, route, status, micros, "request"),
        400.. => tracing::info!(id = id_text, %method, route, status, micros, "request"),
        _ => tracing::debug!(id = id_text, %method, route, status, micros, "request"),
    }
    response.headers_mut().insert(REQUEST_ID.clone(), id);
    response
}
