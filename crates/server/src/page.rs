//! Pages for people, and the description for programs. All of them are in the program: no other machine is asked for anything.

use crate::{
    answer::{Problem, json_response},
    app, describe,
};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::Response,
};

/// Nothing but what is in the page itself may run, and it may talk to this service alone.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `/`: what the index holds and how it does.
pub(crate) async fn index() -> Response {
    html(include_str!("page/index.html"))
}

/// `/docs`: the calls, from the description.
pub(crate) async fn docs() -> Response {
    html(include_str!("page/docs.html"))
}

/// `/openapi.json`
pub(crate) async fn openapi() -> Result<Response, Problem> {
    let description = describe::description(&app::calls()).map_err(|error| Problem::internal(&error))?;
    Ok(json_response(StatusCode::OK, description))
}

fn html(page: &'static str) -> Response {
    let mut response = Response::new(page.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
