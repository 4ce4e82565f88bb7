//! `GET /v1/predict`: which prefixes a tenant's next request most probably goes on from.

use crate::{
    access::{CallerOf, one_tenant},
    answer::{Detail, Problem, json_of},
    app::App,
    describe::{Answer, Call, IDS, Kind, Method, Param, TEXT, call},
    params::Params,
    tokens::Right,
};
use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};
use prefix_indexer::PredictAfter;
use serde_json::Value;
use std::sync::Arc;

const TOP_K: u64 = 10;

/// More are too improbable to act on.
const MAX_TOP_K: u64 = 100;

pub(crate) const GET: Call = Call {
    id: "predict",
    summary: "The prefixes that a tenant's next request most probably goes on from",
    description: "Learned from the events that this service is sent. After a session's last requests, or after requests for the \
                  prefixes of `after`.",
    params: &[
        Param::query("tenant", TEXT, "Whose request; a token of one tenant may leave it out"),
        Param::query("model", TEXT, "Only prefixes of this model; needed with `after`"),
        Param::query("session", TEXT, "After the last requests of this session, or of those without a session"),
        Param::query("after", IDS, "After requests for these prefixes, oldest first"),
        Param::query(
            "top_k",
            r#"{"type": "integer", "minimum": 1, "maximum": 100, "default": 10}"#,
            "How many at most",
        ),
    ],
    answer: Answer { status: 200, what: "Most probable first", kind: Kind::List("Predicted") },
    ..call(Method::Get, "/v1/predict", Some(Right::Read))
};

pub(crate) async fn get(
    State(app): State<Arc<App>>,
    CallerOf(caller): CallerOf,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut params = Params::of(&uri, GET.params);
    let (tenant, model_id) = (params.text("tenant"), params.text("model"));
    let (session, after) = (params.text("session"), params.all("after"));
    let top_k = params.integer("top_k", 1..=MAX_TOP_K).unwrap_or(TOP_K) as usize;
    params.finish()?;
    let missing = |field: &'static str| Detail::missing(vec!["query".into(), field.into()], Value::Null);
    let tenant = one_tenant(&caller, tenant, "query")?.ok_or_else(|| missing("tenant"))?;
    let after = match (&model_id, after.is_empty()) {
        (_, true) => PredictAfter::Session(session.as_deref()),
        (Some(model_id), false) if session.is_none() => PredictAfter::Prefixes { model_id, prefix_ids: &after },
        (Some(_), false) => {
            let (loc, reason) =
                (vec!["query".into(), "session".into()], "either a session or what came before, not both");
            return Err(Detail::value_error(loc, reason, Value::Null).into());
        }
        (None, false) => return Err(missing("model").into()),
    };
    let found = app.indexer.predict(&tenant, model_id.as_deref(), after, top_k);
    json_of(StatusCode::OK, &found.map_err(|error| Problem::internal(&error))?)
}
