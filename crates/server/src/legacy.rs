//! The contract that planners of the older offline index speak, kept to the letter: paths, status codes and bodies.
//!
//! What the older service answered when it had written, this one answers when it has: a 202 is durable, and the next question sees
//! its events.

use crate::{
    access::CallerOf,
    answer::{Problem, json_of},
    app::App,
    describe::{self, AMOUNT, Answer, Call, Kind, Method, Param, call},
    events::Shape,
    ingest::{Choices, Until},
    params::Params,
    rank::{Question, TOP_K_PARAM, top_k},
    tokens::{Right, Tenants},
};
use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::Response,
};
use prefix_indexer::{Order, PrefixRecommendation, Scope, StorageError, View};
use serde::Serialize;
use serde_json::json;
use std::{convert::Infallible, sync::Arc};
use tokio::sync::mpsc;

/// Bytes of a snapshot that are sent together.
const CHUNK: usize = 64 << 10;

#[derive(Serialize)]
struct Prefix<'a> {
    prefix_id: &'a str,
    tenant: &'a str,
    model_id: &'a str,
    score: f64,
    hint: String,
}

impl<'a> Prefix<'a> {
    fn new(found: &'a PrefixRecommendation, hint: String) -> Prefix<'a> {
        Prefix {
            prefix_id: &found.prefix_id,
            tenant: &found.tenant,
            model_id: &found.model_id,
            score: found.score,
            hint,
        }
    }
}

pub(crate) const INGEST: Call = Call {
    id: "older_ingest",
    summary: "Take events; on disk and seen by the next question when it answers",
    body: describe::Body::Document("Events"),
    answer: Answer { status: 202, what: "Taken", kind: Kind::One("Ingested") },
    ..call(Method::Post, "/ingest", Some(Right::Ingest))
};

pub(crate) const SUGGEST: Call = Call {
    id: "older_suggest",
    summary: "The best prefixes, best first",
    params: &[TOP_K_PARAM, Param::query("min_score", AMOUNT, "Leave out lower scores")],
    answer: Answer { status: 200, what: "Best first", kind: Kind::List("Prefix") },
    ..call(Method::Get, "/suggest", Some(Right::Read))
};

pub(crate) const SNAPSHOT: Call = Call {
    id: "older_snapshot",
    summary: "Every prefix",
    answer: Answer { status: 200, what: "Best first; the hint has no score", kind: Kind::List("Prefix") },
    statuses: &[429],
    ..call(Method::Get, "/snapshot", Some(Right::Read))
};

/// `POST /ingest {"events": [...]}`
pub(crate) async fn ingest(
    State(app): State<Arc<App>>,
    CallerOf(caller): CallerOf,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let read = app.read_events(&caller, Shape::Document, Choices::default(), &headers, body).await?;
    let count = read.events.batch.len();
    app.hand_in(read, None, Until::Seen).await?;
    json_of(StatusCode::ACCEPTED, &json!({ "ingested": count }))
}

/// `GET /suggest?top_k=10&min_score=0`
pub(crate) async fn suggest(
    State(app): State<Arc<App>>,
    CallerOf(caller): CallerOf,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut params = Params::of(&uri, SUGGEST.params);
    let top_k = top_k(&mut params);
    let min_score = params.amount("min_score");
    params.finish_lax()?;
    let (found, _) = app.rank(&caller, Question { top_k, min_score, ..Question::default() })?;
    let answer: Vec<_> = found.iter().map(|prefix| Prefix::new(prefix, prefix.hint().to_string())).collect();
    json_of(StatusCode::OK, &answer)
}

/// `GET /snapshot`: every prefix, best first, a piece at a time: as long as it may be, it takes no memory.
pub(crate) async fn snapshot(State(app): State<Arc<App>>, CallerOf(caller): CallerOf) -> Result<Response, Problem> {
    let busy = Problem::Busy("other snapshots are being written; try again");
    let Ok(permit) = Arc::clone(&app.snapshots).try_acquire_owned() else { return Err(busy) };
    let view = app.indexer.snapshot();
    let question = Question::default();
    let now_ms = question.now_ms(&view)?;
    let rung = question.rung(&view)?;
    let (sender, receiver) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = write(&view, &caller.tenants, rung, now_ms, &sender) {
            // Without its last bracket the client sees that it is not whole.
            tracing::error!(%error, "a snapshot broke off");
        }
        drop(permit);
    });
    let chunks = futures_util::stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|chunk| (Ok::<Bytes, Infallible>(chunk), receiver))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn write(
    view: &View,
    tenants: &Tenants,
    rung: usize,
    now_ms: u64,
    out: &mpsc::Sender<Bytes>,
) -> Result<(), StorageError> {
    let scopes: Vec<Scope<'_>> = match tenants {
        Tenants::All => vec![Scope::default()],
        Tenants::Only(tenants) => tenants.iter().map(|tenant| Scope { tenant: Some(tenant), model_id: None }).collect(),
    };
    let mut text = b"[".to_vec();
    for row in scopes.into_iter().flat_map(|scope| view.ranked(scope, Order::Rung(rung))) {
        let found = row?.recommend(rung, now_ms);
        if text != b"[" {
            text.push(b',');
        }
        // Writing numbers and strings to a vector cannot fail.
        drop(serde_json::to_writer(&mut text, &Prefix::new(&found, found.hint_without_score().to_string())));
        if text.len() >= CHUNK && out.blocking_send(std::mem::take(&mut text).into()).is_err() {
            return Ok(());
        }
    }
    text.push(b']');
    drop(out.blocking_send(text.into()));
    Ok(())
}
