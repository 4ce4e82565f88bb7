//! What all requests share, and which request goes where.

use crate::{
    ServerConfig, access,
    answer::{Problem, json_response},
    body::Memory,
    book::Book,
    describe::{Answer, Call, Kind, Method, call},
    legacy,
    observe::{self, Requests},
    page,
    tokens::{Caller, Right, Tokens},
    v1,
};
use axum::{
    Router,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    middleware::from_fn_with_state,
    response::Response,
    routing::{MethodRouter, get, post},
};
use prefix_indexer::{PrefixIndexer, ServiceError, StorageError};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::sync::Semaphore;

/// Snapshots that may be written at a time: each holds a thread.
const SNAPSHOTS: usize = 4;

/// What all requests share.
pub(crate) struct App {
    pub(crate) indexer: PrefixIndexer,
    pub(crate) config: ServerConfig,
    pub(crate) tokens: Option<Tokens>,
    pub(crate) anybody: Arc<Caller>,
    pub(crate) memory: Memory,
    pub(crate) snapshots: Arc<Semaphore>,
    pub(crate) requests: Requests,
    pub(crate) book: Arc<Book>,
    /// Batches on their way to the disk.
    pub(crate) handing_in: AtomicUsize,
    /// Whether batches are being written: not while the service ends, nor after the disk has failed.
    pub(crate) ready: AtomicBool,
}

impl App {
    pub(crate) fn new(
        indexer: PrefixIndexer,
        config: ServerConfig,
        tokens: Option<Tokens>,
    ) -> Result<App, ServiceError> {
        Ok(App {
            book: Arc::new(Book::load(&indexer)?),
            memory: Memory::new(config.max_in_flight.0),
            snapshots: Arc::new(Semaphore::new(SNAPSHOTS)),
            anybody: Arc::new(Caller::anybody()),
            requests: Requests::new(),
            handing_in: AtomicUsize::new(0),
            ready: AtomicBool::new(true),
            indexer,
            config,
            tokens,
        })
    }

    /// Takes notice that the index could not be written: one that has halted takes nothing more until it is opened again, and whoever
    /// balances load should know.
    pub(crate) fn not_written(&self, error: &StorageError) {
        if matches!(error, StorageError::Halted { .. }) {
            self.ready.store(false, Ordering::Relaxed);
        }
    }
}

/// Milliseconds since 1970.
pub(crate) fn wall_clock_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

type Handler = MethodRouter<Arc<App>>;

/// Every call that is described, with what answers it.
fn routes() -> Vec<(Call, Handler)> {
    vec![
        (legacy::INGEST, post(legacy::ingest)),
        (legacy::SUGGEST, get(legacy::suggest)),
        (legacy::SNAPSHOT, get(legacy::snapshot)),
        (HEALTHZ, get(healthz)),
        (READYZ, get(readyz)),
        (METRICS, get(metrics)),
        (v1::ingest::POST, post(v1::ingest::ingest)),
        (v1::suggest::GET, get(v1::suggest::get)),
        (v1::suggest::POST, post(v1::suggest::post)),
        (v1::plan::GET, get(v1::plan::get)),
        (v1::plan::POST, post(v1::plan::post)),
        (v1::plan::OUTCOME, get(v1::plan::outcome)),
        (v1::feedback::POST, post(v1::feedback::take)),
        (v1::predict::GET, get(v1::predict::get)),
        (v1::stats::GET, get(v1::stats::get)),
    ]
}

/// The calls, as they are described.
pub(crate) fn calls() -> Vec<Call> {
    routes().into_iter().map(|(call, _)| call).collect()
}

/// Every call behind the right that it needs, and the pages.
pub(crate) fn router(app: Arc<App>) -> Router {
    let pages = [("/", get(page::index)), ("/docs", get(page::docs)), ("/openapi.json", get(page::openapi))];
    let mut router = Router::new();
    for (path, page) in pages {
        router = router.route(path, page);
    }
    for (call, handler) in routes() {
        let right = call.right.filter(|right| !(app.config.open_metrics && *right == Right::Admin));
        let handler = match right {
            Some(right) => handler.route_layer(from_fn_with_state((Arc::clone(&app), right), access::guard)),
            None => handler,
        };
        router = router.route(call.path, handler);
    }
    router
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::status(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"))
        .layer(from_fn_with_state(Arc::clone(&app), observe::request))
        .with_state(app)
}

const HEALTHZ: Call = Call {
    id: "healthz",
    summary: "The process is there",
    answer: Answer { status: 200, what: "It is", kind: Kind::One("Status") },
    ..call(Method::Get, "/healthz", None)
};

const READYZ: Call = Call {
    id: "readyz",
    summary: "Events are being taken: not while the service is ending, nor after its disk has failed",
    answer: Answer { status: 200, what: "They are", kind: Kind::One("Status") },
    statuses: &[503],
    ..call(Method::Get, "/readyz", None)
};

const METRICS: Call = Call {
    id: "metrics",
    summary: "Numbers for Prometheus",
    answer: Answer { status: 200, what: "OpenMetrics text", kind: Kind::Text("application/openmetrics-text") },
    ..call(Method::Get, "/metrics", Some(Right::Admin))
};

async fn healthz() -> Response {
    json_response(StatusCode::OK, r#"{"status":"ok"}"#)
}

async fn readyz(State(app): State<Arc<App>>) -> Response {
    if app.ready.load(Ordering::Relaxed) {
        json_response(StatusCode::OK, r#"{"status":"ready"}"#)
    } else {
        json_response(StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"not ready"}"#)
    }
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    {
        let book = app.book.lock();
        app.requests.observe(&book.ledger, &book.plans);
        app.indexer.metrics().observe_feedback(&book.ledger);
    }
    let index = app.indexer.metrics().exposition();
    text_of_metrics(index.trim_end_matches("# EOF\n").to_owned() + &app.requests.exposition())
}

/// An exposition as an answer.
pub(crate) fn text_of_metrics(text: String) -> Response {
    let mut response = Response::new(text.into());
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
