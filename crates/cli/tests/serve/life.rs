//! Starting, ending, and ending without warning.

use crate::{
    older_contract::{event, now_ms},
    server::{Server, run},
};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

fn uses(dir: &std::path::Path, prefix: &str) -> u64 {
    let found = run(dir, &["suggest", "--data", "index", "--top-k", "100", "--json"]);
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    let of = found.as_array().unwrap().iter().find(|found| found["prefix_id"] == prefix);
    of.map_or(0, |found| found["hit_count"].as_u64().unwrap())
}

/// Every batch that was answered 202 with durable=true is there after a kill; and, the writer having been killed amid others,
/// none is there in part.
#[test]
fn what_was_acknowledged_survives_a_kill() {
    let mut dir = tempfile::tempdir().unwrap();
    let mut acknowledged = [0u64; 4];
    for round in 0..3 {
        let server = Server::over(dir, "", &[]);
        assert_eq!(server.client().get("/readyz").status, 200);
        let stop = Arc::new(AtomicBool::new(false));
        let counts = Arc::new(Mutex::new([0u64; 4]));
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (stop, counts, address) = (stop.clone(), counts.clone(), server.address);
                std::thread::spawn(move || {
                    let mut client = crate::client::Client::new(address);
                    let body = (event("t", &format!("w{writer}"), 1, now_ms()).to_string() + "\n").repeat(10);
                    while !stop.load(Ordering::Relaxed) {
                        let head = format!(
                            "POST /v1/ingest?durable=true HTTP/1.1\r\nhost: localhost\r\n{}: {}\r\ncontent-length: {}\r\n\r\n",
                            NDJSON.0, NDJSON.1, body.len()
                        );
                        client.send((head + &body).as_bytes());
                        match client.try_answer() {
                            Some(answer) if answer.status == 202 => counts.lock().unwrap()[writer] += 10,
                            Some(answer) => panic!("{}", answer.status),
                            None => return,
                        }
                    }
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(300 + 100 * round));
        dir = server.kill();
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        let counts = *counts.lock().unwrap();
        for (writer, count) in counts.into_iter().enumerate() {
            assert!(count > 0, "a load is there");
            acknowledged[writer] += count;
            let found = uses(dir.path(), &format!("w{writer}"));
            assert!(found >= acknowledged[writer], "{found} of {} acknowledged", acknowledged[writer]);
            assert_eq!(found % 10, 0, "a batch is whole or not there");
            // What was written and not acknowledged may be there, too.
            acknowledged[writer] = found;
        }
    }
}

#[test]
fn told_to_end_it_drains_and_keeps_everything() {
    let server = Server::with("log_format = \"json\"\nlog_level = \"debug\"", &[]);
    let mut client = server.client();
    let line = event("t", "p", 1, now_ms()).to_string() + "\n";
    for _ in 0..20 {
        let answer = client.call("POST", "/v1/ingest", &[NDJSON], line.repeat(50).as_bytes());
        assert_eq!((answer.status, answer.json()["durable"].as_bool()), (202, Some(false)));
    }
    // A request that is under way is answered.
    let mut late = server.client();
    late.send(format!("POST /v1/ingest?durable=true HTTP/1.1\r\nhost: x\r\nx-request-id: mine\r\ncontent-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n", line.len()).as_bytes());
    std::thread::sleep(Duration::from_millis(200));
    let writer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        late.send(line.as_bytes());
        late.answer().status
    });
    let started = Instant::now();
    let (ended, said, dir) = server.terminate();
    assert!(ended && started.elapsed() < Duration::from_secs(9), "{said:?}");
    assert_eq!(writer.join().unwrap(), 202);
    assert_eq!(uses(dir.path(), "p"), 1001);
    let lines: Vec<Value> = said.iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(lines.iter().any(|line| line["id"] == "mine" && line["status"] == 202), "{said:?}");
}

#[test]
fn a_second_writer_is_refused_and_says_so() {
    let server = Server::new();
    let refused = run(server.dir.path(), &["serve", "--data", "index", "--listen", "127.0.0.1:0"]);
    assert_eq!(refused.status.code(), Some(1));
    let taken = server.address.to_string();
    let refused = run(server.dir.path(), &["serve", "--data", "other", "--listen", &taken]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("cannot listen"));
    assert!(!server.dir.path().join("other").exists());
    let config = run(server.dir.path(), &["serve", "--data", "other", "--config", "missing.toml"]);
    assert_eq!(config.status.code(), Some(1));
    std::fs::write(server.dir.path().join("bad.toml"), "[server]\nlisten_on = \"x\"\n").unwrap();
    let config = run(server.dir.path(), &["serve", "--data", "other", "--config", "bad.toml"]);
    assert!(String::from_utf8_lossy(&config.stderr).contains("`listen` is meant"), "{config:?}");
}

#[test]
fn the_wire_says_what_the_command_says() {
    let server = Server::new();
    let now = 1_700_000_000_000u64;
    let events: Vec<Value> = (0..30).map(|n| event("t", &format!("p{}", n % 7), 10 + n, now + n)).collect();
    assert_eq!(server.client().post("/v1/ingest?durable=true", &json!({ "events": events })).status, 202);
    let said = server.client().get("/v1/suggest?top_k=5&half_life=1h").json();
    let dir = server.kill();
    let found = run(dir.path(), &["suggest", "--data", "index", "--top-k", "5", "--half-life", "1h", "--json"]);
    assert_eq!(said, serde_json::from_slice::<Value>(&found.stdout).unwrap());
}
