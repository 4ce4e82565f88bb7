//! `POST /v1/feedback`: what became of loaded prefixes, from those who know; on disk when it is answered.

use crate::{
    access::{CallerOf, forbidden},
    answer::{Detail, Problem, input, json_of},
    app::App,
    describe::{self, Answer, Call, Kind, Method, call},
    events::{Shape, array_lines},
    params::Params,
    tokens::Right,
};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
};
use prefix_indexer::FeedbackReport;
use serde_json::json;
use std::sync::Arc;

pub(crate) const POST: Call = Call {
    id: "feedback",
    summary: "What became of loaded prefixes; on disk when it answers",
    body: describe::Body::Lines("Reports"),
    answer: Answer { status: 202, what: "Counted", kind: Kind::One("Counted") },
    ..call(Method::Post, "/v1/feedback", Some(Right::Ingest))
};

pub(crate) async fn take(
    State(app): State<Arc<App>>,
    CallerOf(caller): CallerOf,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    Params::of(&uri, POST.params).finish()?;
    let payload = app.read_body(&headers, body).await?;
    let shape = Shape::of(&headers);
    let lines = match shape {
        Shape::Document => array_lines(&payload.bytes, "reports")?,
        Shape::Lines => payload.bytes,
    };
    let lines = String::from_utf8(lines)
        .map_err(|_| Detail::new("json_invalid", vec!["body".into()], "not valid UTF-8", json!({})))?;
    let mut reports = Vec::new();
    for (index, line) in lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let report = FeedbackReport::parse(line).map_err(|reason| {
            let loc = shape.loc("reports", index as u64, None);
            Detail::value_error(loc, reason, input(line))
        })?;
        if !caller.sees(&report.tenant) {
            return Err(forbidden());
        }
        reports.push(report);
    }
    let counted = reports.len();
    {
        let mut inner = app.book.lock();
        let inner = &mut *inner;
        reports.into_iter().for_each(|report| inner.plans.report(report, &mut inner.ledger));
    }
    app.book.until_saved().await?;
    json_of(StatusCode::ACCEPTED, &json!({ "counted": counted }))
}
