//! Starting, ending, and ending without warning.

use crate::{
    client::Client,
    older_contract::{event, now_ms},
    server::{Server, run},
};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

fn uses(dir: &std::path::Path, prefix: &str) -> u64 {
    let found = run(dir, &["suggest", "--data", "index", "--top-k", "100", "--json"]);
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    let of = found.as_array().unwrap().iter().find(|found| found["prefix_id"] == prefix);
    of.map_or(0, |found| found["hit_count"].as_u64().unwrap())
}

/// Writers that hand in durable batches of ten, and a planner, until nobody answers any more.
struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<[AtomicU64; 4]>,
    planned: Arc<Mutex<Option<String>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(address: SocketAddr) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new([const { AtomicU64::new(0) }; 4]);
        let planned = Arc::new(Mutex::new(None));
        let mut threads = Vec::new();
        for writer in 0..4 {
            let (stop, acknowledged) = (stop.clone(), acknowledged.clone());
            threads.push(std::thread::spawn(move || {
                let mut client = Client::new(address);
                let body = (event("t", &format!("w{writer}"), 1, now_ms()).to_string() + "\n").repeat(10);
                let head = format!(
                    "POST /v1/ingest?durable=true HTTP/1.1\r\nhost: localhost\r\n{}: {}\r\ncontent-length: {}\r\n\r\n",
                    NDJSON.0,
                    NDJSON.1,
                    body.len()
                );
                while !stop.load(Ordering::Relaxed) {
                    client.send((head.clone() + &body).as_bytes());
                    match client.try_answer() {
                        Some(answer) if answer.status == 202 => acknowledged[writer].fetch_add(10, Ordering::Relaxed),
                        Some(answer) => panic!("{}", answer.status),
                        None => return,
                    };
                }
            }));
        }
        let (asked_to_stop, known) = (stop.clone(), planned.clone());
        threads.push(std::thread::spawn(move || {
            let mut client = Client::new(address);
            let body = r#"{"budget": "1MiB", "horizon": "1h"}"#;
            let head = format!("POST /v1/plan HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", body.len());
            while !asked_to_stop.load(Ordering::Relaxed) {
                client.send((head.clone() + body).as_bytes());
                let Some(answer) = client.try_answer() else { return };
                *known.lock().unwrap() = Some(answer.json()["plan_id"].as_str().unwrap().to_owned());
            }
        }));
        Load { stop, acknowledged, planned, threads }
    }

    /// Waits until every thread has been answered.
    fn is_under_way(&self) {
        let started = Instant::now();
        while self.acknowledged.iter().any(|count| count.load(Ordering::Relaxed) == 0)
            || self.planned.lock().unwrap().is_none()
        {
            assert!(started.elapsed() < Duration::from_secs(30), "a load is there");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// What was acknowledged, and the newest plan.
    fn end(self) -> ([u64; 4], Option<String>) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        (self.acknowledged.each_ref().map(|count| count.load(Ordering::Relaxed)), self.planned.lock().unwrap().take())
    }
}

/// Every batch that was answered 202 with durable=true is there after a kill, and every plan that was answered; and, the writer having
/// been killed amid others, no batch is there in part.
#[test]
fn what_was_acknowledged_survives_a_kill() {
    const KILLS: u64 = 50;
    let mut dir = tempfile::tempdir().unwrap();
    let (mut acknowledged, mut planned) = ([0u64; 4], None);
    for kill in 0..=KILLS {
        let server = Server::over(dir, "", &[]);
        let mut client = server.client();
        assert_eq!(client.get("/readyz").status, 200);
        let found = client.get("/v1/suggest?top_k=100").json();
        for (writer, acknowledged) in acknowledged.iter_mut().enumerate() {
            let of = found.as_array().unwrap().iter().find(|found| found["prefix_id"] == format!("w{writer}"));
            let found = of.map_or(0, |found| found["hit_count"].as_u64().unwrap());
            assert!(found >= *acknowledged, "kill {kill}: {found} of {acknowledged} acknowledged");
            assert_eq!(found % 10, 0, "a batch is whole or not there");
            // What was written and not acknowledged may be there, too.
            *acknowledged = found;
        }
        if let Some(planned) = planned.take() {
            assert_eq!(client.get(&format!("/v1/plan/{planned}")).status, 200, "kill {kill}");
        }
        if kill == KILLS {
            return;
        }
        let load = Load::start(server.address);
        load.is_under_way();
        std::thread::sleep(Duration::from_millis(kill * 7 % 50));
        dir = server.kill();
        let (counts, plan) = load.end();
        acknowledged.iter_mut().zip(counts).for_each(|(all, count)| *all += count);
        planned = plan;
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

/// Beside the log, which is open, nothing can be written where the directory is gone: a disk that fails does the same.
#[test]
fn plans_and_reports_that_cannot_be_written_are_refused_at_once() {
    let server = Server::new();
    let mut client = server.client();
    let mut ask = |target: &str, body: Value, status: u16| {
        let started = Instant::now();
        let answer = client.post(target, &body);
        assert_eq!(answer.status, status, "{target}: {}", String::from_utf8_lossy(&answer.body));
        assert_eq!(answer.header("retry-after").is_some(), status == 503, "{target}");
        assert!(started.elapsed() < Duration::from_secs(20), "before it would have been given up as too slow");
    };
    let (plan, now) = (json!({ "budget": "1MiB", "horizon": "1h" }), now_ms());
    let report = |outcome: &str| json!({ "reports": [{ "prefix_id": "p", "tenant": "t", "model_id": "m", "outcome": outcome }] });
    ask("/v1/ingest?durable=true", json!({ "events": [event("t", "p", 1, now)] }), 202);
    ask("/v1/feedback", report("used"), 202);
    let (index, away) = (server.dir.path().join("index"), server.dir.path().join("away"));
    std::fs::rename(&index, &away).unwrap();
    ask("/v1/plan", plan.clone(), 503);
    ask("/v1/feedback", report("late"), 503);
    ask("/v1/plan", plan.clone(), 503);
    // It tries again, and then all of it is written.
    std::fs::rename(&away, &index).unwrap();
    let written = (0..60).any(|_| {
        std::thread::sleep(Duration::from_millis(500));
        server.client().post("/v1/plan", &plan).status == 200
    });
    assert!(written, "it goes on when the disk does");
    let server = Server::over(server.kill(), "", &[]);
    let stats = server.client().get("/v1/stats").json();
    assert_eq!(stats["feedback"]["t"]["late"]["prefixes"], 1, "{stats}");
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
