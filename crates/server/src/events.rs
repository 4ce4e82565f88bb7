//! Bodies to batches of events.
//!
//! Lines and JSON documents are read by the one parser of native traces: the events of a document are put on lines first, so both are
//! as lax and as strict as a file.

use crate::answer::{Detail, Loc, Problem, input};
use axum::http::HeaderMap;
use prefix_indexer::{BadLine, BadLines, EventBatch, Piece, TraceOptions};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, json, value::RawValue};
use std::{borrow::Cow, fmt, str, sync::Arc};

/// What a body holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `{"events": [...]}`
    Document,
    /// An event a line.
    Lines,
}

impl Shape {
    /// By the content type; anything that is not known for lines is a document.
    pub(crate) fn of(headers: &HeaderMap) -> Shape {
        const LINES: [&str; 5] = [
            "application/x-ndjson",
            "application/ndjson",
            "application/jsonl",
            "application/x-jsonlines",
            "application/jsonlines",
        ];
        let kind = headers.get(axum::http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
        let kind = kind.split(';').next().unwrap_or("").trim();
        if LINES.iter().any(|lines| kind.eq_ignore_ascii_case(lines)) { Shape::Lines } else { Shape::Document }
    }

    /// Where an element of the list is in the body.
    pub(crate) fn loc(self, list: &'static str, index: u64, field: Option<&'static str>) -> Vec<Loc> {
        let list = (self == Shape::Document).then_some(list);
        let steps = [Some("body"), list].into_iter().flatten().map(Loc::from);
        steps.chain([index.into()]).chain(field.map(Loc::from)).collect()
    }
}

/// How events are read.
pub(crate) struct Reading {
    pub(crate) shape: Shape,
    /// Whether bad events are left out; otherwise the first one is an error.
    pub(crate) skip_bad: bool,
    /// Later events are bad.
    pub(crate) latest_ms: u64,
    /// Of events that name none.
    pub(crate) tenant: Option<String>,
    /// Of events that name none.
    pub(crate) model_id: Option<String>,
}

/// The events of a body.
pub(crate) struct Events {
    pub(crate) batch: EventBatch,
    /// Those left out.
    pub(crate) bad: u64,
}

impl Reading {
    /// Reads a body. Takes some 200 ns an event.
    pub(crate) fn read(self, body: Vec<u8>) -> Result<Events, Problem> {
        let lines = match self.shape {
            Shape::Document => array_lines(&body, "events")?,
            Shape::Lines => body,
        };
        let options = TraceOptions {
            tenant: self.tenant,
            model_id: self.model_id,
            bad_lines: BadLines::Skip,
            ..TraceOptions::default()
        };
        let mut batch = EventBatch::new();
        let piece = Piece::of_events("body", lines, Arc::new(options));
        let report = piece.decode(&mut batch).map_err(|error| Problem::internal(&error))?;
        if report.bad_lines > 0 && !self.skip_bad {
            let wrong = |bad: &BadLine| bad_event(self.shape, batch.text(), bad.line, bad.field, &bad.reason);
            return Err(Problem::Invalid(report.described.iter().map(wrong).collect()));
        }
        let mut bad = report.bad_lines;
        if let Some(at) = batch.timestamps_ms().iter().position(|&time| time > self.latest_ms) {
            if !self.skip_bad {
                let line = number_of_line(batch.text(), at);
                let reason = "later than the clock of this service allows";
                return Err(bad_event(self.shape, batch.text(), line, Some("timestamp_ms"), reason).into());
            }
            let before = batch.len();
            batch.retain(|event| event.timestamp_ms <= self.latest_ms);
            bad += (before - batch.len()) as u64;
        }
        if batch.is_empty() && bad == 0 {
            return Err(match self.shape {
                Shape::Document => none(vec!["body".into(), "events".into()]),
                Shape::Lines => none(vec!["body".into()]),
            }
            .into());
        }
        Ok(Events { batch, bad })
    }
}

fn none(loc: Vec<Loc>) -> Detail {
    Detail::new("too_short", loc, "List should have at least 1 item after validation, not 0", json!([]))
}

/// The number, from 1, of the line that holds an event, where every line that is not blank holds one.
fn number_of_line(lines: &str, event: usize) -> u64 {
    let full = lines.split('\n').enumerate().filter(|(_, line)| !line.trim().is_empty());
    full.map(|(index, _)| index as u64 + 1).nth(event).unwrap_or(0)
}

fn bad_event(shape: Shape, lines: &str, line: u64, field: Option<&'static str>, reason: &str) -> Detail {
    let index = line.saturating_sub(1);
    let text = lines.split('\n').nth(usize::try_from(index).unwrap_or(usize::MAX)).unwrap_or("");
    let loc = shape.loc("events", index, field);
    if reason == "missing" {
        return Detail::missing(loc, input(text.trim()));
    }
    let found = field.and_then(|field| field_of(text, field).ok().flatten());
    let value = input(found.map_or(text.trim(), RawValue::get));
    Detail::value_error(loc, reason, value)
}

/// The last value of a field of an object; nothing else of it is kept, however much there is.
fn field_of<'a>(object: &'a str, field: &str) -> serde_json::Result<Option<&'a RawValue>> {
    let mut deserializer = serde_json::Deserializer::from_str(object);
    let found = deserializer.deserialize_map(Wanted(field))?;
    deserializer.end()?;
    Ok(found)
}

