//! Tokens: who may do what, and that nobody learns of another's prefixes.

use crate::{
    client::Client,
    older_contract::{event, now_ms},
    server::{Server, command},
};
use prefix_indexer_server::token_hash;
use serde_json::{Value, json};
use std::{fs, io::Read, process::Stdio};
use tempfile::TempDir;

fn tokens() -> TempDir {
    let entry = |name: &str, tenants: &str, rights: &str| {
        format!(
            "[[tokens]]\nname = \"{name}\"\nhash = \"{}\"\ntenants = {tenants}\nrights = {rights}\n",
            token_hash(name)
        )
    };
    let dir = tempfile::tempdir().unwrap();
    let file = [
        entry("secret-acme", "[\"acme\"]", "[\"read\", \"ingest\"]"),
        entry("secret-globex", "[\"globex\"]", "[\"read\", \"ingest\"]"),
        entry("secret-both", "[\"acme\", \"globex\"]", "[\"read\"]"),
        entry("secret-all", "[\"*\"]", "[\"read\", \"admin\"]"),
        entry("secret-writer", "[\"*\"]", "[\"ingest\"]"),
    ];
    fs::write(dir.path().join("tokens.toml"), file.concat()).unwrap();
    dir
}

fn as_token(server: &Server, token: &str) -> Client {
    let mut client = server.client();
    client.token = Some(token.to_owned());
    client
}

fn ids(found: &Value) -> Vec<&str> {
    found.as_array().unwrap().iter().map(|prefix| prefix["prefix_id"].as_str().unwrap()).collect()
}

