//! The calls under `/v1`, and what closes by itself.

use crate::{
    older_contract::{event, now_ms},
    server::{Server, run},
};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use std::io::Write;

const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

#[test]
fn events_in_every_dress() {
    let server = Server::new();
    let mut client = server.client();
    let now = now_ms();
    let line = |prefix: &str| event("t", prefix, 10, now).to_string() + "\n";
    let gzip = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let mut check = |target: &str, headers: &[(&str, &str)], body: &[u8], status: u16, expect: Value| {
        let answer = client.call("POST", target, headers, body);
        assert_eq!(answer.status, status, "{target} {headers:?}: {}", String::from_utf8_lossy(&answer.body));
        if status == 202 {
            assert_eq!(answer.json(), expect, "{target} {headers:?}");
        } else {
            assert_eq!(answer.json()["detail"][0]["loc"], expect, "{target} {headers:?}");
        }
    };
    let durable = |ingested: u64, bad: u64, duplicates: u64| json!({ "ingested": ingested, "bad_events": bad, "duplicates": duplicates, "durable": true });
    let to = "/v1/ingest?durable=true";
    let two = line("a") + "\n" + &line("b");
    check(to, &[NDJSON], two.as_bytes(), 202, durable(2, 0, 0));
    check("/v1/ingest", &[NDJSON], two.as_bytes(), 202, json!({ "ingested": 2, "bad_events": 0, "durable": false }));
    check(to, &[NDJSON, ("content-encoding", "gzip")], &gzip(&two), 202, durable(2, 0, 0));
    check(
        to,
        &[("content-encoding", "gzip")],
        &gzip(&json!({ "events": [event("t", "c", 1, now)] }).to_string()),
        202,
        durable(1, 0, 0),
    );
    let compressed = zstd(&two);
    check(to, &[NDJSON, ("content-encoding", "zstd")], &compressed, 202, durable(2, 0, 0));
    let key = ("idempotency-key", "batch-7");
    check(to, &[NDJSON, key], two.as_bytes(), 202, durable(2, 0, 0));
    check(to, &[NDJSON, key], two.as_bytes(), 202, durable(0, 0, 2));
    let bad = line("d") + "{\"prefix_id\": 7}\n" + &event("t", "far", 1, now + 10_000_000).to_string() + "\n";
    check(to, &[NDJSON], bad.as_bytes(), 422, json!(["body", 1, "prefix_id"]));
    check(to, &[NDJSON], bad.replace("{\"prefix_id\": 7}", "").as_bytes(), 422, json!(["body", 2, "timestamp_ms"]));
    check("/v1/ingest?durable=true&bad_events=skip", &[NDJSON], bad.as_bytes(), 202, durable(1, 2, 0));
    check("/v1/ingest?durable=maybe", &[NDJSON], two.as_bytes(), 422, json!(["query", "durable"]));
    check("/v1/ingest?durably=true", &[NDJSON], two.as_bytes(), 422, json!(["query", "durably"]));
    let nameless = line("e").replace("\"tenant\":\"t\",", "");
    check(to, &[NDJSON], nameless.as_bytes(), 422, json!(["body", 0, "tenant"]));
    check("/v1/ingest?durable=true&tenant=u", &[NDJSON], nameless.as_bytes(), 202, durable(1, 0, 0));
    let found = server.client().get("/v1/suggest?tenant=u").json();
    assert_eq!(found[0]["prefix_id"], "e");
}

fn zstd(text: &str) -> Vec<u8> {
    // One frame of raw blocks.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
    let header = 1 | (text.len() as u32) << 3;
    frame.extend(&header.to_le_bytes()[..3]);
    frame.extend(text.as_bytes());
    frame
}