struct Wanted<'f>(&'f str);

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Option<&'de RawValue>, A::Error> {
        let mut found = None;
        while let Some(name) = fields.next_key::<Cow<'_, str>>()? {
            if name == self.0 {
                found = Some(fields.next_value()?);
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// A whole document of a request.
pub(crate) fn document<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let text = json_text(body)?;
    serde_json::from_str(text).map_err(|error| Detail::value_error(vec!["body".into()], error, input(text)).into())
}

/// The elements of the one list in a document such as `{"events": [...]}`, a line each.
pub(crate) fn array_lines(body: &[u8], list: &'static str) -> Result<Vec<u8>, Problem> {
    if body.trim_ascii().is_empty() {
        return Err(Detail::missing(vec!["body".into()], Value::Null).into());
    }
    let text = json_text(body)?;
    if !text.trim_start().starts_with('{') {
        let msg = "Input should be a valid dictionary or object to extract fields from";
        return Err(Detail::new("model_attributes_type", vec!["body".into()], msg, input(text)).into());
    }
    let here = || vec!["body".into(), list.into()];
    match field_of(text, list).map_err(|error| invalid_json(text, &error))?.map(RawValue::get) {
        None => Err(Detail::missing(here(), input(text)).into()),
        Some(elements) if !elements.starts_with('[') => {
            Err(Detail::new("list_type", here(), "Input should be a valid list", input(elements)).into())
        }
        Some(elements) => {
            let Lines(lines) = serde_json::from_str(elements).map_err(|error| invalid_json(text, &error))?;
            if lines.is_empty() { Err(none(here()).into()) } else { Ok(lines) }
        }
    }
}

/// A body that is one JSON value.
fn json_text(body: &[u8]) -> Result<&str, Problem> {
    let text = str::from_utf8(body).map_err(|error| {
        let loc = vec!["body".into(), (error.valid_up_to() as u64).into()];
        Detail::new("json_invalid", loc, "JSON decode error: not valid UTF-8", json!({}))
    })?;
    match serde_json::from_str::<&RawValue>(text) {
        Ok(_) => Ok(text),
        Err(error) => Err(invalid_json(text, &error)),
    }
}

/// What the parser says, and at which byte.
pub(crate) fn invalid_json(text: &str, error: &serde_json::Error) -> Problem {
    let before: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let at = (before + error.column().saturating_sub(1)).min(text.len()) as u64;
    Detail::new("json_invalid", vec!["body".into(), at.into()], format!("JSON decode error: {error}"), json!({})).into()
}

/// The elements of an array, a line each: as long as the array, however many there are.
struct Lines(Vec<u8>);

impl<'de> Deserialize<'de> for Lines {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Lines, D::Error> {
        deserializer.deserialize_seq(OnLines)
    }
}

struct OnLines;

impl<'de> Visitor<'de> for OnLines {
    type Value = Lines;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut events: A) -> Result<Lines, A::Error> {
        let mut lines = Vec::new();
        while let Some(event) = events.next_element::<&RawValue>()? {
            // A line end within an event is between its tokens: strings write theirs as an escape.
            lines.extend(event.get().bytes().map(|byte| if byte == b'\n' || byte == b'\r' { b' ' } else { byte }));
            lines.push(b'\n');
        }
        Ok(Lines(lines))
    }
}