#[test]
fn rights_are_what_the_file_says() {
    let server = Server::over(tokens(), "tokens = \"tokens.toml\"\nlog_level = \"trace\"", &[]);
    let body = json!({ "events": [event("acme", "p", 1, now_ms())] });
    let check = |token: Option<&str>, method: &str, target: &str, status: u16| {
        let mut client = server.client();
        client.token = token.map(str::to_owned);
        let answer = if method == "POST" { client.post(target, &body) } else { client.get(target) };
        assert_eq!(answer.status, status, "{token:?} {method} {target}");
        if status == 401 {
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    };
    for target in ["/suggest", "/snapshot", "/v1/suggest", "/v1/stats", "/v1/plan/x", "/metrics"] {
        for token in [None, Some("unknown"), Some(""), Some("secret-acm"), Some("secret-acme2")] {
            check(token, "GET", target, 401);
        }
    }
    for target in ["/ingest", "/v1/ingest", "/v1/feedback", "/v1/plan"] {
        check(None, "POST", target, 401);
    }
    check(None, "GET", "/healthz", 200);
    check(None, "GET", "/readyz", 200);
    check(None, "GET", "/nothing", 404);
    check(Some("secret-both"), "POST", "/ingest", 403);
    check(Some("secret-both"), "POST", "/v1/ingest", 403);
    check(Some("secret-writer"), "GET", "/suggest", 403);
    check(Some("secret-writer"), "POST", "/ingest", 202);
    check(Some("secret-acme"), "POST", "/ingest", 202);
    check(Some("secret-acme"), "GET", "/metrics", 403);
    check(Some("secret-all"), "GET", "/metrics", 200);
    for value in ["secret-all", "Basic secret-all", "Bearer", "Bearer  ", "bearer unknown"] {
        let answer = server.client().call("GET", "/v1/stats", &[("authorization", value)], b"");
        assert_eq!(answer.status, 401, "{value}");
    }
    let twice = [("authorization", "Bearer secret-all"), ("authorization", "Bearer secret-all")];
    assert_eq!(server.client().call("GET", "/v1/stats", &twice, b"").status, 401);
    let (ended, said, _) = server.terminate();
    assert!(ended);
    assert!(said.iter().any(|line| line.contains("/v1/stats")), "requests are logged");
    assert!(said.iter().all(|line| !line.contains("secret")), "tokens are not");
}

#[test]
fn a_tenant_learns_nothing_of_others() {
    let server = Server::over(tokens(), "tokens = \"tokens.toml\"", &[]);
    let (mut acme, mut globex, mut both) =
        (as_token(&server, "secret-acme"), as_token(&server, "secret-globex"), as_token(&server, "secret-both"));
    let now = now_ms();
    let hand_in = |client: &mut Client, tenant: &str, prefix: &str, times: usize| {
        let events = vec![event(tenant, prefix, 10, now); times];
        client.call(
            "POST",
            "/v1/ingest?durable=true",
            &[("content-type", "application/json"), ("idempotency-key", "the-same")],
            json!({ "events": events }).to_string().as_bytes(),
        )
    };
    // Nobody speaks for another, not even in one event of many; equal keys of different tokens do not meet.
    assert_eq!(hand_in(&mut acme, "globex", "p", 1).status, 403);
    assert_eq!(hand_in(&mut acme, "acme", "a", 1).json()["ingested"], 1);
    assert_eq!(hand_in(&mut globex, "globex", "g", 2).json()["ingested"], 2);
    assert_eq!(
        hand_in(&mut globex, "globex", "g", 2).json(),
        json!({
            "ingested": 0, "bad_events": 0, "duplicates": 2, "durable": true,
        })
    );
    let mixed = json!({ "events": [event("acme", "a", 1, now), event("globex", "x", 1, now)] });
    assert_eq!(acme.post("/ingest", &mixed).status, 403);
    for target in ["/suggest", "/snapshot", "/v1/suggest"] {
        assert_eq!(ids(&acme.get(target).json()), ["a"], "{target}");
        assert_eq!(ids(&globex.get(target).json()), ["g"], "{target}");
        assert_eq!(both.get(target).json().as_array().unwrap().len(), 2, "{target}");
    }
    // The score orders what several tenants have; another's tenant and one that is not there are the same.
    assert_eq!(ids(&both.get("/v1/suggest").json()), ["g", "a"]);
    assert_eq!(ids(&both.get("/v1/suggest?top_k=1").json()), ["g"]);
    let refused = acme.get("/v1/suggest?tenant=globex");
    let unknown = acme.get("/v1/suggest?tenant=nobody");
    assert_eq!((refused.status, refused.body), (unknown.status, unknown.body));
    assert_eq!(refused.status, 403);

    // Plans: of the own tenant, and another's is not there.
    let plan = |client: &mut Client, more: Value| {
        let mut asked = json!({ "budget": "1MiB", "horizon": "1m" });
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        client.post("/v1/plan", &asked)
    };
    let own = plan(&mut acme, json!({}));
    assert_eq!(own.status, 200, "{}", String::from_utf8_lossy(&own.body));
    let own = own.json();
    assert_eq!(ids(&own["entries"]), ["a"]);
    let path = format!("/v1/plan/{}", own["plan_id"].as_str().unwrap());
    assert_eq!(acme.get(&path).json()["planned"], 1);
    let (others, nothing) = (globex.get(&path), globex.get("/v1/plan/0"));
    assert_eq!((others.status, &others.body), (404, &nothing.body));
    assert_eq!(plan(&mut acme, json!({ "tenant": "globex" })).status, 403);
    assert_eq!(plan(&mut both, json!({})).status, 422);
    assert_eq!(ids(&plan(&mut both, json!({ "tenant": "globex" })).json()["entries"]), ["g"]);

    // Feedback and statistics likewise.
    let report = |tenant: &str| json!({ "reports": [{ "prefix_id": "a", "tenant": tenant, "model_id": "m", "outcome": "late" }] });
    assert_eq!(acme.post("/v1/feedback", &report("globex")).status, 403);
    assert_eq!(acme.post("/v1/feedback", &report("acme")).json(), json!({ "counted": 1 }));
    let stats = globex.get("/v1/stats").json();
    assert_eq!((&stats["feedback"], stats.get("prefixes")), (&json!({}), None));
    assert_eq!(as_token(&server, "secret-all").get("/v1/stats").json()["feedback"]["acme"]["late"]["prefixes"], 1);
}

#[test]
fn without_tokens_only_this_machine_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let refused = command()
        .args(["serve", "--listen", "0.0.0.0:0", "--data"])
        .arg(dir.path().join("index"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("tokens"));
    assert!(!dir.path().join("index").exists(), "nothing was made");

    let server = Server::new();
    let check = |headers: &[(&str, &str)], status: u16| {
        assert_eq!(server.client().call("GET", "/suggest", headers, b"").status, status, "{headers:?}");
    };
    check(&[("origin", "http://127.0.0.1:8080")], 200);
    check(&[("origin", "https://evil.example")], 421);
    let mut client = server.client();
    client.send(b"GET /suggest HTTP/1.1\r\nhost: evil.example\r\n\r\n");
    assert_eq!(client.answer().status, 421);
}

#[test]
fn tls_with_a_certificate() {
    let dir = tokens();
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(dir.path())
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        eprintln!("SKIPPED: no openssl to make a certificate with");
        return;
    }
    let section = "tls_certificate = \"cert.pem\"\ntls_key = \"key.pem\"\nheader_timeout = \"2s\"";
    let server = Server::over(dir, section, &[]);
    assert!(server.url.starts_with("https://"), "{}", server.url);
    let said = std::process::Command::new("openssl")
        .args([
            "s_client",
            "-quiet",
            "-verify_return_error",
            "-CAfile",
            "cert.pem",
            "-servername",
            "localhost",
            "-connect",
        ])
        .arg(server.address.to_string())
        .current_dir(server.dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .and_then(|mut child| {
            use std::io::Write;
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
            let mut said = String::new();
            child.stdout.take().unwrap().read_to_string(&mut said)?;
            drop(stdin);
            child.wait()?;
            Ok(said)
        })
        .unwrap();
    assert!(said.starts_with("HTTP/1.1 200") && said.ends_with(r#"{"status":"ok"}"#), "{said}");
    // Who speaks plainly is no one's trouble.
    let mut plain = server.client();
    plain.send(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let mut answer = Vec::new();
    drop(std::net::TcpStream::connect(server.address).unwrap().read(&mut answer));
}
