//! The contract that planners of the older service rely on: paths, status codes, bodies.

use crate::server::Server;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

pub(crate) fn event(tenant: &str, prefix_id: &str, bytes: u64, timestamp_ms: u64) -> Value {
    json!({
        "prefix_id": prefix_id, "tenant": tenant, "model_id": "m", "layer": 1, "page_start": 2, "page_end": 3,
        "bytes": bytes, "latency_ms": 1.5, "timestamp_ms": timestamp_ms,
    })
}

#[test]
fn events_go_in_and_prefixes_come_out() {
    let server = Server::with("", &["--utility", "bytes", "--half-life", "1h"]);
    let mut client = server.client();
    let health = client.get("/healthz");
    assert_eq!((health.status, health.body.as_slice()), (200, br#"{"status":"ok"}"#.as_slice()));
    assert_eq!(client.get("/suggest").json(), json!([]));

    let now = now_ms();
    let hour_ago = now - 3_600_000;
    let taken = client.post(
        "/ingest",
        &json!({ "events": [event("t", "old", 8000, hour_ago), event("t", "new", 1000, now), event("t", "new", 1000, now)] }),
    );
    assert_eq!((taken.status, taken.json()), (202, json!({ "ingested": 3 })));

    // Scored as of now, decayed at query time and only then: an ingest decays nothing again.
    for _ in 0..2 {
        let found = client.get("/suggest?top_k=5&min_score=0").json();
        let ids: Vec<&str> = found.as_array().unwrap().iter().map(|p| p["prefix_id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["old", "new"]);
        let (old, new) = (found[0]["score"].as_f64().unwrap(), found[1]["score"].as_f64().unwrap());
        assert!((3900.0..=4000.0).contains(&old) && (1900.0..=2000.0).contains(&new), "{found}");
        assert_eq!(found[0]["hint"], format!("score={old:.1} hits=1 bytes=8000 last_seen={hour_ago}"));
        let keys: Vec<&String> = found[0].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["hint", "model_id", "prefix_id", "score", "tenant"]);
    }
    assert_eq!(client.get("/suggest?min_score=3000").json().as_array().unwrap().len(), 1);
    assert_eq!(client.get("/suggest?top_k=1").json().as_array().unwrap().len(), 1);

    let snapshot = client.get("/snapshot").json();
    assert_eq!(snapshot.as_array().unwrap().len(), 2);
    assert_eq!(snapshot[1]["hint"], format!("hits=2 bytes=2000 last_seen={now}"));
    let keys: Vec<&String> = snapshot[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["hint", "model_id", "prefix_id", "score", "tenant"]);
}

#[test]
fn an_old_trace_scores_as_it_did_then() {
    let server = Server::new();
    let mut client = server.client();
    client.post("/ingest", &json!({ "events": [event("t", "p", 10, 1_700_000_000_000u64)] }));
    assert_eq!(client.get("/suggest").json()[0]["hint"], "score=1.0 hits=1 bytes=10 last_seen=1700000000000");
}

#[test]
fn what_is_wrong_is_said_as_before() {
    let server = Server::new();
    let mut client = server.client();
    let mut check = |method: &str, target: &str, body: &str, status: u16, kind: &str, loc: Value| {
        let answer = client.call(method, target, &[("content-type", "application/json")], body.as_bytes());
        assert_eq!(answer.status, status, "{method} {target} {body}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let answer = answer.json();
        if status != 422 {
            assert_eq!(answer, json!({ "detail": kind }), "{method} {target}");
            return;
        }
        let detail = &answer["detail"][0];
        assert_eq!((&detail["type"], &detail["loc"]), (&json!(kind), &loc), "{method} {target} {body}: {answer}");
        assert!(detail["msg"].is_string() && detail.get("input").is_some(), "{answer}");
    };
    check("GET", "/nothing", "", 404, "Not Found", Value::Null);
    check("GET", "/ingest", "", 405, "Method Not Allowed", Value::Null);
    check("POST", "/suggest", "{}", 405, "Method Not Allowed", Value::Null);
    check("DELETE", "/healthz", "", 405, "Method Not Allowed", Value::Null);
    check("GET", "/suggest?top_k=0", "", 422, "greater_than_equal", json!(["query", "top_k"]));
    check("GET", "/suggest?top_k=10001", "", 422, "less_than_equal", json!(["query", "top_k"]));
    check("GET", "/suggest?top_k=ten", "", 422, "int_parsing", json!(["query", "top_k"]));
    check("GET", "/suggest?min_score=-1", "", 422, "greater_than_equal", json!(["query", "min_score"]));
    check("POST", "/ingest", "", 422, "missing", json!(["body"]));
    check("POST", "/ingest", "{\"events\": [}", 422, "json_invalid", json!(["body", 12]));
    check("POST", "/ingest", "[]", 422, "model_attributes_type", json!(["body"]));
    check("POST", "/ingest", "{}", 422, "missing", json!(["body", "events"]));
    check("POST", "/ingest", "{\"events\": {}}", 422, "list_type", json!(["body", "events"]));
    check("POST", "/ingest", "{\"events\": []}", 422, "too_short", json!(["body", "events"]));
    let good = event("t", "p", 1, 1).to_string();
    let with = |from: &str, to: &str| format!("{{\"events\": [{good},\n {}]}}", good.replacen(from, to, 1));
    let at = |field: &str| json!(["body", "events", 1, field]);
    check("POST", "/ingest", &with("\"layer\":1,", ""), 422, "missing", at("layer"));
    check("POST", "/ingest", &with("\"layer\":1", "\"layer\":1.5"), 422, "value_error", at("layer"));
    check("POST", "/ingest", &with("\"tenant\":\"t\"", "\"tenant\":null"), 422, "value_error", at("tenant"));
    check("POST", "/ingest", &with("\"tenant\":\"t\"", "\"tenant\":7"), 422, "value_error", at("tenant"));
    check(
        "POST",
        "/ingest",
        &with("\"timestamp_ms\":1", "\"timestamp_ms\":99999999999999"),
        422,
        "value_error",
        at("timestamp_ms"),
    );
    // Nothing of them was counted; what older clients may write is.
    assert_eq!(server.client().get("/snapshot").json(), json!([]));
    let lax = with("\"layer\":1", "\"layer\":\"77\",\"extra\":[1,\n2]").replacen("\"bytes\":1", "\"bytes\":3.0", 1);
    let answer = server.client().call("POST", "/ingest", &[], lax.as_bytes());
    assert_eq!((answer.status, answer.json()), (202, json!({ "ingested": 2 })));
}
