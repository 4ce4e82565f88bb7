//! What all requests share, and which request goes where.

use crate::{
    ServerConfig, access,
    answer::{Problem, json_response},
    body::Memory,
    book::Book,
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
    routing::{get, post},
};
use prefix_indexer::{PrefixIndexer, ServiceError};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
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
            ready: AtomicBool::new(true),
            indexer,
            config,
            tokens,
        })
    }
}

/// Milliseconds since 1970.
pub(crate) fn wall_clock_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// Every route, by the right that it needs.
pub(crate) fn router(app: Arc<App>) -> Router {
    let behind = |right, routes: Router<Arc<App>>| {
        routes.route_layer(from_fn_with_state((Arc::clone(&app), right), access::guard))
    };
    let open = Router::new()
        .route("/", get(page::index))
        .route("/docs", get(page::docs))
        .route("/openapi.json", get(page::openapi))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz));
    let read = Router::new()
        .route("/suggest", get(legacy::suggest))
        .route("/snapshot", get(legacy::snapshot))
        .route("/v1/suggest", get(v1::suggest::get).post(v1::suggest::post))
        .route("/v1/plan", get(v1::plan::get).post(v1::plan::post))
        .route("/v1/plan/{id}", get(v1::plan::outcome))
        .route("/v1/stats", get(v1::stats::get));
    let ingest = Router::new()
        .route("/ingest", post(legacy::ingest))
        .route("/v1/ingest", post(v1::ingest::ingest))
        .route("/v1/feedback", post(v1::feedback::take));
    let metrics = Router::new().route("/metrics", get(metrics));
    let metrics = if app.config.open_metrics { metrics } else { behind(Right::Admin, metrics) };
    open.merge(behind(Right::Read, read))
        .merge(behind(Right::Ingest, ingest))
        .merge(metrics)
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::status(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"))
        .layer(from_fn_with_state(Arc::clone(&app), observe::request))
        .with_state(app)
}

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
        let ledger = &app.book.lock().ledger;
        app.requests.observe(ledger);
        app.indexer.metrics().observe_feedback(ledger);
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
