//! What a request that is not served is told: the bodies of the older contract, which `/v1` shares.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Value, json};
use std::{borrow::Cow, fmt::Display};

/// The longest value that is told back, in bytes of JSON.
const MAX_INPUT: usize = 1024;

/// Why a request is not served.
#[derive(Debug)]
pub(crate) enum Problem {
    /// 422 with what is wrong and where.
    Invalid(Vec<Detail>),
    /// Any other status with one sentence.
    Status(StatusCode, Cow<'static, str>),
    /// 429: try again in a second.
    Busy(&'static str),
}

/// One thing that is wrong with a request.
#[derive(Debug, Serialize)]
pub(crate) struct Detail {
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) loc: Vec<Loc>,
    pub(crate) msg: String,
    pub(crate) input: Value,
}

/// A step on the way to what is wrong.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Loc {
    Name(Cow<'static, str>),
    Index(u64),
}

impl From<&'static str> for Loc {
    fn from(name: &'static str) -> Loc {
        Loc::Name(name.into())
    }
}

impl From<u64> for Loc {
    fn from(index: u64) -> Loc {
        Loc::Index(index)
    }
}

impl Detail {
    pub(crate) fn new(kind: &'static str, loc: Vec<Loc>, msg: impl Into<String>, input: Value) -> Detail {
        Detail { kind, loc, msg: msg.into(), input }
    }

    /// What was found is of the right kind and yet makes no sense.
    pub(crate) fn value_error(loc: Vec<Loc>, reason: impl Display, input: Value) -> Detail {
        Detail::new("value_error", loc, format!("Value error, {reason}"), input)
    }

    /// The request has no body, or its body lacks a field.
    pub(crate) fn missing(loc: Vec<Loc>, input: Value) -> Detail {
        Detail::new("missing", loc, "Field required", input)
    }
}

impl From<Detail> for Problem {
    fn from(detail: Detail) -> Problem {
        Problem::Invalid(vec![detail])
    }
}

impl Problem {
    pub(crate) fn status(status: StatusCode, what: impl Into<Cow<'static, str>>) -> Problem {
        Problem::Status(status, what.into())
    }

    pub(crate) fn not_found() -> Problem {
        Problem::status(StatusCode::NOT_FOUND, "Not Found")
    }

    /// Something of ours failed; the log says what.
    pub(crate) fn internal(error: &dyn std::fmt::Display) -> Problem {
        tracing::error!(%error, "a request failed");
        Problem::status(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, detail) = match &self {
            Problem::Invalid(details) => (StatusCode::UNPROCESSABLE_ENTITY, json!(details)),
            Problem::Status(status, what) => (*status, json!(what)),
            Problem::Busy(what) => (StatusCode::TOO_MANY_REQUESTS, json!(what)),
        };
        let mut response = json_response(status, json!({ "detail": detail }).to_string());
        let headers = response.headers_mut();
        match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }
}

/// A JSON document that is text already.
pub(crate) fn json_response(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A JSON document.
pub(crate) fn json_of(status: StatusCode, document: &impl Serialize) -> Result<Response, Problem> {
    let body = serde_json::to_vec(document).map_err(|error| Problem::internal(&error))?;
    Ok(json_response(status, body))
}

/// A piece of a body as it is told back: as JSON where it is short, else how it begins.
pub(crate) fn input(text: &str) -> Value {
    let parsed = Some(text).filter(|text| text.len() <= MAX_INPUT).and_then(|text| serde_json::from_str(text).ok());
    parsed.unwrap_or_else(|| {
        let begins: String = text.chars().take(MAX_INPUT / 8).collect();
        let more = if begins.len() < text.len() { "..." } else { "" };
        Value::String(begins + more)
    })
}
