//! `POST /v1/ingest`: events as a document or a line each, plain or compressed, durable or not, once by their key.

use crate::{
    access::CallerOf,
    answer::{Detail, Problem, json_of},
    app::App,
    describe::{self, Answer, Call, Kind, Method, Param, Place, TEXT, call},
    events::Shape,
    ingest::{Choices, Until, batch_id},
    params::Params,
    tokens::Right,
};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Longest idempotency key in bytes.
const MAX_KEY: usize = 255;

#[derive(Serialize)]
struct Taken {
    /// Events taken.
    ingested: u64,
    /// Events left out because they are none.
    bad_events: u64,
    /// Events left out because they were counted before; known once they are durable.
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicates: Option<u64>,
    durable: bool,
}

pub(crate) const POST: Call = Call {
    id: "ingest",
    summary: "Take events",
    description: "A document or a line an event, plain, gzip or zstd. All or nothing, unless bad events are to be skipped.",
    params: &[
        Param::query("durable", r#"{"type": "boolean", "default": false}"#, "Answer when the events are on disk"),
        Param::query(
            "bad_events",
            r#"{"enum": ["fail", "skip"], "default": "fail"}"#,
            "Refuse the whole body for a bad event, or leave that out",
        ),
        Param::query("tenant", TEXT, "Tenant of events that name none"),
        Param::query("model", TEXT, "Model of events that name none"),
        Param {
            name: IDEMPOTENCY_KEY,
            place: Place::Header,
            required: false,
            schema: r#"{"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}"#,
            what: "Names the batch: a second one of the same token adds nothing",
        },
    ],
    body: describe::Body::Lines("Events"),
    answer: Answer { status: 202, what: "Taken", kind: Kind::One("Taken") },
    ..call(Method::Post, "/v1/ingest", Some(Right::Ingest))
};

pub(crate) async fn ingest(
    State(app): State<Arc<App>>,
    CallerOf(caller): CallerOf,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let mut params = Params::of(&uri, POST.params);
    let durable = params.flag("durable");
    let skip_bad = params.parsed("bad_events", |text| match text {
        "fail" => Ok(false),
        "skip" => Ok(true),
        _ => Err("expected fail or skip".to_owned()),
    });
    let (tenant, model_id) = (params.text("tenant"), params.text("model"));
    params.finish()?;
    let key = idempotency_key(&headers)?;
    let choices = Choices { skip_bad: skip_bad.unwrap_or(false), tenant, model_id };
    let read = app.read_events(&caller, Shape::of(&headers), choices, &headers, body).await?;
    let (count, bad_events) = (read.events.batch.len() as u64, read.events.bad);
    let until = if durable { Until::Durable } else { Until::Taken };
    let appended = app.hand_in(read, key.map(|key| batch_id(&caller, key)), until).await?;
    let (ingested, duplicates) = appended.map_or((count, None), |done| (done.events, Some(done.duplicates)));
    json_of(StatusCode::ACCEPTED, &Taken { ingested, bad_events, duplicates, durable })
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&[u8]>, Problem> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter().map(|key| key.as_bytes());
    match (keys.next(), keys.next()) {
        (None, _) => Ok(None),
        (Some(key), None) if (1..=MAX_KEY).contains(&key.len()) => Ok(Some(key)),
        _ => {
            let reason = format!("expected one key of 1 to {MAX_KEY} bytes");
            Err(Detail::value_error(vec!["header".into(), IDEMPOTENCY_KEY.into()], reason, Value::Null).into())
        }
    }
}