#[test]
fn questions_are_narrowed_and_answers_say_layers_and_pages() {
    let server = Server::new();
    let mut client = server.client();
    let now = now_ms();
    let events = json!({ "events": [event("t", "a", 10, now), event("t", "a", 10, now), event("u", "b", 10, now), event("t", "c", 10, now - 600_000)] });
    assert_eq!(client.post("/v1/ingest?durable=true", &events).status, 202);
    let mut ids = |target: &str| -> Vec<String> {
        let answer = client.get(target);
        assert_eq!(answer.status, 200, "{target}");
        assert!(answer.header("prefix-indexer-now-ms").unwrap().parse::<u64>().unwrap() >= now);
        answer.json().as_array().unwrap().iter().map(|p| p["prefix_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("/v1/suggest"), ["a", "b", "c"]);
    assert_eq!(ids("/v1/suggest?tenant=t"), ["a", "c"]);
    assert_eq!(ids("/v1/suggest?model=other"), [""; 0]);
    assert_eq!(ids("/v1/suggest?top_k=1&active=a"), ["b"]);
    assert_eq!(ids("/v1/suggest?active=a&active=b"), ["c"]);
    assert_eq!(ids("/v1/suggest?min_score=0.5"), ["a", "b"]);
    assert_eq!(ids(&format!("/v1/suggest?half_life=1m&now={}", now + 60_000)), ["a", "b", "c"]);
    let answer = client.get(&format!("/v1/suggest?half_life=1m&now={}", now + 60_000)).json();
    assert_eq!(answer[0]["score"], 1.0);
    assert_eq!(
        (&answer[0]["layer_min"], &answer[0]["page_start"], &answer[0]["page_end"]),
        (&json!(1), &json!(2), &json!(3))
    );
    let unknown = client.get("/v1/suggest?half_life=7m").json();
    assert!(unknown["detail"][0]["msg"].as_str().unwrap().contains("20m"), "{unknown}");
    let asked = json!({ "tenant": "t", "top_k": 5, "active": ["x", { "prefix_id": "a", "tenant": "t" }] });
    assert_eq!(client.post("/v1/suggest", &asked).json()[0]["prefix_id"], "c");
    for wrong in [
        json!({ "top_k": 0 }),
        json!({ "topk": 1 }),
        json!({ "min_score": -1 }),
        json!({ "half_life": "x" }),
        json!([]),
    ] {
        assert_eq!(client.post("/v1/suggest", &wrong).status, 422, "{wrong}");
    }
}

#[test]
fn later_events_say_how_a_plan_did() {
    let server = Server::new();
    let mut client = server.client();
    let start = 1_700_000_000_000u64;
    let at = |prefix: &str, ms: u64| event("t", prefix, 1000, start + ms);
    let ingest = |client: &mut crate::client::Client, events: &[Value]| {
        assert_eq!(client.post("/v1/ingest?durable=true", &json!({ "events": events })).status, 202);
    };
    ingest(&mut client, &[at("a", 0), at("b", 0), at("c", 0), at("d", 0)]);
    let plan = client.post("/v1/plan", &json!({ "budget": 4000, "horizon": "1m" })).json();
    assert_eq!((&plan["now_ms"], plan["entries"].as_array().unwrap().len()), (&json!(start), 4), "{plan}");
    let id = plan["plan_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/plan/{id}");
    let did = client.get(&path).json();
    assert_eq!((&did["open"], &did["planned_bytes"], &did["precision"]), (&json!(true), &json!(4000), &Value::Null));
    // Used twice counts once; a loader knows better about another; two wait until the horizon ends.
    ingest(&mut client, &[at("a", 1000), at("a", 2000), at("unplanned", 2000)]);
    let late =
        json!({ "reports": [{ "prefix_id": "b", "tenant": "t", "model_id": "m", "outcome": "late", "plan_id": id }] });
    assert_eq!(client.post("/v1/feedback", &late).json(), json!({ "counted": 1 }));
    ingest(&mut client, &[at("b", 3000), at("c", 60_000)]);
    let did = client.get(&path).json();
    assert_eq!(did["open"], false);
    assert_eq!(did["outcomes"]["used"], json!({ "prefixes": 1, "bytes": 1000, "saved_ms": 1.5 }));
    assert_eq!((&did["outcomes"]["late"]["prefixes"], &did["outcomes"]["wasted"]["prefixes"]), (&json!(1), &json!(2)));
    assert_eq!((&did["precision"], &did["saved_ms"], &did["wasted_bytes"]), (&json!(0.25), &json!(1.5), &json!(3000)));
    // Two of the three uses within the horizon were of planned prefixes, and one that came late.
    assert_eq!((&did["coverage"], &did["chosen_by"]), (&json!(0.75), &plan["chosen_by"]));
    let stats = client.get("/v1/stats").json();
    assert_eq!(stats["outcomes"][plan["policy"].as_str().unwrap()]["t"]["late"]["prefixes"], 1, "{stats}");
    assert_eq!(stats["promises"][0]["policy"], plan["chosen_by"], "{stats}");
    assert_eq!((&stats["promises"][0]["plans"], &stats["promises"][0]["used"]), (&json!(1), &json!(1.0)), "{stats}");
    assert!(stats["corrections"][0]["shift"].is_f64(), "{stats}");
    assert_eq!(stats["feedback"]["t"]["used"]["prefixes"], 1);
    assert_eq!(stats["policies"][plan["policy"].as_str().unwrap()]["wasted"]["prefixes"], 2, "{stats}");
    let metrics = String::from_utf8(client.get("/metrics").body).unwrap();
    assert!(metrics.contains("prefix_indexer_plan_precision 0.25"), "{metrics}");
    assert!(metrics.contains("prefix_indexer_prefetch_blocks_total{outcome=\"wasted\"} 2"), "{metrics}");
    assert!(metrics.contains("plan_blocks_total{policy=\"auto\",outcome=\"late\"} 1"), "{metrics}");
    assert!(metrics.ends_with("# EOF\n") && metrics.matches("# EOF").count() == 1);

    // All of it is there after a restart.
    let (ended, _, dir) = server.terminate();
    assert!(ended);
    let server = Server::over(dir, "", &[]);
    assert_eq!(server.client().get(&path).json(), did);
    for wrong in [json!({}), json!({ "budget": "1MB" }), json!({ "budget": "1MB", "horizon": "1m", "policy": "best" })]
    {
        assert_eq!(server.client().post("/v1/plan", &wrong).status, 422, "{wrong}");
    }
    assert_eq!(server.client().get("/v1/plan/0").status, 404);
}

#[test]
fn plans_are_asked_for_as_the_command_asks() {
    let server = {
        let dir = tempfile::tempdir().unwrap();
        // Only `ingest` makes an index with bands.
        let now = 1_700_000_000_000u64;
        let banded = |layer: u64| {
            let mut event = event("t", "p", 1000, now);
            (event["layer"], event["page_start"], event["page_end"]) = (json!(layer), json!(0), json!(1));
            event.to_string() + "\n"
        };
        let other = event("u", "q", 1000, now).to_string() + "\n";
        std::fs::write(dir.path().join("trace.jsonl"), banded(0) + &banded(1) + &other).unwrap();
        let made = run(dir.path(), &["ingest", "trace.jsonl", "--data", "index", "--layer-band", "1"]);
        assert!(made.status.success(), "{made:?}");
        Server::over(dir, "", &[])
    };
    let mut client = server.client();
    let mut check = |more: Value, query: &str, entries: &[(&str, u64)]| {
        let mut asked = json!({ "budget": "1MiB", "horizon": "1m", "policy": "most-recent" });
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let target = format!("/v1/plan?budget=1MiB&horizon=1m&policy=most-recent{query}");
        for plan in [client.post("/v1/plan", &asked), client.get(&target)] {
            assert_eq!(plan.status, 200, "{asked}: {}", String::from_utf8_lossy(&plan.body));
            let plan = plan.json();
            let planned = plan["entries"].as_array().unwrap().iter();
            let mut found: Vec<(&str, u64)> =
                planned.map(|entry| (entry["prefix_id"].as_str().unwrap(), entry["bytes"].as_u64().unwrap())).collect();
            found.sort_unstable();
            assert_eq!(found, entries, "{asked} {query}");
        }
    };
    // The bands of a prefix are one block unless they are asked for apart.
    let all = [("p", 1000), ("q", 1000)];
    check(json!({}), "", &all);
    check(json!({ "bands": true }), "&bands=true", &[("p", 1000), ("p", 1000), ("q", 1000)]);
    check(json!({ "quota": { "t": 999, "u": "1KB" } }), "&quota=t=999&quota=u=1KB", &[("q", 1000)]);
    // A use saves 1.5 ms: what takes longer to load is computed.
    check(json!({ "bandwidth": "1GiB/s" }), "&bandwidth=1GiB/s", &all);
    check(json!({ "bandwidth": "1KB/s" }), "&bandwidth=1KB", &[]);
    check(json!({ "bandwidth": 1000, "deadline": "1s" }), "&bandwidth=1000&deadline=1s", &[]);
    for wrong in [json!({ "bandwidth": "fast" }), json!({ "quota": ["t=1KB"] }), json!({ "bands": "yes" })] {
        let mut asked = json!({ "budget": "1MiB", "horizon": "1m" });
        asked.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        assert_eq!(client.post("/v1/plan", &asked).status, 422, "{asked}");
    }
    assert_eq!(
        client.get("/v1/plan?budget=1MiB&horizon=1m&quota=t").json()["detail"][0]["loc"],
        json!(["query", "quota"])
    );
}

#[test]
fn sessions_have_habits_and_tenants_their_own() {
    let tokens = r#"
        [[tokens]]
        name = "acme"
        hash = "HASH-ACME"
        tenants = ["acme"]
        rights = ["read", "ingest"]
        [[tokens]]
        name = "globex"
        hash = "HASH-GLOBEX"
        tenants = ["globex", "initech"]
        rights = ["read", "ingest"]
    "#;
    let tokens = tokens.replace("HASH-ACME", &prefix_indexer_server::token_hash("one"));
    let tokens = tokens.replace("HASH-GLOBEX", &prefix_indexer_server::token_hash("two"));
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tokens.toml"), tokens).unwrap();
    let server = Server::over(dir, "tokens = \"tokens.toml\"", &[]);
    let (mut acme, mut globex) = (server.client(), server.client());
    (acme.token, globex.token) = (Some("one".into()), Some("two".into()));
    let now = now_ms();
    let turn = |n: u64| {
        let mut event = event("acme", ["tea", "milk"][(n % 2) as usize], 10, now);
        event["session_id"] = json!("s");
        event
    };
    let turns: Vec<Value> = (0..60).map(turn).collect();
    assert_eq!(acme.post("/v1/ingest?durable=true", &json!({ "events": turns })).status, 202);
    // It is learned beside ingestion.
    let best = (0..2_000).find_map(|_| {
        let found = acme.get("/v1/predict?session=s").json();
        std::thread::sleep(std::time::Duration::from_millis(5));
        found.get(0).filter(|best| best["prefix_id"] == "tea").cloned()
    });
    let best = best.unwrap();
    assert!(best["probability"].as_f64().unwrap() > 0.5, "{best}");
    assert_eq!((&best["run"], &best["tenant"], &best["hit_count"]), (&json!(["tea"]), &json!("acme"), &json!(30)));
    let ids = |answer: crate::client::Answer| -> Vec<String> {
        assert_eq!(answer.status, 200);
        answer.json().as_array().unwrap().iter().map(|p| p["prefix_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(acme.get("/v1/predict?tenant=acme&model=m&after=milk&after=tea&top_k=1")), ["milk"]);
    assert_eq!(ids(acme.get("/v1/predict?session=s&model=other")), [""; 0]);
    for (target, status) in [
        ("/v1/predict?tenant=globex&session=s", 403),
        ("/v1/predict?after=tea", 422),
        ("/v1/predict?after=tea&model=m&session=s", 422),
        ("/v1/predict?top_k=101", 422),
        ("/v1/predict?sesion=s", 422),
    ] {
        assert_eq!(acme.get(target).status, status, "{target}");
    }
    assert_eq!(globex.get("/v1/predict?session=s").json()["detail"][0]["loc"], json!(["query", "tenant"]));
    assert_eq!(globex.get("/v1/predict?tenant=acme&session=s").status, 403);
    assert_eq!(ids(globex.get("/v1/predict?tenant=globex&session=s")), [""; 0]);
    assert_eq!(ids(globex.get("/v1/predict?tenant=globex&model=m&after=tea")), [""; 0]);
}

/// What an answer has is what its schema says, and nothing else.
#[test]
fn answers_are_as_described() {
    let server = Server::new();
    let mut client = server.client();
    let described = client.get("/openapi.json").json();
    let now = now_ms();
    let events = json!({ "events": [event("t", "a", 10, now), event("t", "a", 10, now)] });
    let check = |answer: crate::client::Answer, schema: &str| {
        assert!(answer.status < 300, "{schema}");
        let answer = answer.json();
        let one = if answer.is_array() { &answer[0] } else { &answer };
        let schema = &described["components"]["schemas"][schema];
        same_fields(one, schema);
        if let Some(entries) = one.get("entries") {
            same_fields(&entries[0], &schema["properties"]["entries"]["items"]);
        }
    };
    check(client.post("/v1/ingest?durable=true", &events), "Taken");
    check(client.post("/ingest", &events), "Ingested");
    check(client.get("/suggest"), "Prefix");
    check(client.get("/snapshot"), "Prefix");
    check(client.get("/v1/suggest"), "Recommendation");
    let plan = client.post("/v1/plan", &json!({ "budget": "1MiB", "horizon": "1m" }));
    let path = format!("/v1/plan/{}", plan.json()["plan_id"].as_str().unwrap());
    check(plan, "Plan");
    check(client.get(&path), "Outcome");
    let report = json!({ "prefix_id": "a", "tenant": "t", "model_id": "m", "outcome": "late" });
    check(client.post("/v1/feedback", &json!({ "reports": [report] })), "Counted");
    check(client.get("/v1/stats"), "Stats");
    check(client.get("/readyz"), "Status");
    let predicted = (0..2_000).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        let answer = client.get("/v1/predict?tenant=t");
        (!answer.json().as_array().unwrap().is_empty()).then_some(answer)
    });
    check(predicted.unwrap(), "Predicted");
}

fn same_fields(answer: &Value, schema: &Value) {
    let properties = schema["properties"].as_object().unwrap();
    let answer = answer.as_object().unwrap();
    for name in answer.keys() {
        assert!(properties.contains_key(name), "`{name}` is not described: {schema}");
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(answer.contains_key(name.as_str().unwrap()), "{name} is not answered: {answer:?}");
    }
}

#[test]
fn the_description_names_every_call() {
    let server = Server::new();
    let mut client = server.client();
    let described = client.get("/openapi.json").json();
    for (path, calls) in described["paths"].as_object().unwrap() {
        for method in ["GET", "POST", "PUT"] {
            let status = client.call(method, &path.replace("{id}", "0"), &[], b"").status;
            let is_there = calls.get(method.to_lowercase()).is_some();
            assert_eq!(status != 405, is_there, "{method} {path}: {status}");
            if is_there {
                assert!(
                    calls[method.to_lowercase()]["responses"].get(status.to_string()).is_some(),
                    "{method} {path}: {status}"
                );
            }
        }
    }
    for page in ["/", "/docs"] {
        let page = client.get(page);
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
        let text = String::from_utf8(page.body).unwrap();
        assert!(
            !text.contains("http://") && !text.contains("https://") && !text.contains("//cdn"),
            "nothing from elsewhere"
        );
    }
}
