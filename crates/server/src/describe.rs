//! `/openapi.json`, made of the list of calls that the router is made of: what is served is described, and nothing else.

use crate::tokens::Right;
use serde_json::{Map, Value, json};

/// The shapes of bodies, by name.
const SCHEMAS: &str = include_str!("page/schemas.json");

/// A call as it is described and routed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    /// What a caller needs; none where everybody may.
    pub(crate) right: Option<Right>,
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) description: &'static str,
    pub(crate) params: &'static [Param],
    pub(crate) body: Body,
    pub(crate) answer: Answer,
    /// Further statuses, beside those that follow from the rest.
    pub(crate) statuses: &'static [u16],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Method::Get => "get",
            Method::Post => "post",
        }
    }
}

/// A parameter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Param {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    pub(crate) required: bool,
    /// As JSON.
    pub(crate) schema: &'static str,
    pub(crate) what: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Query,
    Header,
    Path,
}

impl Param {
    pub(crate) const fn query(name: &'static str, schema: &'static str, what: &'static str) -> Param {
        Param { name, place: Place::Query, required: false, schema, what }
    }

    pub(crate) const fn required(self) -> Param {
        Param { required: true, ..self }
    }
}

/// What a request brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    None,
    /// A document of that schema.
    Document(&'static str),
    /// That, or a line for each element of its list.
    Lines(&'static str),
}

/// What is answered when all is well.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) what: &'static str,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    One(&'static str),
    List(&'static str),
    Text(&'static str),
}

pub(crate) const TEXT: &str = r#"{"type": "string"}"#;
pub(crate) const IDS: &str = r#"{"type": "array", "items": {"type": "string"}}"#;
pub(crate) const TIME: &str = r#"{"type": "integer", "minimum": 0, "maximum": 9223372036854775807}"#;
pub(crate) const AMOUNT: &str = r#"{"type": "number", "minimum": 0}"#;
pub(crate) const DURATION: &str = r#"{"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$", "examples": ["5m"]}"#;
pub(crate) const SIZE: &str = r#"{"type": "string", "pattern": "^[0-9]+ ?(B|[KMGT]i?B)?$", "examples": ["200GiB"]}"#;

/// A call that nothing is known about yet but how it is made.
pub(crate) const fn call(method: Method, path: &'static str, right: Option<Right>) -> Call {
    Call {
        method,
        path,
        right,
        id: "",
        summary: "",
        description: "",
        params: &[],
        body: Body::None,
        answer: Answer { status: 200, what: "", kind: Kind::One("Status") },
        statuses: &[],
    }
}

/// The description of some calls, as JSON text.
pub(crate) fn description(calls: &[Call]) -> Result<String, serde_json::Error> {
    let mut paths: Map<String, Value> = Map::new();
    for call in calls {
        if let Value::Object(path) = paths.entry(call.path).or_insert_with(|| json!({})) {
            path.insert(call.method.name().to_owned(), describe(call)?);
        }
    }
    let about = "Which prompt prefixes should be in the cache now. Calls without /v1 are the contract of the older offline index. Where \
                 the service has tokens, every call but those for health and these pages needs one, and it sees and changes the \
                 token's tenants alone.";
    let schemas: Value = serde_json::from_str(SCHEMAS)?;
    let responses: Map<String, Value> =
        PROBLEMS.iter().map(|problem| (problem.1.to_owned(), problem.response())).collect();
    serde_json::to_string_pretty(&json!({
        "openapi": "3.1.0",
        "info": {
            "title": "prefix-indexer",
            "version": env!("CARGO_PKG_VERSION"),
            "description": about,
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "security": [{ "bearer": [] }, {}],
        "paths": paths,
        "components": {
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas,
            "responses": responses,
        },
    }))
}

fn describe(call: &Call) -> Result<Value, serde_json::Error> {
    let mut described = json!({
        "operationId": call.id,
        "summary": call.summary,
        "responses": responses(call),
    });
    if !call.description.is_empty() {
        described["description"] = json!(call.description);
    }
    if call.right.is_none() {
        described["security"] = json!([]);
    }
    if !call.params.is_empty() {
        described["parameters"] = call.params.iter().map(param).collect::<Result<Value, _>>()?;
    }
    let document = |schema| json!({ "schema": reference("schemas", schema) });
    let content = match call.body {
        Body::None => return Ok(described),
        Body::Document(schema) => json!({ "application/json": document(schema) }),
        Body::Lines(schema) => json!({
            "application/json": document(schema),
            "application/x-ndjson": { "schema": { "type": "string", "description": "An element of the list a line" } },
        }),
    };
    described["requestBody"] = json!({ "required": true, "content": content });
    Ok(described)
}

fn param(param: &Param) -> Result<Value, serde_json::Error> {
    let place = match param.place {
        Place::Query => "query",
        Place::Header => "header",
        Place::Path => "path",
    };
    let schema: Value = serde_json::from_str(param.schema)?;
    let mut described = json!({ "name": param.name, "in": place, "schema": schema, "description": param.what });
    if param.required {
        described["required"] = json!(true);
    }
    Ok(described)
}

fn reference(of: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{of}/{name}") })
}

fn responses(call: &Call) -> Value {
    let Answer { status, what, kind } = call.answer;
    let (media, schema) = match kind {
        Kind::One(name) => ("application/json", reference("schemas", name)),
        Kind::List(name) => ("application/json", json!({ "type": "array", "items": reference("schemas", name) })),
        Kind::Text(media) => (media, json!({ "type": "string" })),
    };
    let mut content = Map::new();
    content.insert(media.to_owned(), json!({ "schema": schema }));
    let mut responses = Map::new();
    responses.insert(status.to_string(), json!({ "description": what, "content": content }));
    // Every request may be too slow, or come from a browser's page of elsewhere.
    let mut statuses = vec![408, 421];
    if call.right.is_some() {
        statuses.extend([401, 403]);
    }
    if call.body != Body::None {
        statuses.extend([400, 413, 415, 422, 429, 503]);
    }
    if call.params.iter().any(|param| param.place == Place::Query) {
        statuses.push(422);
    }
    statuses.extend(call.statuses);
    for problem in PROBLEMS.iter().filter(|problem| statuses.contains(&problem.0)) {
        responses.insert(problem.0.to_string(), reference("responses", problem.1));
    }
    Value::Object(responses)
}

/// A status that is a problem, its name, and what it means.
struct Problem(u16, &'static str, &'static str);

const PROBLEMS: [Problem; 11] = [
    Problem(400, "Broken", "The body broke off or cannot be decompressed"),
    Problem(401, "Unauthorized", "No token, or an unknown one"),
    Problem(403, "Forbidden", "The token has not this right, or not this tenant"),
    Problem(404, "NotFound", "There is no such thing for this token"),
    Problem(408, "Slow", "The request took too long"),
    Problem(413, "TooLarge", "The body is too large"),
    Problem(415, "Encoding", "The body's encoding is unknown"),
    Problem(421, "Misdirected", "Without tokens only this machine's own programs are served"),
    Problem(422, "Invalid", "What is wrong, and where"),
    Problem(429, "Busy", "Too much at once; try again"),
    Problem(503, "Unavailable", "Not written, or ending"),
];

impl Problem {
    fn response(&self) -> Value {
        let schema = reference("schemas", if self.0 == 422 { "Invalid" } else { "Problem" });
        let mut response = json!({ "description": self.2, "content": { "application/json": { "schema": schema } } });
        if matches!(self.0, 429 | 503) {
            response["headers"] = json!({ "Retry-After": { "schema": { "type": "integer" } } });
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::calls;
    use std::collections::BTreeSet;

    /// The names that a document refers to.
    fn references(document: &Value, found: &mut BTreeSet<String>) {
        match document {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn the_description_is_whole() {
        let document: Value = serde_json::from_str(&description(&calls()).unwrap()).unwrap();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        assert!(found.len() > 10);
        for reference in &found {
            assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
        }
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for name in schemas.keys() {
            assert!(found.contains(&format!("#/components/schemas/{name}")), "{name} is of no use");
        }
        let ids: BTreeSet<&str> = calls().iter().map(|call| call.id).collect();
        assert_eq!((ids.len(), ids.contains("")), (calls().len(), false), "each has a name of its own");
    }

    #[test]
    fn every_call_says_what_it_does() {
        for call in calls() {
            assert!(!call.summary.is_empty() && !call.answer.what.is_empty(), "{call:?}");
            let in_path = |param: &&Param| param.place == Place::Path;
            let named =
                call.params.iter().filter(in_path).all(|param| call.path.contains(&format!("{{{}}}", param.name)));
            assert!(named && call.path.matches('{').count() == call.params.iter().filter(in_path).count(), "{call:?}");
        }
    }
}
