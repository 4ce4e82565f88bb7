//! `GET` and `POST /v1/suggest`: the best prefixes, with the layers and pages that a planner builds its requests from.

use crate::{
    access::CallerOf,
    answer::{Detail, Problem, json_response},
    app::App,
    describe::{self, AMOUNT, Answer, Call, DURATION, IDS, Kind, Method, Param, TEXT, TIME, call},
    events::document,
    params::Params,
    rank::{MAX_TOP_K, Question, TOP_K, TOP_K_PARAM, top_k},
    tokens::{Caller, Right},
};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, Uri},
    response::Response,
};
use prefix_indexer::{ActivePrefix, ActiveSet, parse_duration_ms};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// The time that the scores are as of.
const NOW_HEADER: &str = "prefix-indexer-now-ms";

const BEST: Answer = Answer { status: 200, what: "Best first", kind: Kind::List("Recommendation") };

pub(crate) const GET: Call = Call {
    id: "suggest",
    summary: "The best prefixes, best first",
    description: "The header `prefix-indexer-now-ms` of the answer says as of when scores are.",
    params: &[
        TOP_K_PARAM,
        Param::query("min_score", AMOUNT, "Leave out lower scores"),
        Param::query("tenant", TEXT, "Only of this tenant"),
        Param::query("model", TEXT, "Only of this model"),
        Param::query("half_life", DURATION, "One of the index's"),
        Param::query("now", TIME, "Score as of this time in milliseconds, at least that of the newest event"),
        Param::query("active", IDS, "Resident prefixes, which are left out"),
    ],
    answer: BEST,
    ..call(Method::Get, "/v1/suggest", Some(Right::Read))
};

pub(crate) const POST: Call = Call {
    id: "suggest_without",
    summary: "The same with a body, for many resident prefixes",
    body: describe::Body::Document("SuggestAsked"),
    answer: BEST,
    ..call(Method::Post, "/v1/suggest", Some(Right::Read))
};

pub(crate) async fn get(
    State(app): State<Arc<App>>,
    CallerOf(caller): CallerOf,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut params = Params::of(&uri, GET.params);
    let top_k = top_k(&mut params);
    let question = Question {
        tenant: params.text("tenant"),
        model_id: params.text("model"),
        top_k,
        half_life_ms: params.parsed("half_life", |text| parse_duration_ms(text).map_err(|error| error.to_string())),
        min_score: params.amount("min_score"),
        now_ms: params.integer("now", 0..=prefix_indexer::MAX_INTEGER),
        active: active(params.all("active").into_iter().map(Resident::Id)),
    };
    params.finish()?;
    answer(&app, &caller, question)
}

/// The same question as a document, for more resident prefixes than a query string holds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    tenant: Option<String>,
    model: Option<String>,
    top_k: Option<u64>,
    half_life: Option<String>,
    min_score: Option<f64>,
    now: Option<u64>,
    #[serde(default)]
    active: Vec<Resident>,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Resident {
    Id(String),
    Prefix(ActivePrefix),
}

pub(crate) async fn post(
    State(app): State<Arc<App>>,
    CallerOf(caller): CallerOf,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    Params::of(&uri, POST.params).finish()?;
    let payload = app.read_body(&headers, body).await?;
    let wrong = |field: &'static str, reason: String| {
        Detail::value_error(vec!["body".into(), field.into()], reason, Value::Null)
    };
    let asked: Asked = document(&payload.bytes)?;
    let top_k = asked.top_k.unwrap_or(TOP_K);
    if !(1..=MAX_TOP_K).contains(&top_k) {
        return Err(wrong("top_k", format!("expected 1 to {MAX_TOP_K}")).into());
    }
    if asked.min_score.is_some_and(|score| score < 0.0) {
        return Err(wrong("min_score", "expected at least 0".to_owned()).into());
    }
    let half_life_ms = asked.half_life.as_deref().map(parse_duration_ms).transpose();
    let question = Question {
        tenant: asked.tenant,
        model_id: asked.model,
        top_k: top_k as usize,
        half_life_ms: half_life_ms.map_err(|error| wrong("half_life", error.to_string()))?,
        min_score: asked.min_score,
        now_ms: asked.now,
        active: active(asked.active.into_iter()),
    };
    answer(&app, &caller, question)
}

pub(crate) fn active(residents: impl ExactSizeIterator<Item = Resident>) -> Option<ActiveSet> {
    if residents.len() == 0 {
        return None;
    }
    let mut set = ActiveSet::default();
    residents.for_each(|resident| {
        set.insert(match resident {
            Resident::Id(prefix_id) => ActivePrefix { prefix_id, tenant: None, model_id: None },
            Resident::Prefix(prefix) => prefix,
        });
    });
    Some(set)
}

fn answer(app: &App, caller: &Caller, question: Question) -> Result<Response, Problem> {
    let (found, now_ms) = app.rank(caller, question)?;
    let body = serde_json::to_vec(&found).map_err(|error| Problem::internal(&error))?;
    let mut response = json_response(StatusCode::OK, body);
    response.headers_mut().insert(NOW_HEADER, HeaderValue::from(now_ms));
    Ok(response)
}
